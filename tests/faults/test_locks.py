"""The lock of a killed run, two runs in one folder, and a job that outlives its run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from meiflow.cli.process import RUN as RUN_OF
from tests.faults.session import RUN, Running, assert_undisturbed, wait_until
from tests.project import Project

pytestmark = pytest.mark.workflow


@pytest.fixture
def project(whole, tmp_path) -> Project:
    """A project whose neurons are not yet done."""
    project = whole.copy(tmp_path / "copy")
    shutil.rmtree(project.results / "neurons")
    return project


def test_second_runs_and_stale_locks_are_refused_and_harm_nothing(project, expected, count):
    locks = project.folder / ".snakemake" / "locks"
    first = Running(project)
    wait_until(lambda: first.jobs_done > 0 and bool(first.jobs()), "the second job")
    second = project.snakemake(*RUN)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    count("second runs in one folder")
    # what a killed run leaves, as test_kills.py sees
    stale = shutil.copytree(locks, project.folder / "stale")
    assert any(stale.iterdir())
    assert first.wait() == 0, first.output[-3000:]
    assert_undisturbed(project.results, expected)
    assert not locks.exists()
    shutil.copytree(stale, locks)
    refused = project.snakemake(*RUN)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout
    count("stale locks")
    assert project.snakemake("--unlock", *RUN).returncode == 0
    assert "Nothing to be done" in project.snakemake(*RUN).stdout
    assert_undisturbed(project.results, expected)


def test_a_job_of_a_run_that_is_gone_ends_and_writes_nothing(tmp_path):
    """It knows its run by a process id, which may now be unused or belong to another process."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    command = [sys.executable, "-m", "meiflow.cli.app", "simulate", "--config", "{}"]
    command += ["--results", str(tmp_path / "results")]
    done = subprocess.run(
        command,
        env=os.environ | {RUN_OF: str(ended.pid)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr == "meiflow: error: the run that started this job has ended\n"
    assert not (tmp_path / "results").exists()
