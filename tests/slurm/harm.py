"""A run of the workflow on the toy cluster, and failures that can happen to it."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.project import Project
from tests.slurm import cluster

SNAKEMAKE = ("-m", "snakemake", "--profile", "workflow/profiles/slurm")
PLUGIN = "snakemake_executor_plugin_slurm"
T = TypeVar("T")


def missing() -> str | None:
    """Why nothing can be tested here, or None."""
    if importlib.util.find_spec(PLUGIN) is None:
        return f"no {PLUGIN}: make slurm-env"
    if cluster.obstacle() or not cluster.up():
        return "no toy cluster is up: make slurm-test"
    return None


@dataclass(frozen=True)
class Job:
    """A job as known to the controller; the comment names its rule or group."""

    id: str
    state: str
    node: str
    memory: str
    restarts: int
    comment: str

    def of(self, name: str) -> bool:
        """Whether the job belongs to this rule or group."""
        return bool(re.match(rf"rule_{name}(_|$)", self.comment))


def queue(run: str) -> list[Job]:
    """All jobs of a run that the controller remembers (for five minutes), oldest first."""
    listed = _told("squeue", "-h", "-t", "all", "--name", run, "-o", "%A|%T|%N|%m|%k")
    rows = [line.split("|") for line in listed]
    jobs = [
        Job(i, state, node, mem, _restarts(i), comment) for i, state, node, mem, comment in rows
    ]
    return sorted(jobs, key=lambda job: int(job.id))


def _restarts(job: str) -> int:
    found = re.search(r"Restarts=(\d+)", " ".join(_told("scontrol", "show", "job", job)))
    return int(found.group(1)) if found else 0


def _told(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


class Run:
    """Snakemake with the SLURM profile, in the background; its output is in ``log``."""

    def __init__(self, project: Project, log: Path, *arguments: str) -> None:
        self.log = log
        self.began = time.monotonic()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                # a shell without job control makes background processes ignore Ctrl-C
                ["env", "--default-signal=INT", sys.executable, *SNAKEMAKE, *arguments],
                cwd=project.folder,
                env=os.environ | {"PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        """The output of Snakemake so far."""
        return self.log.read_text()

    def jobs(self) -> list[Job]:
        """Jobs of the run that the controller remembers, oldest first."""
        name = re.search(r"SLURM run ID: (\S+)", self.text())
        return queue(name.group(1)) if name else []

    def submissions(self) -> int:
        """Number of jobs submitted so far."""
        return self.text().count("has been submitted with SLURM jobid")

    def running(self, rule: str, timeout: float = 900) -> Job:
        """Wait until a job of this rule or of its group is running."""

        def found() -> Job | None:
            named = [job for job in self.jobs() if job.of(rule) and job.state == "RUNNING"]
            return named[-1] if named else None

        return self.until(found, f"a running job of {rule}", timeout)

    def until(self, found: Callable[[], T | None], what: str, timeout: float = 900) -> T:
        """Wait for something while Snakemake runs."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            if (there := found()) is not None:
                return there
            time.sleep(0.5)
        raise AssertionError(f"{what}: not seen\n{self.text()[-3000:]}")

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=180)

    def finish(self, timeout: float = 3600) -> float:
        """Wait for the end; returns the seconds from the start."""
        code = self.process.wait(timeout=timeout)
        assert code == 0, self.text()[-5000:]
        return time.monotonic() - self.began

    def kill(self) -> None:
        """End the run and its jobs if they are still running."""
        if self.process.poll() is None:
            self.interrupt()


def cancel(job: Job) -> None:
    """Cancel a job, like an operator, or a user by mistake."""
    subprocess.run(["scancel", job.id], check=True)
