"""Start of a job in the warm process of its run, or in a process of its own.

Run as a script with ``python -I -S``, which takes 20 ms; therefore it imports nothing of meiflow.
Its exit status is that of the job. Signals are passed on to the job, which also ends when this
process is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from types import FrameType

WARM = "MEIFLOW_WARM"
NUMBER = struct.Struct("<i")
CREDENTIALS = struct.Struct("3i")  # process, user, group


def run(arguments: list[str]) -> int:
    """Run a command of meiflow; returns its exit status, negative if a signal ended it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect("\0" + os.environ[WARM])
        connected = same_user(server)
    except (KeyError, OSError):  # still importing, or not running
        connected = False
    if not connected:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "meiflow", *arguments])
    parts = [os.getcwd(), str(len(arguments)), *arguments, *map("=".join, os.environ.items())]
    content = "\0".join(parts).encode(errors="surrogateescape")
    socket.send_fds(server, [NUMBER.pack(len(content))], [0, 1, 2])
    server.sendall(content)
    job = _number(server)
    if job is not None:
        _pass_on_signals(job)
    status = _number(server)
    if status is None:
        print(
            "meiflow: error: the process that runs this job has ended; run again", file=sys.stderr
        )
        return 1
    return status


def same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to the user of this process."""
    who = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return CREDENTIALS.unpack(who)[1] == os.getuid()


def _number(server: socket.socket) -> int | None:
    try:
        content = server.recv(NUMBER.size, socket.MSG_WAITALL)
    except ConnectionError:
        return None
    return NUMBER.unpack(content)[0] if len(content) == NUMBER.size else None


def _pass_on_signals(job: int) -> None:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):  # has just ended
            os.kill(job, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)


if __name__ == "__main__":
    status = run(sys.argv[1:])
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
