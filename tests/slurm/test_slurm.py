"""The workflow on a SLURM cluster of three nodes with failures: same results as without.

`make slurm-test` starts the cluster; otherwise these tests are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT, Project, contents, make_project
from tests.slurm import cluster
from tests.slurm.harm import Job, Run, cancel, missing

pytestmark = pytest.mark.slurm

# Two neurons, and one job of each kind: every submission takes at least ten seconds.
LESS = {
    "model": {"learning_curve": []},
    "selection": {"exclude": [950000000]},
    "stimuli": {"make": ["diverse"]},
    "experiments": {"make": []},
}
# Too little at first, enough for the second attempt.
TIGHT = "150 * attempt**2"
OFTEN = ("--cores", "2", "--slurm-init-seconds-before-status-checks", "1")
FILE = "workflow/profiles/slurm/config.yaml"
CONFIG = ("--configfile", "small.yaml", "less.yaml")


@dataclass(frozen=True)
class Story:
    """What happened during a run, and its results."""

    project: Project
    interrupted: Job
    exit_status: int
    after_interrupt: list[Job]
    cancelled: Job
    lost: Job
    jobs: list[Job]
    text: str

    def of(self, name: str) -> list[Job]:
        """The second run's jobs of a rule or group."""
        return [job for job in self.jobs if job.of(name)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A run that is interrupted and restarted; then a job is cancelled, another runs out of memory,
    and a node and the controller are lost."""
    if why := missing():
        pytest.skip(why)
    project = make_project(tmp_path_factory.mktemp("slurm"))
    project.configure("less.yaml", LESS)
    profile = yaml.safe_load((ROOT / FILE).read_text())
    profile["set-resources"] = {"selection": {"mem_mb": TIGHT}}
    project.configure(FILE, profile)
    run = Run(project, project.folder / "first.log", *OFTEN, *CONFIG)
    try:
        interrupted = run.running("simulate")
        exit_status = run.interrupt()
        after_interrupt = run.jobs()
        run = Run(project, project.folder / "second.log", *OFTEN, *CONFIG)
        cancelled = run.running("tables")
        cancel(cancelled)
        lost = run.running("fit_models")
        assert lost.id in cluster.lose(lost.node)
        run.running("fit_models")
        cluster.restart()
        cluster.back(lost.node)
        run.finish()
    finally:
        run.kill()
    return Story(
        project,
        interrupted,
        exit_status,
        after_interrupt,
        cancelled,
        lost,
        run.jobs(),
        run.text(),
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the same configuration without a cluster."""
    project = make_project(tmp_path_factory.mktemp("local"))
    project.configure("less.yaml", LESS)
    done = project.snakemake("--cores", "2", *CONFIG)
    assert done.returncode == 0, done.stdout[-3000:]
    return project.results


def test_results_are_those_of_a_local_run(story: Story, local: Path) -> None:
    here, there = contents(local), contents(story.project.results)
    assert here.keys() == there.keys()
    assert not [name for name in here if here[name] != there[name]]


def test_nothing_half_written_is_left(story: Story) -> None:
    assert not [p for p in story.project.results.rglob("*") if ".part" in p.name]
    again = story.project.snakemake("--cores", "2", "--dry-run", *CONFIG)
    assert "Nothing to be done" in again.stdout, again.stdout[-3000:]


def test_an_interrupt_cancels_the_jobs(story: Story) -> None:
    """Otherwise they would keep writing while the next run writes the same files."""
    assert story.exit_status != 0
    states = {job.id: job.state for job in story.after_interrupt}
    assert states[story.interrupted.id] == "CANCELLED"
    assert not {"RUNNING", "PENDING"} & set(states.values())


def test_a_cancelled_job_is_submitted_again_and_asks_for_more(story: Story) -> None:
    first, second = story.of("tables")
    assert first.id == story.cancelled.id
    assert (first.state, second.state) == ("CANCELLED", "COMPLETED")
    assert (first.memory, second.memory) == ("8000M", "16000M")


def test_a_job_above_its_memory_is_killed_and_succeeds_with_more(story: Story) -> None:
    first, second = (job for job in story.of("selection") if "figures" not in job.comment)
    logs = list(story.project.folder.glob(f".snakemake/slurm_logs/**/{first.id}.log"))
    assert "exceeded memory limit" in logs[0].read_text()
    assert second.state == "COMPLETED"
    assert (first.memory, second.memory) == ("150M", "600M")


def test_a_job_of_a_lost_node_starts_again_on_another(story: Story) -> None:
    """SLURM does this itself, with the same id, even if its controller is lost."""
    (job,) = story.of("fit_models")
    assert job.id == story.lost.id
    assert (job.state, job.restarts) == ("COMPLETED", 1)
    assert job.node != story.lost.node
