"""Run the workflow of a configuration, plan it, or describe its state."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meiflow.cli import variants
from meiflow.cli.engine import Engine, Job, interruptible, opened
from meiflow.cli.expected import Expected, count_fitted, duration, earlier, most_neurons
from meiflow.cli.plan import described, to_follow
from meiflow.cli.screen import Screen
from meiflow.cli.watch import Watch
from meiflow.errors import MeiflowError, closest
from meiflow.io.paths import require_file
from meiflow.results.layout import Layout, NeuronLayout

_INTERRUPTED = 130
_STOPPED = "meiflow: stopped; run the same command again to resume"


@dataclass(frozen=True)
class Request:
    """What to run.

    Parameters
    ----------
    config : Path
        Configuration, absolute.
    project : Path
        Its folder.
    folder : Path
        Folder in which the workflow runs: that of the project, or of a variant.
    neurons : tuple of str
        Neurons to which the run is restricted.
    until : str or None
        Last stage.
    cores : int
    """

    config: Path
    project: Path
    folder: Path
    neurons: tuple[str, ...]
    until: str | None
    cores: int

    @classmethod
    def of(
        cls,
        config: Path,
        neurons: list[str] | None,
        until: str | None,
        cores: int,
        variant: str | None,
    ) -> Request:
        """From the options of a command; lays out the folder of a variant."""
        require_file(config)
        config = config.absolute()
        project = folder = config.parent
        if variant is not None:
            folder = variants.prepare(config, variant)
            config = folder / config.name
        return cls(config, project, folder, tuple(neurons or ()), until, cores)

    def targets(self, engine: Engine) -> tuple[str, ...]:
        """Files to request; none for everything."""
        ids = engine.dataset.ids or ()
        if self.neurons and len(ids) != 1:
            raise MeiflowError("--neuron: with many sessions, run the configuration of one of them")
        return tuple(
            Layout(f"results/{ids[0]}").neuron(n).comparison.as_posix() for n in self.neurons
        )

    def last_stages(self, engine: Engine) -> tuple[str, ...]:
        """Rules after which to stop; none to run everything."""
        if self.until is None:
            return ()
        rules = engine.rules
        name = self.until.replace("-", "_")
        if name in rules:
            return (name,)
        files = [*Layout.files().values(), *NeuronLayout.files().values()]
        in_folder = {file.stage for file in files if Path(file.path).parts[0] == self.until}
        if found := tuple(rule for rule in rules if rule in in_folder):
            return found
        raise MeiflowError(
            f"--until {self.until!r}: no such stage{closest(name, rules)}; allowed: "
            f"{', '.join(rules)}"
        )


@contextmanager
def _ready(request: Request, screen: Screen, dry_run: bool) -> Iterator[Engine]:
    """The workflow of a request, with the results of a variant in place and earlier times known."""
    with opened(request.config, request.folder, request.cores, screen, dry_run) as engine:
        sessions = engine.dataset.ids or ()
        if request.folder != request.project:
            variants.share(request.project, request.folder, sessions)
        screen.counts = engine.counts
        screen.watch.expected = earlier(request.folder / "results", sessions)
        screen.watch.neurons = lambda: _fitted(request.folder, sessions)
        yield engine


def _fitted(folder: Path, sessions: tuple[str, ...]) -> int:
    return sum(count_fitted(Layout(folder / "results" / name)) for name in sessions)


def run_workflow(
    request: Request, *, dry_run: bool = False, verbose: bool = False, unlock: bool = False
) -> int:
    """Run the workflow, or print what it would do.

    Returns
    -------
    int
        Exit status: 0, or 130 after Ctrl-C.

    Raises
    ------
    MeiflowError
        If a job fails, or if the run cannot start.
    """
    here = Path.cwd()
    screen = Screen(Watch(Expected()), sys.stderr, request.cores, verbose=verbose)
    with interruptible() as signals:
        try:
            with _ready(request, screen, dry_run or unlock) as engine:
                if unlock:
                    engine.unlock()
                    return 0
                targets, until = request.targets(engine), request.last_stages(engine)
                if dry_run:
                    jobs = engine.execute(targets, until, dry_run=True)
                    neurons = len(targets) or screen.watch.neurons()
                    lines = described(jobs, screen.watch.expected, request.cores, neurons)
                    if not targets and not until:
                        lines += _to_follow(request.folder, engine, jobs)
                    print("\n".join(lines if jobs else ["Nothing to do: everything is up to date"]))
                    return 0
                with screen:
                    engine.execute(targets, until)
                complete, log, page = engine.complete, engine.log, engine.front_page
        except BaseException:  # after Ctrl-C, whatever it interrupted
            if not signals:
                raise
            complete, log, page = False, "", ""
    if signals:
        print("\n" * sys.stderr.isatty() + _STOPPED, file=sys.stderr)  # not after the ^C
        return _INTERRUPTED
    log = _from(here, request.folder / log)
    if screen.watch.failures:
        stage, path = screen.watch.failures[0]
        screen.watch.failures[0] = (stage, _from(here, request.folder / path))
        raise MeiflowError(screen.watch.error())
    if not complete:
        raise MeiflowError(f"not every job was run; run the same command again; log: {log}")
    _report_end(request, screen.watch, _from(here, request.folder / page))
    return 0


def _report_end(request: Request, watch: Watch, page: str) -> None:
    took = duration(watch.clock() - watch.begin)
    done = f"Done in {took}" if watch.stages else "Nothing to do: everything is up to date"
    if request.neurons or request.until:
        print(f"{done}: results of {request.until or ', '.join(request.neurons)}")
    else:
        print(f"{done}: {page}")


def describe_status(request: Request) -> list[str]:
    """Lines on what is done and what is left."""
    here = Path.cwd()
    screen = Screen(Watch(Expected()), sys.stderr, request.cores)
    with _ready(request, screen, dry_run=True) as engine:
        running = any((request.folder / ".snakemake" / "locks").glob("*.lock"))
        lines = [_of_session(request.folder, name, here) for name in engine.dataset.ids or ()]
        if running:
            return [*lines, "a run is working here, or was killed (then: meiflow run --unlock)"]
        jobs = engine.execute((), (), dry_run=True)
        neurons = screen.watch.neurons()
        more = _to_follow(request.folder, engine, jobs)
    if not jobs:
        return [*lines, "everything is up to date"]
    return [
        *lines,
        "to do:",
        *described(jobs, screen.watch.expected, request.cores, neurons),
        *more,
    ]


def _to_follow(folder: Path, engine: Engine, jobs: list[Job]) -> list[str]:
    """What follows when the neurons are known, if they are not."""
    ids, waiting = engine.dataset.ids, {job.stage for job in jobs}
    if "fitted_neurons" not in waiting or ids is None:
        return []
    each = [
        most_neurons(Layout(folder / "results" / name), engine.dataset.config_of(name), waiting)
        for name in ids
    ]
    known = [most for most in each if most is not None]
    return [to_follow(engine.of_each_neuron, sum(known) if len(known) == len(each) else None)]


def _of_session(folder: Path, name: str, here: Path) -> str:
    layout = Layout(folder / "results" / name)
    fitted = count_fitted(layout)
    parts = [f"{fitted} fitted neurons" if fitted else "no neuron is fitted yet"]
    if layout.report.exists():
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(layout.report.stat().st_mtime))
        parts.append(f"{_from(here, layout.report)} of {made}")
    return f"session {name}: {', '.join(parts)}"


def _from(here: Path, path: Path) -> str:
    """A path as seen from the user's folder, where that is shorter."""
    relative = os.path.relpath(path, here)
    return str(path) if relative.startswith("..") else relative
