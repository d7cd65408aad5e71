"""A whole run of a session of seconds, as a user runs it; `make test` has no other."""

from __future__ import annotations

import re

import pandas as pd
import pytest
import yaml

from meiflow.report.page import libraries
from tests.audit import check
from tests.faults.session import RUN, undisturbed
from tests.project import Project, contents

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The run with which those with faults are compared; must not be changed."""
    return undisturbed(tmp_path_factory)


def neurons(project: Project) -> list[str]:
    table = pd.read_csv(project.results / "models" / "neurons.csv", dtype={"neuron_id": str})
    return table.loc[table["selected"], "neuron_id"].tolist()


def test_every_fitted_neuron_is_in_the_summary_with_an_mei(whole):
    summary = pd.read_csv(whole.results / "summary.csv", dtype={"neuron_id": str})
    assert summary["neuron_id"].tolist() == neurons(whole) != []
    assert (summary["mei_response"] >= summary["best_gabor_response"] - 1e-4).all()
    for neuron in neurons(whole):
        assert (whole.results / "neurons" / neuron / "mei.png").stat().st_size
    assert not [p for p in whole.results.rglob("*") if ".part" in p.name]


def test_report_is_self_contained(whole):
    # the libraries and the printed configuration may contain addresses, but nothing is loaded
    page = (whole.results / "report.html").read_text().replace(libraries(), "")
    loaded = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import|fetch\(', page)
    assert loaded
    assert all((one or two).startswith(("data:", "#")) for one, two in loaded)
    for neuron in neurons(whole):
        assert f'id="n{neuron}"' in page
    assert "Simulated session." in page


def test_second_run_does_nothing(whole):
    again = whole.snakemake("--dry-run", *RUN)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def test_first_neurons_can_be_seen_before_the_secondary_analyses(whole, tmp_path):
    (log,) = (whole.folder / ".snakemake" / "log").glob("*.log")
    ended = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", log.read_text())
    # a core that is free before the neurons are done may already make a secondary analysis
    for later in ("summary", "report"):
        assert ended.index("provisional") < ended.index(later)

    # as if the run had been killed between the two pages
    project = whole.copy(tmp_path / "copy")
    report, provisional = (project.results / f"{n}.html" for n in ("report", "provisional"))
    finished = provisional.read_bytes()
    report.unlink()
    provisional.unlink()
    assert project.snakemake(*RUN, "--", "results/demo/provisional.html").returncode == 0
    assert "Provisional report of" in provisional.read_text()
    assert project.snakemake(*RUN).returncode == 0
    assert report.exists()
    assert provisional.read_bytes() == finished


def test_models_fitted_anew_leave_nothing_outdated(whole, tmp_path):
    project = whole.copy(tmp_path / "copy")
    document = yaml.safe_load((project.folder / "small.yaml").read_text())
    document["model"]["ln"]["penalties"] = [0.02]
    document["gabor"] |= {"orientations": 24, "spacing": 0.5}  # so that others could overtake it
    project.configure("small.yaml", document)
    run = ("--max-threads", "1", "--cores", "4", "--configfile", "small.yaml")
    assert project.snakemake(*run).returncode == 0
    assert "Nothing to be done" in project.snakemake("--dry-run", *run).stdout


def test_no_stage_opens_or_reads_what_its_rule_does_not_pass_on(whole):
    jobs = check.read_jobs(whole.folder, whole.notes)
    assert {"simulate", "fit_models", "stimuli", "report"} <= {job.stage.name for job in jobs}
    assert check.faults(jobs) == []


def test_two_threads_give_the_same_bits_as_one(whole, tmp_path):
    """Of the stages that use several threads; the others do not know the number of cores."""
    project = whole.copy(tmp_path / "copy")
    made = ("models/models.zip", "models/learning_curve.csv", "stimuli/best_gabors.npy")
    stages = ("fit_models", "learning_curve", "gabor_search")
    again = ("--printshellcmds", "--max-threads", "2", "--forcerun", *stages)
    done = project.snakemake(*RUN, *again, "--", *(f"results/demo/{name}" for name in made))
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.count("Finished jobid") >= len(made)
    assert done.stdout.count("--threads 2") == len(stages)
    two, one = contents(project.results), contents(whole.results)
    assert two.keys() == one.keys()
    assert not [name for name in two if two[name] != one[name]]
