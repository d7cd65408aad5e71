"""Snakemake and its jobs as forks of one process that has imported their modules.

Starting them takes longer than what most tests let them do. The process is the warm process of a
run (`meiflow.cli.warm`), shared by all runs and workers of a test session; it can also run
Snakemake. How a user's run starts is tested by `tests/cli`, `tests/faults` and
`tests/workflow/test_interpreter.py`, which do without it.
"""

from __future__ import annotations

import errno
import os
import shlex
import socket
import subprocess
import sys
import time
from functools import cache
from importlib import import_module
from pathlib import Path

from meiflow.cli import app, client, warm
from meiflow.cli.process import RUN

HOOK = Path(__file__).parent / "audit" / "hook"
_PATIENCE_S = 300.0
# What stages import late, and the warm process of a run therefore does not. Not rastermap, whose
# import starts threads, after which nothing may be forked.
_MODULES = ("numba", "pynwb", "seaborn", "sklearn.ensemble", "sklearn.linear_model", "xarray")
SUPPORTED = sys.platform == "linux"


def command(program: str) -> list[str]:
    """The start of a command line of meiflow or Snakemake, to be run in `environment`."""
    if not SUPPORTED:
        return [sys.executable, "-m", program]
    forked = [sys.executable, "-I", "-S", client.__file__]
    # a job with several threads would not be forked
    return forked if program == "meiflow" else [*forked, "snakemake", "--max-threads", "1"]


def environment() -> dict[str, str]:
    """Environment variables with which commands, and the jobs of Snakemake, are forked."""
    return {client.WARM: _server()} if SUPPORTED else {}


def commands(folder: Path) -> str:
    """A folder for PATH whose ``meiflow`` and ``snakemake`` are those of `command`."""
    folder.mkdir()
    for program in ("meiflow", "snakemake"):
        path = folder / program
        path.write_text(f'#!/bin/sh\nexec {shlex.join(command(program))} "$@"\n')
        path.chmod(0o755)
    return str(folder)


@cache
def _server() -> str:
    """Name of the process; started by the first worker that asks, and ends with the session."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    owner = os.getppid() if session else os.getpid()
    name = f"meiflow-tests-{session or owner}"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(f"\0{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            number = listener.fileno()
            hook = f"{HOOK}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
            single = {"PYTHONPATH": hook, RUN: str(owner), "OMP_NUM_THREADS": "1"}
            subprocess.Popen(
                [sys.executable, "-P", __file__, str(number)],
                env=os.environ | single,
                stdin=subprocess.DEVNULL,
                pass_fds=[number],
            )
    end = time.monotonic() + _PATIENCE_S
    while not _answers(name):
        assert time.monotonic() < end, "the process from which commands are forked does not answer"
        time.sleep(0.05)
    return name


def _answers(name: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(f"\0{name}") == 0


def _serve(listener: socket.socket) -> None:
    """Fork a process for each command, with what Python would do at its start."""
    import snakemake.cli

    audit = import_module("sitecustomize")  # tests/audit/hook
    for module in _MODULES:
        import_module(module)

    def run() -> None:
        if sys.argv[1] == "snakemake":
            del sys.argv[0]
        audit.start(sys.argv[0])
        if sys.argv[0] == "snakemake":
            sys.path.insert(0, os.getcwd())
            snakemake.cli.main()
        else:
            main()

    main, app.main = app.main, run
    warm.start = lambda: None  # of the runs: it is this process
    warm.serve(listener)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
