"""A process that has imported what jobs import, and forks one for every job.

``python -P server.py ADDRESS`` listens on a Unix socket. A job connects from `sitecustomize` of
`tests.audit` before it has imported anything, and passes its arguments, folder, environment and
standard streams; it ends with the status of the forked process.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import traceback

MOST = 1 << 20


def preload() -> None:
    """Import the stages and the libraries that they import when they are called."""
    import matplotlib.figure
    import pandas
    import scipy.optimize
    import scipy.signal
    import scipy.stats
    import torch

    import meiflow
    import meiflow.cli.app

    torch.set_num_threads(1)
    _ = matplotlib, pandas, scipy
    for found in pkgutil.walk_packages(meiflow.__path__, "meiflow."):
        if not found.name.startswith(("meiflow.session.", "meiflow.cli.__", "meiflow.__main__")):
            importlib.import_module(found.name)


def work(request: dict, streams: list[int]) -> int:
    """Run a command in this process; returns its exit status."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    from tests.audit.hook import sitecustomize

    sitecustomize.install()
    from meiflow.cli.app import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve(address: str) -> None:
    parent = os.getppid()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    listening.settimeout(5)
    while os.getppid() == parent:
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            # a process for the job, and one that waits for it, so that the server waits for none
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.settimeout(None)
            text, streams, _, _ = socket.recv_fds(connection, MOST, 3)
            while not text.endswith(b"\n"):
                text += connection.recv(MOST)
            job = os.fork()
            if job == 0:
                connection.close()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                atexit._clear()
                status = work(json.loads(text), list(streams))
                atexit._run_exitfuncs()
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
            connection.sendall(job.to_bytes(8, "big"))
            status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
            connection.sendall((status % 256).to_bytes(8, "big"))
            os._exit(0)
        connection.close()


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.argv[1])
