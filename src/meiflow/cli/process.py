"""What ties a command to the run that started it: one version, and an end together."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from meiflow import __file__ as PACKAGE
from meiflow import __version__
from meiflow.errors import MeiflowError
from meiflow.io.writing import discard_unfinished

RUN = "MEIFLOW_RUN"
WORKFLOW = "MEIFLOW_WORKFLOW"


def require_version() -> None:
    """Check that this is the version of the workflow that started the command.

    The Snakefile passes its version in the environment; a command called by hand has none.

    Raises
    ------
    MeiflowError
        If the versions differ.
    """
    expected = os.environ.get(WORKFLOW, __version__)
    if expected != __version__:
        raise MeiflowError(
            f"the workflow is of version {expected}, but its jobs run meiflow {__version__} "
            f"({os.path.dirname(PACKAGE)}); install the same version for both"
        )


@contextmanager
def measured(path: Path) -> Iterator[None]:
    """Write the wall time, CPU time and peak memory of this process, in the columns of Snakemake.

    Nothing is written of a command called by hand, or of one that fails.
    """
    start = time.monotonic()
    yield
    if WORKFLOW not in os.environ:
        return
    seconds = time.monotonic() - start
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(use.ru_utime + use.ru_stime for use in uses)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    memory = max(use.ru_maxrss for use in uses) / unit
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\tcpu_time\n{seconds:.2f}\t{memory:.0f}\t{cpu:.2f}\n")


@contextmanager
def stoppable() -> Iterator[None]:
    """End the process at once on SIGTERM or Ctrl-C, leaving no partially written files.

    Computing threads, which could take minutes, are not waited for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    _end(f"stopped ({signal.Signals(number).name})", 128 + number)


def _end(message: str, status: int) -> None:
    discard_unfinished()
    try:
        os.write(sys.stderr.fileno(), f"meiflow: {message}\n".encode())
    finally:
        os._exit(status)


def hide_echoes() -> None:
    """Do not print that parts of an HDF5 file could not be closed.

    This follows a failure to write the file, e.g. on a full disk, which is reported by itself.
    """
    unraisable, usual = sys.unraisablehook, sys.excepthook

    def is_echo(error: BaseException | None) -> bool:
        return "Can't decrement id ref count" in str(error)

    # Cython prints such an error by both hooks
    sys.unraisablehook = lambda args: None if is_echo(args.exc_value) else unraisable(args)
    sys.excepthook = lambda *args: None if is_echo(args[1]) else usual(*args)


def end_with_run() -> None:
    """End this process when the Snakemake process that started it has ended.

    If the workflow is then run again, perhaps with another configuration, no job of the killed run
    is still writing. The Snakefile passes its process id in the environment.
    """
    try:
        run = os.pidfd_open(int(os.environ[RUN]))
    except ProcessLookupError:
        _end("error: the run that started this job has ended", 1)
    except (KeyError, ValueError, OSError, AttributeError):
        return  # called by hand, or not supported by the system
    end_with(run, "error: the run that started this job has ended; nothing more is written")


def end_with(other: int, message: str) -> None:
    """End this process when a process or connection, given by its descriptor, has ended."""

    def watch() -> None:
        select.select([other], [], [])
        _end(message, 1)

    threading.Thread(target=watch, daemon=True).start()
