"""Jobs that are forked from the warm process of a run behave like processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from meiflow.cli import client
from meiflow.cli.process import RUN

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")

# Starts the warm process as the Snakefile does, and lives until its input ends.
SNAKEFILE = f"""
import os, sys
from meiflow.cli import warm
os.environ["{RUN}"] = str(os.getpid())
warm.start()
print(os.environ["{client.WARM}"], flush=True)
sys.stdin.read()
"""


def wait_until(happens: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


@dataclass(frozen=True)
class Warm:
    """The warm process of a run."""

    run: subprocess.Popen
    environment: dict[str, str]

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.run.pid).children()[0]

    def start(self, *arguments: str, cwd: Path, **environment: str) -> subprocess.Popen:
        """Start a command with the client."""
        return subprocess.Popen(
            [sys.executable, "-I", "-S", client.__file__, *arguments],
            cwd=cwd,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def waiting(self, folder: Path) -> tuple[subprocess.Popen, psutil.Process]:
        """A command that waits for its configuration, and the fork that runs it."""
        pipe = folder / "pipe.yaml"
        os.mkfifo(pipe)
        started = self.start("check", pipe.name, cwd=folder)
        wait_until(self.process.children)
        [fork] = self.process.children()
        wait_until(lambda: catches(fork, signal.SIGTERM))
        return started, fork


def catches(process: psutil.Process, number: int) -> bool:
    """Whether a process has a handler of a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def accepts(name: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(f"\0{name}") == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Warm]:
    """A run whose warm process has imported its modules."""
    run = subprocess.Popen(
        [sys.executable, "-c", SNAKEFILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    name = run.stdout.readline().strip()
    wait_until(lambda: accepts(name))
    yield Warm(run, os.environ | {client.WARM: name, RUN: str(run.pid)})
    run.communicate()


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["reference", "files"], {}),
        (["check", "missing.yaml"], {}),
        (["schema"], {"MEIFLOW_WORKFLOW": "9.9"}),
        (["check", "ünï code.yaml"], {"EMPTY": "", "EQUAL": "a=b"}),
    ],
)
def test_a_fork_answers_like_a_process_of_its_own(server, tmp_path, arguments, environment):
    (tmp_path / "ünï code.yaml").write_text("seed: many")
    forked = server.start(*arguments, cwd=tmp_path, **environment)
    alone = server.start(*arguments, cwd=tmp_path, **environment, **{client.WARM: "nobody"})
    assert forked.communicate() == alone.communicate()
    assert forked.returncode == alone.returncode


def test_a_stop_reaches_the_job(server, tmp_path):
    job, fork = server.waiting(tmp_path)
    job.terminate()
    assert job.communicate()[1] == "meiflow: stopped (SIGTERM)\n"
    assert job.returncode == 128 + signal.SIGTERM
    assert ended(fork)


def test_a_job_does_not_outlive_its_client(server, tmp_path):
    job, fork = server.waiting(tmp_path)
    job.kill()
    job.communicate()
    wait_until(lambda: ended(fork))


def test_a_killed_job_is_a_killed_client(server, tmp_path):
    job, fork = server.waiting(tmp_path)
    fork.kill()
    job.communicate()
    assert job.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_other_users_are_refused(server):
    other = os.fork()
    if other == 0:
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"\0{server.environment[client.WARM]}")
            os._exit(0 if connection.recv(1) == b"" else 1)
    assert os.waitpid(other, 0)[1] == 0


def test_everything_ends_with_the_run(server, tmp_path):
    job, fork = server.waiting(tmp_path)
    warm = server.process
    server.run.kill()
    assert "the run that started this job has ended" in job.communicate()[1]
    wait_until(lambda: ended(fork) and ended(warm))
