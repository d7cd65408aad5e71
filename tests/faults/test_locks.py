"""The lock of a killed run, two runs in one folder, and a job that outlives its run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from meiflow.cli.process import RUN as RUN_OF
from tests.faults.session import RUN, Running, assert_undisturbed, gone, wait_until
from tests.project import Project

pytestmark = pytest.mark.workflow


@pytest.fixture
def project(whole, tmp_path) -> Project:
    """A project whose neurons are not yet done."""
    project = whole.copy(tmp_path / "copy")
    shutil.rmtree(project.results / "neurons")
    return project


def test_second_runs_and_stale_locks_are_refused_and_harm_nothing(project, expected, count):
    first = Running(project)
    wait_until(lambda: bool(first.jobs()), "the first job")
    second = project.snakemake(*RUN)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    count("second runs in one folder")
    jobs = first.jobs()
    first.send(signal.SIGKILL)
    first.wait()
    wait_until(lambda: gone(jobs), "the jobs of the killed run to end", 60)
    refused = project.snakemake(*RUN)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout
    count("stale locks")
    assert project.snakemake("--unlock", *RUN).returncode == 0
    third = Running(project)
    wait_until(lambda: third.jobs_done > 1 or third.ended, "two jobs")
    second = project.snakemake(*RUN)
    assert second.returncode != 0
    assert third.wait() == 0, third.output[-3000:]
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
