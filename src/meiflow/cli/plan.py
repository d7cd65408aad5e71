"""What a run would do, and why, by key of the configuration."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from meiflow.cli.engine import Job
from meiflow.cli.expected import Expected, duration
from meiflow.cli.watch import side_by_side
from meiflow.errors import shorten

# Snakemake's reasons, in short.
_FIRST = "output files have to be generated"
_AFTER = "input files updated by another job"
_REASONS = {
    _FIRST: "not made yet",
    "incomplete output files": "interrupted",
    "updated input files": "changed input files",
    "set of input files has changed since last execution": "other input files",
    "code has changed since last execution": "other rules",
}
_MOST = 4


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _keys(params: Iterable[str]) -> dict[str, Any]:
    """The configuration keys among params, which Snakemake stores as representations."""
    found: dict[str, Any] = {}
    for text in params:
        try:
            value = ast.literal_eval(text)
            document = json.loads(value) if isinstance(value, str) else None
        except (ValueError, SyntaxError, RecursionError):
            continue
        if isinstance(document, dict):
            found |= dict(_flat(document))
    return found


def _written(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def changes(job: Job) -> list[str]:
    """What has changed since the output of a job was made, as ``key old -> new``.

    Examples
    --------
    >>> old, new = repr('{"mei":{"steps":40}}'), repr('{"mei":{"steps":60}}')
    >>> changes(Job("stimuli", old=(old,), new=(new,)))
    ['mei.steps 40 -> 60']
    """
    old, new = _keys(job.old), _keys(job.new)
    missing = object()
    found = []
    for name in dict.fromkeys([*old, *new]):
        before, now = old.get(name, missing), new.get(name, missing)
        if before is missing:
            found.append(f"{name} {_written(now)} (new)")
        elif now is missing:
            found.append(f"{name} {_written(before)} (removed)")
        elif before != now:
            found.append(f"{name} {_written(before)} -> {_written(now)}")
    if not found and (job.old or job.new):
        found.append("content of the inputs, or version")
    return found


def why(job: Job) -> str:
    """The reason why a job has to run, in one phrase; empty if only others before it have to.

    Examples
    --------
    >>> why(Job("stimuli", reasons=("output files have to be generated",)))
    'not made yet'
    """
    if changed := changes(job):
        return ", ".join(changed[:_MOST]) + (" ..." if len(changed) > _MOST else "")
    reasons = [_REASONS.get(r, r) for r in job.reasons if r != _AFTER]
    return reasons[0] if reasons else ""


def described(jobs: list[Job], expected: Expected, cores: int, neurons: int) -> list[str]:
    """Lines that describe a planned run.

    Parameters
    ----------
    jobs : list of Job
    expected : Expected
        Times of earlier runs.
    cores : int
    neurons : int
        Number of fitted neurons; 0 if not known yet.

    Examples
    --------
    >>> old, new = repr('{"mei":{"steps":40}}'), repr('{"mei":{"steps":60}}')
    >>> jobs = [
    ...     Job("stimuli", old=(old,), new=(new,)),
    ...     Job("comparison", reasons=("input files updated by another job",)),
    ... ]
    >>> for line in described(jobs, Expected({"stimuli": [10.0], "comparison": [3.0]}), 1, 1):
    ...     print(line)
    2 jobs for 1 neuron, about 13 s
      mei.steps 40 -> 60: 1 MEI, about 10 s
      then: comparison (1)
    """
    groups: dict[str, Counter[str]] = {}
    for job in jobs:
        groups.setdefault(why(job), Counter())[job.stage] += 1
    total = _seconds(Counter(job.stage for job in jobs), expected, cores, neurons)
    pending = list(dict.fromkeys(job.stage for job in jobs if job.checkpoint))
    unknown = "fitted_neurons" in pending
    of = f" for {_number(neurons, 'neuron')}" if neurons and not unknown else ""
    more = f"; more follow after {' and '.join(pending)}" if pending else ""
    more += ", when the number of neurons is known" if unknown else ""
    lines = [f"{_number(len(jobs), 'job')}{of}{_about(total)}{more}"]
    for reason, stages in groups.items():
        if reason:
            seconds = _seconds(stages, expected, cores, neurons)
            lines.append(f"  {reason}: {_listed(stages)}{_about(seconds)}")
    if "" in groups:
        names = [f"{stage} ({count})" for stage, count in groups[""].items()]
        lines.append(f"  then: {', '.join(names)}")
    return lines


def to_follow(of_each: list[str], most: int | None) -> str:
    """Line on the jobs that follow when the neurons are known.

    Parameters
    ----------
    of_each : list of str
        Rules with one job for each neuron.
    most : int or None
        Largest number of neurons; None if unknown.

    Examples
    --------
    >>> to_follow(["stimuli", "comparison"], 20)
    '  to follow: 2 jobs for each neuron (stimuli, comparison), of at most 20 neurons'
    >>> to_follow(["stimuli", "comparison"], None)
    '  to follow: 2 jobs for each neuron (stimuli, comparison); how many is known after the tables'
    """
    jobs = f"  to follow: {_number(len(of_each), 'job')} for each neuron ({', '.join(of_each)})"
    if most is None:
        return f"{jobs}; how many is known after the tables"
    return f"{jobs}, of at most {_number(most, 'neuron')}"


def _listed(stages: dict[str, int]) -> str:
    """The stages with their numbers of jobs; what the jobs of a stage make, where that is clear."""
    if list(stages) == ["stimuli"]:
        return _number(stages["stimuli"], "MEI")
    return shorten(f"{stage} ({count})" for stage, count in stages.items())


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _seconds(stages: dict[str, int], expected: Expected, cores: int, neurons: int) -> float | None:
    """Time of some jobs; None if the time of one is unknown."""
    total = 0.0
    for stage, count in stages.items():
        each = expected.of(stage, neurons or None)
        if each is None:
            return None
        total += each * max(count / side_by_side(stage, cores), 1)
    return total


def _about(seconds: float | None) -> str:
    return "" if not seconds else f", about {duration(seconds)}"
