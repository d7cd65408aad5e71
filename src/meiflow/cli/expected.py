"""How long jobs will take, from the benchmark files of earlier runs."""

from __future__ import annotations

import csv
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons, selected_neurons

# Stages whose time does not depend on the number of fitted neurons.
_OF_SESSION = {"simulate", "download", "tables", "selection", "selection_figures", "provenance"}
_SHORT = {"fitted_neurons": 2.0}  # without a benchmark file


@dataclass(frozen=True)
class Expected:
    """Earlier times of the stages.

    Parameters
    ----------
    seconds : mapping of str to list of float
        Times of all earlier jobs, by stage.
    neurons : int
        Number of fitted neurons in that run; 0 if unknown.

    Examples
    --------
    >>> earlier = Expected({"stimuli": [4.0, 6.0], "report": [10.0]}, neurons=2)
    >>> earlier.of("stimuli"), earlier.of("report", neurons=8), earlier.of("movie")
    (5.0, 40.0, None)
    """

    seconds: Mapping[str, list[float]] = field(default_factory=dict)
    neurons: int = 0

    def of(self, stage: str, neurons: int | None = None) -> float | None:
        """Seconds of a job; None if the stage has never run.

        Parameters
        ----------
        stage : str
        neurons : int, optional
            Number of neurons now, to which the time of a job for all neurons is scaled.
        """
        times = self.seconds.get(stage)
        if not times:
            return _SHORT.get(stage)
        alone = len(times) == 1 and stage not in _OF_SESSION and self.neurons and neurons
        return mean(times) * (neurons / self.neurons if alone and neurons else 1)


def earlier(results: Path, sessions: tuple[str, ...]) -> Expected:
    """Times of the last run of these sessions, or else of the last session that ran here.

    Parameters
    ----------
    results : Path
        Folder of all results.
    sessions : tuple of str
        Ids of the sessions to be run; the first one that has run decides.
    """
    others = sorted(results.glob("*/benchmarks"), key=lambda path: -path.stat().st_mtime)
    for name in (*sessions, *(path.parent.name for path in others)):
        layout = Layout(results / name)
        seconds: dict[str, list[float]] = {}
        for path in sorted(layout.timings.rglob("*.tsv")):
            if (value := _seconds(path)) is not None:
                seconds.setdefault(path.stem, []).append(value)
        if seconds:
            return Expected(seconds, count_fitted(layout))
    return Expected()


def count_fitted(layout: Layout) -> int:
    """Number of neurons with a model; 0 if that is not known yet."""
    try:
        return len(fitted_neurons(layout.fitted_neurons))
    except (MeiflowError, OSError):
        return 0


def most_neurons(layout: Layout, config: Config, waiting: Container[str]) -> int | None:
    """The largest number of neurons that may be fitted; None if nothing is known of the units.

    Parameters
    ----------
    layout : Layout
        Results of the session.
    config : Config
        Its configuration.
    waiting : container of str
        Stages that have yet to run, whose old results do not count.

    Examples
    --------
    >>> from meiflow.config.config import parse_config
    >>> units = {"VISam": 20, "VISp": 8}
    >>> config = parse_config({"session": {"simulation": {"units": units}, "area": "VISam"}})
    >>> most_neurons(Layout("nowhere"), config, {"tables", "selection"})
    20
    """
    session, rule = config.session, config.selection
    try:
        if "selection" not in waiting:
            return len(selected_neurons(layout.selection))
        if "tables" not in waiting:
            with open(layout.responses, encoding="utf-8", newline="") as file:
                units = len(next(csv.reader(file))) - 1
        elif session.source == "simulated":
            simulated = session.simulation.units
            units = sum(n for name, n in simulated.items() if name in (session.areas or simulated))
        else:
            return None
    except (MeiflowError, OSError, ValueError, StopIteration):
        return None
    left = max(units - len(rule.exclude), 0)
    return left if rule.top_k is None else min(left, rule.top_k + len(rule.include))


def _seconds(path: Path) -> float | None:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return float(rows[-1]["s"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def duration(seconds: float) -> str:
    """A duration in words.

    Examples
    --------
    >>> [duration(s) for s in (0.4, 75, 3600, 9000)]
    ['1 s', '1 min 15 s', '1 h', '2 h 30 min']
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")
