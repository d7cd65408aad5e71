"""A warm process from which the jobs of a run are forked, so that modules are imported once.

Importing PyTorch, SciPy and matplotlib takes longer than the work of most jobs. The Snakefile
calls `start`, which starts a process that imports them. A job then starts with
`meiflow.cli.client`, which passes its arguments, folder, environment and open files to that
process; a fork of it runs the command as a new process would. Jobs that begin before the imports
are done, or that run on another machine, import the modules themselves. The threads of a job are
Python's; PyTorch and BLAS use one thread in each.
"""

from __future__ import annotations

import atexit
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
import uuid
from contextlib import suppress
from importlib import import_module

from meiflow.cli.client import NUMBER, WARM, same_user
from meiflow.cli.process import RUN, end_with

_BACKLOG = 512
_MODULES = (
    "torch",
    "torch.fx.experimental.symbolic_shapes",  # with SymPy, by the first gradient
    "skimage.morphology",
    *(f"matplotlib.backends.backend_{kind}" for kind in ("agg", "svg")),
)
_THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")  # _NUM_THREADS


def start() -> None:
    """Start the warm process of this run, and name it in the environment of its jobs.

    Only on Linux, and not if ``MEIFLOW_WARM=off``.
    """
    if sys.platform != "linux" or os.environ.get(WARM) == "off":
        return
    name = f"meiflow-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"\0{name}")
        one = {f"{library}_NUM_THREADS": "1" for library in _THREADS}
        number = listener.fileno()
        subprocess.Popen(
            [sys.executable, "-P", "-m", "meiflow.cli.warm", str(number)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | one,
            pass_fds=[number],
        )
    os.environ[WARM] = name


def _import_modules() -> None:
    from meiflow.cli import app
    from meiflow.stages.registry import STAGES

    for module in _MODULES:
        import_module(module)
    for stage in STAGES.values():
        if stage.inputs:  # the others come first
            import_module(f"meiflow.stages.{stage.call.partition(':')[0]}")
    app.stages.one_thread()
    gc.collect()
    gc.freeze()  # so that the collector does not copy what forks share


def serve(listener: socket.socket) -> None:
    """Fork a process for each job that connects, until the run ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # these end the jobs; this process ends with the run
    end_of_run = os.pidfd_open(int(os.environ[RUN]))
    _import_modules()
    listener.listen(_BACKLOG)
    jobs: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as awaited:
        awaited.register(listener, selectors.EVENT_READ)
        awaited.register(end_of_run, selectors.EVENT_READ)
        while True:
            for key, _ in awaited.select():
                if key.fd == end_of_run:
                    return
                if key.fd != listener.fileno():
                    _report(*jobs.pop(key.fd))
                    awaited.unregister(key.fd)
                    os.close(key.fd)
                    continue
                connection = listener.accept()[0]
                if not same_user(connection):
                    connection.close()
                    continue
                process = os.fork()
                if process == 0:
                    awaited.close()
                    listener.close()
                    for _, other in jobs.values():
                        other.close()
                    _run_job(connection)
                with suppress(OSError):  # the client may have been killed
                    connection.sendall(NUMBER.pack(process))
                ended = os.pidfd_open(process)
                jobs[ended] = (process, connection)
                awaited.register(ended, selectors.EVENT_READ)


def _report(process: int, connection: socket.socket) -> None:
    """Send the exit status of a job to its client."""
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with connection, suppress(OSError):
        connection.sendall(NUMBER.pack(status))


def _run_job(connection: socket.socket) -> None:
    """Run the command of a client in this process, and end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    status = 1
    try:
        content, files, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
        size = NUMBER.unpack(content)[0]
        parts = connection.recv(size, socket.MSG_WAITALL).decode(errors="surrogateescape")
        folder, count, *words = parts.split("\0")
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)
        os.chdir(folder)
        os.environ.clear()
        for name, _, value in (word.partition("=") for word in words[int(count) :]):
            os.environ[name] = value
        sys.argv = ["meiflow", *words[: int(count)]]
        end_with(connection.fileno(), "error: stopped")
        status = _status_of_command()
    except OSError:
        traceback.print_exc()
    finally:
        os._exit(status)


def _status_of_command() -> int:
    from meiflow.cli.app import main

    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
