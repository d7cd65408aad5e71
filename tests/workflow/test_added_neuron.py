"""A neuron that is added to a finished session: only its results are computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meiflow.config.names import PROCEDURES
from meiflow.io.files import read_array, read_arrays
from meiflow.results.layout import Layout
from tests.audit import check
from tests.faults.session import RUN, undisturbed
from tests.project import Project

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

# Of the three neurons of this session, two are selected; the network is none of its base models.
MADE = [name for name, procedure in PROCEDURES.items() if procedure.base_model is None]
MORE = {
    "stimuli": {"make": MADE},
    "experiments": {"make": ["orientation", "position"]},
}
KEEPING = ("gabor_search", "closed_loop", "confidence", "recorded")
KEEPING += ("experiments", *MADE)
# Each product of matrices adds in another order where there are fewer neurons.
ROUNDING = 2e-3


def whole_run(project: Project, *more: str) -> str:
    done = project.snakemake(*RUN, "more.yaml", *more)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def log_of(project: Project, stage: str) -> str:
    kind = "stimuli/" if stage in PROCEDURES or stage == "gabor_search" else ""
    return Layout(project.results).log(f"{kind}{stage}").read_text()


def tables(project: Project) -> dict[str, Path]:
    results = project.results
    paths = [p for suffix in ("csv", "npy", "npz") for p in results.rglob(f"*.{suffix}")]
    return {str(path.relative_to(results)): path for path in paths if path.parent.name != "kept"}


def assert_equal(one: Path, other: Path) -> None:
    if one.suffix == ".csv":
        pair = (pd.read_csv(path, dtype={"neuron_id": str}) for path in (one, other))
        pd.testing.assert_frame_equal(*pair, rtol=ROUNDING, atol=ROUNDING, obj=one.name)
        return
    first, second = (
        {"": read_array(path)} if path.suffix == ".npy" else read_arrays(path)
        for path in (one, other)
    )
    assert first.keys() == second.keys()
    for name, values in first.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(
                values, second[name], rtol=ROUNDING, atol=ROUNDING, err_msg=str(one)
            )
        else:
            np.testing.assert_array_equal(values, second[name], err_msg=str(one))


def test_only_an_added_neuron_is_computed_and_all_is_as_from_scratch(tmp_path_factory, tmp_path):
    project = undisturbed(tmp_path_factory).copy(tmp_path / "added")
    shutil.rmtree(project.notes)
    project.configure("more.yaml", MORE)
    whole_run(project)
    assert check.faults(check.read_jobs(project.folder, project.notes)) == []
    assert not [s for s in KEEPING if "as in an earlier run" in log_of(project, s)]
    table = pd.read_csv(project.results / "selection" / "neurons.csv", dtype={"neuron_id": str})
    old = table.loc[table["selected"], "neuron_id"].tolist()
    new = table.loc[~table["selected"], "neuron_id"].iloc[0]
    before = {n: (project.results / "neurons" / n / "mei.npy").stat().st_mtime_ns for n in old}

    scratch = project.copy(tmp_path / "scratch")
    shutil.rmtree(scratch.results / "kept")
    for one in (project, scratch):
        one.configure("more.yaml", MORE | {"selection": {"top_k": 2, "include": [new]}})
        whole_run(one)
    for stage in KEEPING:
        reused = f"{stage}: {len(old)} of {len(old) + 1} neurons are as in an earlier run"
        assert reused in log_of(project, stage)
        assert "as in an earlier run" not in log_of(scratch, stage)
    for neuron, date in before.items():
        assert (project.results / "neurons" / neuron / "mei.npy").stat().st_mtime_ns == date
    summary = pd.read_csv(project.results / "summary.csv", dtype={"neuron_id": str})
    assert set(summary["neuron_id"]) == {*old, new}
    found, wanted = tables(project), tables(scratch)
    assert found.keys() == wanted.keys()
    for name, path in found.items():
        assert_equal(path, wanted[name])
    # a whole report was there
    assert "report.html" in (project.results / "provisional.html").read_text()[:300]

    natural = "results/demo/stimuli/natural.npy"
    (project.folder / natural).unlink()
    whole_run(project, "--", natural)
    assert "3 of 3 neurons are as in an earlier run" in log_of(project, "natural")
    for forced in (("--forcerun", "natural"), ("--forcerun", natural), ("--force",)):
        whole_run(project, *forced, "--", natural)
        assert "as in an earlier run" not in log_of(project, "natural")
