"""The default run on a toy SLURM cluster of three nodes with failures, compared with a local run.

``python -m benchmarks.slurm_run --local results/demo`` (Debian, as root; about ten minutes) starts
the cluster and runs the workflow of this folder in a temporary one with the profile for SLURM.
During the run a job is cancelled, a node is lost with its job, and the controller is restarted. All
results are compared byte for byte with those of ``make run`` on this machine. Prints seconds,
submissions and differing files.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.project import contents, make_project
from tests.slurm import cluster
from tests.slurm.harm import Run, cancel


def run_with_failures(folder: Path, *arguments: str) -> Path:
    """Run the workflow through a cancelled job, a lost node and a restart of the controller.

    Parameters
    ----------
    folder : Path
        Empty folder for the run.
    *arguments : str
        Arguments of Snakemake after the profile.

    Returns
    -------
    Path
        Results folder.
    """
    project = make_project(folder)
    run = Run(project, folder / "run.log", *arguments)
    try:
        cancelled = run.running("selection")
        cancel(cancelled)
        print(f"job {cancelled.id} cancelled ({cancelled.comment})", flush=True)
        fitting = run.running("fit_models")
        print(f"{fitting.node} lost with job {cluster.lose(fitting.node)}", flush=True)
        other = run.running("stimuli")
        cluster.restart()
        print(f"controller restarted while job {other.id} ran", flush=True)
        cluster.back(fitting.node)
        seconds = run.finish(7200)
    finally:
        run.kill()
    print(f"{seconds:.0f} s, {run.submissions()} submissions")
    for job in run.jobs():
        print(f"  {job.id} {job.state} restarts={job.restarts} {job.comment}")
    return project.results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--local", type=Path, required=True, help="results of the local run")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="an empty folder to run in")
    given = parser.parse_args()
    cluster.start(given.nodes)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            ours = contents(run_with_failures(given.keep or Path(temporary), "--cores", "2"))
    finally:
        cluster.stop()
    local = contents(given.local)
    differing = [name for name in local.keys() | ours.keys() if local.get(name) != ours.get(name)]
    print(f"{len(local)} files locally, {len(ours)} from SLURM; differing: {differing or 'none'}")


if __name__ == "__main__":
    main()
