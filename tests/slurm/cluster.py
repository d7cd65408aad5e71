"""A small SLURM cluster on this machine to test the workflow: a controller and several nodes.

::

    python -m tests.slurm.cluster start 3      # Debian, as root; installs slurm-wlm and munge
    python -m tests.slurm.cluster lose n2      # the node dies with its jobs
    python -m tests.slurm.cluster back n2
    python -m tests.slurm.cluster restart      # the controller, after a few seconds' outage
    python -m tests.slurm.cluster stop         # and remove everything

All nodes share the machine's cores and file system; the resources they report are fictitious. A job
above its memory is killed. There is no accounting database, as on many small clusters.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

DEBIAN = Path("/etc/debian_version")
ETC = Path("/etc/slurm")
CONF = ETC / "slurm.conf"
HOME = Path("/run/meiflow-slurm")
MARK = "# The toy cluster of meiflow's tests."

TEMPLATE = """{mark}
ClusterName=meiflow
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
# a lost job starts anew when the credentials of the old one are void
AuthInfo=cred_expire=15
SchedulerParameters=sched_interval=5,bf_interval=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=3600
AccountingStorageType=accounting_storage/none
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
SlurmctldLogFile={home}/log/slurmctld.log
SlurmdLogFile={home}/log/slurmd-%n.log
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus}"
    " RealMemory={memory_mb} State=UNKNOWN"
)


class ClusterError(Exception):
    """One line that states why there can be no cluster here."""


def obstacle() -> str | None:
    """Why a cluster cannot be started on this machine, or None."""
    if os.geteuid() != 0:
        return "a toy SLURM cluster needs root"
    if not DEBIAN.is_file():
        return "a toy SLURM cluster can only be set up on Debian"
    if CONF.exists() and not _ours():
        return f"{CONF} is there and not ours: this machine has a SLURM already"
    return None


def start(nodes: int = 3, cpus: int = 2, memory_mb: int = 16000) -> None:
    """Start the controller and the nodes n1, n2, ..., after removing an earlier toy cluster.

    Parameters
    ----------
    nodes, cpus, memory_mb : int
        Number of nodes, and what each reports.

    Raises
    ------
    ClusterError
        If it cannot be started, or does not come up.
    """
    if why := obstacle():
        raise ClusterError(why)
    stop()
    _install()
    for folder in ("state", "spool", "log"):
        (HOME / folder).mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    names = [f"n{i}" for i in range(1, nodes + 1)]
    lines = [
        NODE.format(name=name, host=host, port=17000 + i, cpus=cpus, memory_mb=memory_mb)
        for i, name in enumerate(names)
    ]
    ETC.mkdir(exist_ok=True)
    CONF.write_text(TEMPLATE.format(mark=MARK, host=host, home=HOME, nodes="\n".join(lines)))
    try:
        _munge()
        _run("slurmctld")
        for name in names:
            _node(name)
        _until(lambda: states().count("idle") == nodes, "the nodes do not come up")
    except ClusterError:
        stop()
        raise


def stop() -> None:
    """End everything that `start` started, jobs included, and remove its files."""
    ours = _ours()
    if ours and _alive(HOME / "slurmctld.pid"):
        for job in _jobs():
            _end_job(job)
    if HOME.is_dir():
        for path in (*HOME.glob("slurm*.pid"), HOME / "munged.pid"):
            _end(path)
        shutil.rmtree(HOME)
    if ours:
        CONF.unlink()


def lose(name: str) -> list[str]:
    """Kill a node and everything that runs on it; returns the ids of its jobs."""
    jobs = _jobs("--nodelist", name)
    _end(HOME / f"slurmd-{name}.pid", signal.SIGKILL)
    for job in jobs:
        _end_job(job)
    _run("scontrol", "update", f"nodename={name}", "state=down", "reason=lost")
    return jobs


def back(name: str) -> None:
    """Bring back a lost node, which registers with the controller."""
    _node(name)


def restart(pause: float = 3.0) -> None:
    """Stop the controller for a few seconds."""
    _end(HOME / "slurmctld.pid")
    time.sleep(pause)
    _run("slurmctld")


def up() -> bool:
    """Whether the toy cluster's controller responds."""
    return _ours() and _alive(HOME / "slurmctld.pid") and bool(states())


def states() -> list[str]:
    """State of each node, as reported by ``sinfo``."""
    return _run("sinfo", "--noheader", "--Node", "--format=%T", check=False).split()


def _ours() -> bool:
    return CONF.exists() and CONF.read_text().startswith(MARK)


def _install() -> None:
    if all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        return
    for arguments in (
        ("update",),
        ("install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"),
    ):
        _run("apt-get", "-qq", *arguments, DEBIAN_FRONTEND="noninteractive")


def _munge() -> None:
    """Start a munge daemon, unless one responds already."""
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
        return
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    _run("runuser", "-u", "munge", "--", "munged", "--force")
    shutil.copy("/run/munge/munged.pid", HOME / "munged.pid")


def _node(name: str) -> None:
    (HOME / "spool" / name).mkdir(exist_ok=True)
    _run("slurmd", "-N", name)


def _jobs(*where: str) -> list[str]:
    return _run("squeue", "--noheader", "--format=%A", "--states=R,CG", *where, check=False).split()


def _end_job(job: str) -> None:
    """Kill all processes of a job, its step daemons first, like a node that loses power."""
    mine = list(_of_job(job))
    for pid in mine:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _of_job(job: str) -> Iterator[int]:
    """Processes of a job: ``slurmstepd: [job.step]``, and those with its id in the environment."""
    variable = f"SLURM_JOB_ID={job}".encode()
    around = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if command.startswith(f"slurmstepd: [{job}.".encode()):
            yield int(folder.name)
        elif variable in environment:
            around.append(int(folder.name))
    yield from around


def _alive(path: Path) -> bool:
    try:
        os.kill(int(path.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _end(path: Path, how: signal.Signals = signal.SIGTERM) -> None:
    """End the daemon of this pid file and wait for it."""
    try:
        pid = int(path.read_text())
        os.kill(pid, how)
    except (OSError, ValueError):
        return
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def _until(true: Callable[[], bool], otherwise: str) -> None:
    for _ in range(120):
        if true():
            return
        time.sleep(0.5)
    raise ClusterError(otherwise)


def _run(*command: str, check: bool = True, **environment: str) -> str:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | environment,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stdout.strip()[-500:]}")
    return done.stdout


def main() -> None:
    """Start or stop the cluster, or cause a failure."""
    parser = argparse.ArgumentParser(prog="tests.slurm.cluster", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    begin = commands.add_parser("start")
    begin.add_argument("nodes", type=int, nargs="?", default=3)
    begin.add_argument("--cpus", type=int, default=2, help="of a node")
    begin.add_argument("--memory-mb", type=int, default=16000, help="of a node")
    for name in ("lose", "back"):
        commands.add_parser(name).add_argument("node")
    commands.add_parser("restart")
    commands.add_parser("stop")
    given = parser.parse_args()
    try:
        if given.command == "start":
            start(given.nodes, given.cpus, given.memory_mb)
            print(f"{given.nodes} nodes: {' '.join(states())}")
        elif given.command in ("lose", "back"):
            print(*({"lose": lose, "back": back}[given.command](given.node) or []))
        else:
            {"restart": restart, "stop": stop}[given.command]()
    except ClusterError as error:
        sys.exit(f"tests.slurm.cluster: error: {error}")


if __name__ == "__main__":
    main()
