"""The packaged workflow, opened and run through Snakemake's Python interface.

Only this module knows Snakemake's objects; what it returns are plain values.
"""

from __future__ import annotations

import logging
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from meiflow.cli.project import SNAKEFILE
from meiflow.errors import MeiflowError
from meiflow.session.dataset import Dataset

_FAILED = "At least one job did not complete"
# Rules without work of their own.
TARGETS = frozenset({"all"})


@dataclass(frozen=True)
class Job:
    """A job that has to run.

    Parameters
    ----------
    stage : str
        Name of the rule.
    threads : int
    old, new : tuple of str
        Params with which its output was made and that it has now, where these differ.
    reasons : tuple of str
        Snakemake's reasons, in its words.
    checkpoint : bool
        Whether jobs that are not known yet follow.
    """

    stage: str
    threads: int = 1
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    checkpoint: bool = False


class Engine:
    """The workflow of one configuration; use `opened`."""

    def __init__(self, api: Any, workflow_api: Any) -> None:
        self._api, self._workflow_api = api, workflow_api
        self._workflow: Any = workflow_api._workflow  # reads the Snakefile
        self.complete = False  # whether every job of the last execution ended well

    @property
    def dataset(self) -> Dataset:
        """The sessions of the configuration."""
        found: Dataset = self._workflow.globals["DATASET"]
        return found

    @property
    def front_page(self) -> str:
        """Path of the report, relative to the folder of the run."""
        return str(self._workflow.globals["FRONT_PAGE"])

    @property
    def log(self) -> str:
        """Path of Snakemake's own log; empty for a dry run."""
        return next(iter(self._api.logger_manager.get_logfile()), "")

    @property
    def of_each_neuron(self) -> list[str]:
        """Names of the rules with one job for each neuron."""
        return list(self._workflow.globals["OF_EACH"])

    @property
    def rules(self) -> list[str]:
        """Names of all rules of this configuration, in the order of the workflow."""
        return [rule.name for rule in self._workflow.rules if rule.name not in TARGETS]

    def counts(self) -> Counter[str]:
        """Number of jobs that have to run, or have run, by rule."""
        dag = self._workflow.dag
        jobs = dag.needrun_jobs(exclude_finished=False) if dag is not None else ()
        return Counter(job.rule.name for job in jobs if job.rule.name not in TARGETS)

    def execute(
        self, targets: tuple[str, ...] = (), until: tuple[str, ...] = (), dry_run: bool = False
    ) -> list[Job]:
        """Run, or plan, what is needed for the targets.

        Returns
        -------
        list of Job
            Of a dry run, the jobs that have to run, in the order of their dependencies.

        Raises
        ------
        MeiflowError
            If the run cannot start. A failed job raises nothing, but leaves `complete` False.
        """
        from snakemake.settings.types import DAGSettings, ExecutionSettings

        settings = DAGSettings(targets=targets, until=until, force_incomplete=True)
        self.complete = False
        with _as_meiflow_error():
            dag_api = self._workflow_api.dag(dag_settings=settings)
            dag_api.execute_workflow(
                pseudo_executor="dryrun" if dry_run else None,
                execution_settings=ExecutionSettings(keep_going=True),
            )
            self.complete = True
        return self._plan() if dry_run else []

    def _plan(self) -> list[Job]:
        dag = self._workflow.dag
        waiting = list(dag.needrun_jobs(exclude_finished=False))
        found = []
        for level in dag.toposorted(set(waiting)):
            for job in sorted(level, key=str):
                if job.rule.name not in TARGETS:
                    found.append(self._job(job, dag.reason(job)))
        return found

    def _job(self, job: Any, reason: Any) -> Job:
        changed = reason.params_changed
        old, new = (changed.only_old, changed.only_new) if changed else ((), ())
        names = (name for name in reason.get_names() if not name.startswith("params"))
        changed_params = tuple(old), tuple(new)
        more = job.rule.is_checkpoint
        return Job(job.rule.name, job.threads, *changed_params, tuple(names), more)

    def unlock(self) -> None:
        """Remove the lock that a killed run left."""
        from snakemake.settings.types import DAGSettings

        with _as_meiflow_error():
            self._workflow_api.dag(dag_settings=DAGSettings()).unlock()


@contextmanager
def opened(
    config: Path, folder: Path, cores: int, handler: logging.Handler, dry_run: bool = False
) -> Iterator[Engine]:
    """Open the packaged workflow.

    Parameters
    ----------
    config : Path
        Configuration, on top of a ``config.yaml`` in `folder`.
    folder : Path
        Folder in which the workflow runs, with ``results/``.
    cores : int
    handler : Handler
        Receives Snakemake's messages in the place of its own handler for the terminal.
    dry_run : bool
        Whether no log file is written.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings(dryrun=dry_run, show_failed_logs=True)) as api:
        for terminal in list(logger.handlers):
            logger.removeHandler(terminal)
        logger.addHandler(handler)
        with _as_meiflow_error():
            workflow_api = api.workflow(
                resource_settings=ResourceSettings(cores=cores),
                config_settings=ConfigSettings(configfiles=[config]),
                snakefile=Path(SNAKEFILE),
                workdir=folder,
            )
            engine = Engine(api, workflow_api)
        yield engine


def snakemake_formatter() -> logging.Formatter:
    """How Snakemake itself writes its messages."""
    from snakemake.logging import DefaultFormatter

    formatter: logging.Formatter = DefaultFormatter(show_failed_logs=True)
    return formatter


@contextmanager
def _as_meiflow_error() -> Iterator[None]:
    from snakemake.exceptions import WorkflowError

    try:
        yield
    except WorkflowError as error:
        text = str(error)
        if _FAILED in text:
            return
        if "cannot be locked" in text:
            text = (
                "another run is working in this folder, or one was killed; if none is working, "
                "remove its lock with --unlock"
            )
        # an error inside an input function comes with Snakemake's words around it
        inner = re.search(r"MeiflowError: (.*?)(?:\nWildcards:|\Z)", text, re.DOTALL)
        raise MeiflowError(inner[1] if inner else text) from None


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Turn the first Ctrl-C into KeyboardInterrupt after ending the jobs; ignore further ones.

    Yields
    ------
    list of int
        The signals received.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        _end_jobs()
        if len(received) == 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, before)


def _end_jobs() -> None:
    """End the commands that Snakemake started here; those on other machines it cancels itself."""
    from snakemake.shell import shell

    # without its lock, which the interrupted code may hold
    for process in list(shell._processes.values()):
        with suppress(OSError):
            process.terminate()
