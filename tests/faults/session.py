"""The smallest session that all faults can affect, and the expected traces of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from meiflow.io.checksums import CHECKSUMS, read_checksums
from tests.project import SECONDS, Project, altered, finished_project

LESS = {"selection": {"top_k": 2}, "model": {"learning_curve": [0.5]}}
TINY = altered(SECONDS, LESS)
RUN = ("--cores", "2", "--configfile", "small.yaml")
# Must be identical to the byte; not logs, times, and HDF5, which contains its creation time.
SAME = (".csv", ".json", ".npy", ".npz", ".zip", ".png", ".svg", ".html")
PATIENCE_S = 300.0
WARM = ["-P", "-m", "meiflow.cli.warm"]


def undisturbed(factory: pytest.TempPathFactory) -> Project:
    """The session after an undisturbed run; must not be changed."""
    return finished_project(factory, TINY, "undisturbed")


def contents(results: Path) -> dict[str, bytes]:
    """Every result under its final name, and every line of its checksums."""
    files = {
        str(p.relative_to(results)): p.read_bytes()
        for p in sorted(results.rglob("*"))
        if p.suffix in SAME and not p.name.startswith(".")
    }
    sums = {
        f"{p.relative_to(results)}: {name}": known.encode()
        for p in sorted(results.rglob(CHECKSUMS))
        for name, known in read_checksums(p.parent).items()
    }
    return files | sums


def differing(results: Path, whole: dict[str, bytes]) -> list[str]:
    """Names of results that exist, but differ from those of an undisturbed run.

    Finished parts of an unfinished fit may exist: the next run uses and removes them. The
    provisional report is whole, but leads to the report only when that is there.
    """
    found = contents(results) if results.exists() else {}
    return sorted(
        name
        for name, content in found.items()
        if content != whole.get(name)
        and not name.startswith("models/parts/")
        and not (name == "provisional.html" and content.endswith(b"</html>"))
    )


def leftovers(results: Path) -> list[str]:
    """Temporary files."""
    return [str(p) for p in results.rglob("*") if ".part" in p.name]


def assert_undisturbed(results: Path, whole: dict[str, bytes]) -> None:
    """Assert that the results are exactly those of an undisturbed run."""
    assert contents(results).keys() ^ whole.keys() == set()
    assert not differing(results, whole)
    assert not leftovers(results)


def wait_until(happens: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until something happens; fail if it does not."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)


# A shell without job control makes background processes ignore Ctrl-C.
UNIGNORED = ("env", "--default-signal=INT")


@dataclass(frozen=True)
class Job:
    """A running meiflow command, its client, or the fork of the warm process that runs it."""

    stage: str
    process: psutil.Process


class Running:
    """A snakemake that runs in a separate process group.

    Parameters
    ----------
    project : Project
    *arguments : str
        Arguments that replace `RUN`.
    """

    def __init__(self, project: Project, *arguments: str) -> None:
        self._log = project.folder / f"snakemake_{time.monotonic_ns()}.log"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*UNIGNORED, sys.executable, "-m", "snakemake", *(arguments or RUN)],
                cwd=project.folder,
                env=os.environ | {"PATH": path},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def jobs_done(self) -> int:
        return self.output.count("\nFinished jobid:")

    def jobs(self) -> list[Job]:
        """The meiflow commands that are running."""
        found = []
        try:
            processes = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        for process in processes:
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if words[1:4] == ["-P", "-m", "meiflow"] or words[1:3] == ["-I", "-S"]:
                found.append(Job(words[4], process))
            elif words[1:4] == WARM and process.ppid() != self.process.pid:
                found.append(Job("", process))
        return found

    def wait(self) -> int:
        """Wait for the end; returns the exit status."""
        return self.process.wait(PATIENCE_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to snakemake alone."""
        self.process.send_signal(number)

    def send_all(self, number: signal.Signals) -> None:
        """Send a signal to snakemake and its jobs, as a terminal does with Ctrl-C."""
        os.killpg(self.process.pid, number)


def gone(jobs: list[Job]) -> bool:
    """Whether all jobs have ended."""
    return not any(_runs(job.process) for job in jobs)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
