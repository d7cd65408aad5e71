"""A forked command does what one that is started does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from meiflow import __version__
from tests import forks
from tests.project import make_project
from tests.workflow.test_run import jobs

pytestmark = pytest.mark.workflow


def test_snakemake_plans_the_same_jobs_and_fails_likewise(tmp_path):
    project = make_project(tmp_path)
    project.configure("wrong.yaml", {"seed": "many"})
    for name, status in (("small.yaml", 0), ("wrong.yaml", 1)):
        plan = ("--dry-run", "--configfile", name)
        started = subprocess.run(
            [sys.executable, "-m", "snakemake", *plan],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        forked = project.snakemake(*plan)
        assert forked.returncode == started.returncode == status
        assert jobs(forked.stdout) == jobs(started.stdout)
        assert ("simulate" in jobs(forked.stdout)) == (status == 0)


def test_the_path_leads_to_forks(tmp_path):
    path = f"{forks.commands(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["meiflow", "--version"],
        env=os.environ | {"PATH": path} | forks.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"meiflow {__version__}\n", "")
