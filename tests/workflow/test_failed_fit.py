"""A failed fit of a neuron is a result: everything else completes, and the report shows it."""

from __future__ import annotations

import pandas as pd
import pytest

from meiflow.io.files import read_csv, write_csv
from tests.project import SECONDS

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]


def test_a_failed_fit_stops_no_other_and_is_reported(finished, project):
    trials = read_csv(finished.results / "tables" / "trials.csv")
    silent, *others = trials["neuron_id"].unique()
    trials.loc[trials["neuron_id"] == silent, "spike_count"] = 0
    write_csv(trials, project.folder / "mine.csv")
    own = {
        "session": {
            "source": "tables",
            "trials": "mine.csv",
            "images": str(finished.results / "session" / "natural_scenes"),
        },
        "image": {"width_deg": 121.24, "height_deg": 94.8},
        "selection": {"include": [silent]},
    }
    project.configure("seconds.yaml", {k: SECONDS[k] for k in SECONDS if k != "session"})
    project.configure("own.yaml", own)
    given = ("--configfile", "small.yaml", "seconds.yaml", "own.yaml")
    done = project.snakemake("--cores", "2", *given)
    assert done.returncode == 0, done.stdout[-4000:]
    table = read_csv(project.results / "models" / "neurons.csv").set_index("neuron_id")
    reason = "the mean response is the same for all images"
    assert table.loc[silent, ["selected", "status", "reason"]].tolist() == [
        False,
        "fit failed",
        reason,
    ]
    modelled = table.index[table["selected"]].tolist()
    assert modelled
    assert set(modelled) <= set(others)
    assert not (project.results / "neurons" / silent).exists()
    summary = pd.read_csv(project.results / "summary.csv", dtype={"neuron_id": str})
    assert summary["neuron_id"].tolist() == modelled
    page = (project.results / "report.html").read_text()
    assert f"No model could be fitted for {silent} ({reason})" in page
    target = f"results/demo/neurons/{silent}/comparison.csv"
    done = project.snakemake("--cores", "2", *given, "--", target)
    assert done.returncode != 0
    assert f"meiflow: error: neuron {silent} has no model: {reason}" in done.stdout
