"""Several sessions as one workflow: what is shared, what is separate, and what is run when."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from meiflow.cli.reference_files import combined_files
from tests.audit import check
from tests.project import SECONDS, Project, altered, make_project
from tests.session.warehouse import Known, warehouse

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

# In the second session no neuron responds to the images.
TINY = altered(SECONDS, {"session": {"simulation": {"gabor_repeats": 0}}})
TINY["session"]["simulation"]["units"] = {"VISam": 2}
for key in ("id", "movies"):
    del TINY["session"][key]
UNTUNED = {"id": "m2", "simulation": {"untuned_fraction": 1.0}}
LIST = ["m1", UNTUNED, "m3"]
RUN = ("--cores", "2", "--configfile", "sessions.yaml")


def configured(project: Project, sessions: object, **session: object) -> Project:
    document = TINY | {"sessions": sessions, "session": TINY["session"] | session}
    project.configure("sessions.yaml", document)
    return project


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Project:
    """Three sessions that have run; a test may add results, and must remove them again."""
    project = configured(make_project(tmp_path_factory.mktemp("sessions")), LIST)
    done = project.snakemake(*RUN)
    assert done.returncode == 0, done.stdout[-5000:]
    return project


def planned(project: Project, *arguments: str) -> set[tuple[str, str]]:
    """Planned jobs, as (rule, results folder)."""
    done = project.snakemake("--summary", *RUN, *arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    table = done.stdout[done.stdout.index("output_file\t") :].splitlines()
    rows = [r for r in csv.DictReader(table, delimiter="\t") if r["plan"] is not None]
    return {
        (row["rule"], Path(row["output_file"]).parts[1])
        for row in rows
        if row["plan"] != "no update"
    }


def neurons_of(project: Project, session: str) -> list[str]:
    table = pd.read_csv(project.folder / "results" / session / "models" / "neurons.csv", dtype=str)
    return table.loc[table["selected"] == "True", "neuron_id"].tolist()


def test_all_sessions_run_as_one_and_an_empty_one_stops_no_other(three):
    combined = three.folder / "results" / "combined"
    sessions = pd.read_csv(combined / "sessions.csv").set_index("session_id")
    assert sessions["modelled"].to_dict() == {
        session: len(neurons_of(three, session)) for session in ("m1", "m2", "m3")
    }
    assert (sessions["modelled"] > 0).to_dict() == {"m1": True, "m2": False, "m3": True}
    assert sessions.loc["m2", "status"] == "no neurons left"
    assert "oracle_p" in sessions.loc["m2", "reason"]
    neurons = pd.read_csv(combined / "neurons.csv", dtype={"neuron_id": str})
    assert not neurons.duplicated(["session_id", "neuron_id"]).any()
    for session in ("m1", "m3"):
        own = pd.read_csv(three.folder / "results" / session / "summary.csv")
        rows = neurons[neurons["session_id"] == session].reset_index(drop=True)
        assert set(rows["area"]) == {"VISam"}
        pd.testing.assert_frame_equal(
            rows[own.columns[1:]], own[own.columns[1:]], check_dtype=False
        )
    assert not (three.folder / "results" / "m2" / "report.html").exists()
    made = {path.relative_to(combined).as_posix() for path in combined.rglob("*.*")}
    listed = {path for row in combined_files() if not row.file.when for path in row.paths}
    assert listed == {path for path in made if not path.startswith((".", "logs", "figures/."))}
    cost = pd.read_csv(combined / "cost.csv")
    assert {("m1", "fit_models"), ("m2", "fit_models"), ("m3", "report")} <= set(
        zip(cost["session_id"], cost["stage"], strict=True)
    )
    page = (combined / "report.html").read_text()
    assert all(f"../{session}/report.html" in page for session in ("m1", "m3"))


def test_no_stage_opens_or_reads_what_its_rule_does_not_pass_on(three):
    jobs = check.read_jobs(three.folder, three.notes)
    assert "combine" in {job.stage.name for job in jobs}
    assert check.faults(jobs) == []


def test_another_session_runs_only_what_is_new(three, tmp_path):
    before = {
        path: path.stat().st_mtime_ns
        for path in (three.folder / "results").rglob("*")
        if path.is_file()
    }
    assert not planned(three)
    configured(three, [*LIST, "m4"])
    plan = planned(three)
    configured(three, ["m3", "m1"])
    fewer = planned(three)
    configured(three, LIST)
    assert ("simulate", "m4") in plan
    assert {session for rule, session in plan if rule != "combine"} == {"m4"}
    assert ("combine", "combined") in plan
    assert fewer == {("combine", "combined")}
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_deleted_file_of_one_session_is_made_again(three):
    neuron = neurons_of(three, "m3")[0]
    victim = three.folder / "results" / "m3" / "neurons" / neuron / "mei.png"
    content = victim.read_bytes()
    victim.unlink()
    plan = planned(three)
    victim.write_bytes(content)
    assert ("stimuli", "m3") in plan
    assert {session for _, session in plan} <= {"m3", "combined"}


def test_sessions_do_not_wait_for_each_other(three, tmp_path):
    """Neurons of one session are fitted while another session is not even simulated."""
    project = three.copy(tmp_path / "copy")
    shutil.rmtree(project.folder / "results" / "m1")
    shutil.rmtree(project.folder / "results" / "m3" / "neurons")
    done = project.snakemake("--dry-run", "--printshellcmds", *RUN)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"meiflow simulate .* --results results/m1\b", done.stdout)
    for neuron in neurons_of(three, "m3"):
        asked = rf"meiflow stimuli .* --results results/m3 .*--neuron {neuron}\b"
        assert re.search(asked, done.stdout)


def test_a_session_gives_the_same_whether_run_alone_or_with_others(three, project):
    """Alone, it needs the seed that it has as one of many."""
    from meiflow.config.config import parse_config
    from meiflow.session.dataset import Dataset

    one = Dataset(parse_config(TINY | {"sessions": LIST})).config_of("m1").session
    simulation = TINY["session"]["simulation"] | {"seed": one.simulation.seed}
    configured(project, None, id="m1", simulation=simulation)
    neuron = neurons_of(three, "m1")[0]
    done = project.snakemake(*RUN, "--", f"results/m1/neurons/{neuron}/comparison.csv")
    assert done.returncode == 0, done.stdout[-3000:]
    home, other = (p.folder / "results" / "m1" for p in (project, three))
    made = [p.relative_to(home) for p in home.rglob("*") if p.suffix in (".csv", ".npy", ".png")]
    assert {"responses.csv", "cross_validation.csv", "mei.npy"} < {path.name for path in made}
    assert not [p for p in made if (home / p).read_bytes() != (other / p).read_bytes()]


@pytest.mark.parametrize(
    ("sessions", "message"),
    [
        (["a", "a"], "sessions.1: duplicate session 'a'"),
        (["a", {"id": "b", "simulation": {"frames": 20}}], "differ in session.simulation.frames"),
    ],
)
def test_sessions_that_cannot_be_run_together_are_refused(project, sessions, message):
    configured(project, sessions)
    done = project.snakemake("--dry-run", *RUN)
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_all_runs_the_sessions_that_the_warehouse_has(project, tmp_path):
    """Its sessions are unknown before it is queried, and a dry run does not query it."""
    known = (
        Known(11, units=(("VISam", {}),)),
        Known(12, "functional_connectivity"),
        Known(13, units=(("VISp", {}),)),
        Known(14, units=(("VISam", {}),)),
    )
    with warehouse(tmp_path / "none.nwb") as server:
        server.known = known
        configured(project, "all", source="allen", warehouse=server.address, bucket=server.bucket)
        first = project.snakemake("--dry-run", *RUN)
        assert first.returncode == 0, first.stdout[-3000:]
        assert "Querying the sessions in the warehouse" in first.stdout
        assert "Combining all sessions" in first.stdout
        assert not server.asked
        done = project.snakemake(*RUN, "--", "results/combined/warehouse.csv")
        assert done.returncode == 0, done.stdout[-3000:]
        table = pd.read_csv(project.folder / "results" / "combined" / "warehouse.csv")
        assert table.loc[table["chosen"], "session_id"].tolist() == [11, 12, 14]
        asked = len(server.asked)
        plan = project.snakemake("--dry-run", "--printshellcmds", *RUN).stdout
        assert len(server.asked) == asked
    assert plan.count("meiflow download") == 3
    for session, wanted in ((11, True), (12, True), (13, False), (14, True)):
        assert (f"data/allen/session_{session}/" in plan) == wanted
    assert "Querying the sessions" not in plan
