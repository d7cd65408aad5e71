"""What a run is doing: the stages, their jobs, how far they are and how long they will take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meiflow.cli.expected import Expected, duration
from meiflow.stages.registry import STAGES

# Lines of the logs of jobs, as `meiflow.progress` writes them.
_LOOP = re.compile(r"(?P<label>.+): (?P<done>\d+) of (?P<total>\d+) after (?P<s>\d+) s$")
_BYTES = re.compile(
    r"(?P<label>.+): (?P<done>\d+) MB of (?P<total>\d+) at .+ MB/s, (?P<left>\d+) s left$"
)
_ERROR = "meiflow: error: "
_TAIL = 4000


@dataclass
class Running:
    """A job that runs now."""

    log: str
    start: float


@dataclass(frozen=True)
class Inside:
    r"""How far a job is in itself, from the last line of its log.

    Examples
    --------
    >>> Inside.read("searching: 20 done in 9.1 s\nfitting ln: 5 of 20 after 10 s\n")
    Inside(text='fitting ln: 5 of 20', fraction=0.25, left=30.0)
    >>> Inside.read("s.nwb: 500 MB of 2000 at 50.0 MB/s, 30 s left\n")
    Inside(text='s.nwb: 500 of 2000 MB', fraction=0.25, left=30.0)
    >>> Inside.read("gain of single trials from running_speed\n") is None
    True
    """

    text: str
    fraction: float
    left: float

    @classmethod
    def read(cls, log: str) -> Inside | None:
        """The last line, if it is one of progress."""
        last = log.rstrip().rpartition("\n")[2]
        if not (found := _LOOP.match(last) or _BYTES.match(last)):
            return None
        done, total = int(found["done"]), max(int(found["total"]), 1)
        unit = "" if found.re is _LOOP else " MB"
        spent = int(found["s"]) if found.re is _LOOP else 0
        left = spent * (total - done) / max(done, 1) if spent else int(found["left"])
        text = f"{found['label']}: {done} of {total}{unit}"
        return cls(text, done / total, float(left))


@dataclass
class Stage:
    """Jobs of one rule."""

    name: str
    total: int = 0
    done: int = 0
    failed: int = 0
    began: float | None = None
    ended: float = 0.0
    running: dict[int, Running] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing of it runs or waits."""
        return not self.running and self.done + self.failed >= self.total


@dataclass(frozen=True)
class Shown:
    """What is shown of a stage."""

    name: str
    fraction: float
    count: str
    text: str


class Watch:
    """State of a run, from the events of its jobs.

    Parameters
    ----------
    expected : Expected
        Times of earlier runs.
    neurons : callable
        Number of fitted neurons now; 0 while unknown.
    clock : callable
        Time in seconds.

    Examples
    --------
    >>> now = 0.0
    >>> watch = Watch(Expected({"stimuli": [10.0, 10.0]}, 2), clock=lambda: now)
    >>> watch.plan({"stimuli": 4})
    >>> watch.started(1, "stimuli", "")
    >>> now = 6.0
    >>> watch.line(watch.stages["stimuli"])
    Shown(name='stimuli', fraction=0.15, count='0 of 4', text='about 34 s left')
    >>> watch.finished(1)
    'stimuli'
    >>> watch.remaining(cores=2)  # three jobs of 6 s
    9.0
    """

    def __init__(
        self,
        expected: Expected,
        neurons: Callable[[], int] = int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.expected, self.neurons, self.clock = expected, neurons, clock
        self.stages: dict[str, Stage] = {}
        self.failures: list[tuple[str, str]] = []  # stage, log
        self.begin = clock()
        self._of: dict[int, str] = {}

    def plan(self, counts: Mapping[str, int]) -> None:
        """Note how many jobs each stage has."""
        for name, total in counts.items():
            self.stages.setdefault(name, Stage(name)).total = total

    def started(self, job: int, name: str, log: str) -> None:
        """Note that a job has begun."""
        stage = self.stages.setdefault(name, Stage(name, total=1))
        now = self.clock()
        stage.began = now if stage.began is None else stage.began
        stage.running[job] = Running(log, now)
        self._of[job] = name

    def finished(self, job: int) -> str | None:
        """Note that a job has ended well; returns its stage."""
        if (stage := self._end(job)) is None:
            return None
        stage.done += 1
        return stage.name

    def failed(self, job: int, log: str) -> str | None:
        """Note that a job has failed; returns its stage."""
        if (stage := self._end(job)) is None:
            return None
        stage.failed += 1
        self.failures.append((stage.name, log))
        return stage.name

    def _end(self, job: int) -> Stage | None:
        stage = self.stages.get(self._of.get(job, ""))
        ended = stage.running.pop(job, None) if stage else None
        if stage is None or ended is None:
            return None
        stage.ended = self.clock()
        stage.seconds.append(stage.ended - ended.start)
        return stage

    def _each(self, stage: Stage) -> float | None:
        """Seconds of a job of a stage."""
        if stage.seconds:
            return sum(stage.seconds) / len(stage.seconds)
        return self.expected.of(stage.name, self.neurons())

    def _left(self, stage: Stage) -> float | None:
        """Seconds of all its jobs, one after another, that are not over yet."""
        each = self._each(stage)
        if each is None:
            return None
        now = self.clock()
        running = sum(max(each - (now - job.start), 1.0) for job in stage.running.values())
        return running + each * max(stage.total - stage.done - stage.failed - len(stage.running), 0)

    def line(self, stage: Stage) -> Shown:
        """What is shown of a stage that runs."""
        now, total = self.clock(), max(stage.total, 1)
        each, left = self._each(stage), self._left(stage)
        inside = None
        if len(stage.running) == 1:
            (job,) = stage.running.values()
            inside = Inside.read(tail(job.log))
        if each is not None:
            parts = sum(min((now - job.start) / each, 0.95) for job in stage.running.values())
        else:
            parts = inside.fraction if inside else 0.0
        texts = [inside.text] if inside else []
        if left is None and inside:
            left = inside.left if stage.total == 1 else None
        late = each is not None and all(now - job.start > each for job in stage.running.values())
        if left is not None and not late:
            texts.append(f"about {duration(left / max(len(stage.running), 1))} left")
        elif stage.began is not None:
            texts.append(f"{duration(now - stage.began)} so far")
        if stage.failed:
            texts.append(f"{stage.failed} failed")
        done = stage.done + stage.failed
        fraction = min((done + parts) / total, 1.0)
        return Shown(stage.name, round(fraction, 3), f"{done} of {total}", ", ".join(texts))

    def running(self) -> Iterator[Stage]:
        """The stages that have begun and are not complete."""
        for stage in list(self.stages.values()):
            if stage.began is not None and not stage.complete:
                yield stage

    def remaining(self, cores: int) -> float | None:
        """Seconds until the known jobs are done; None if the time of one is unknown."""
        total, waiting = 0.0, [s for s in list(self.stages.values()) if not s.complete]
        for stage in waiting:
            if (left := self._left(stage)) is None:
                return None
            total += left / side_by_side(stage.name, cores)
        return total if waiting else None

    def error(self) -> str:
        """One line on the jobs that failed, with the log of the first."""
        stage, log = self.failures[0]
        more = len(self.failures) - 1
        text = tail(log).rstrip().rpartition("\n")[2].removeprefix(_ERROR)
        others = f"; {more} more job{'s' if more > 1 else ''} failed" if more else ""
        return f"{stage}: {text or 'the job ended without a message'}{others}; log: {log}"


def side_by_side(stage: str, cores: int) -> int:
    """Number of jobs of a stage that run at once.

    Examples
    --------
    >>> side_by_side("stimuli", 4), side_by_side("fit_models", 4)
    (4, 1)
    """
    alone = stage in STAGES and STAGES[stage].threads > 1
    return 1 if alone else max(cores, 1)


def tail(path: str) -> str:
    """The end of a log; empty if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(Path(path).stat().st_size - _TAIL, 0))
            return file.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
