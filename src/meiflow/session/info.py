"""What a session file holds, what can be run on it, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from meiflow.config.columns import Columns
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError, shorten
from meiflow.progress import collect_notes
from meiflow.session.nwb_checks import explained
from meiflow.session.presentations import INVALID
from meiflow.session.reader import SessionReader, open_reader
from meiflow.session.unit_filters import filtered

_USES = {
    "gabors": "receptive fields, and validation by the recorded Gabors",
    "static_gratings": "fits, and validation by tuning to gratings",
    "drifting_gratings": "tuning to drifting gratings",
    "flashes": "on and off responses",
}


def describe_session(
    path: Path,
    quality: Quality = Quality(),  # noqa: B008
    columns: Columns = Columns(),  # noqa: B008
) -> list[str]:
    """Lines that describe a session file of any layout.

    Parameters
    ----------
    path : path
    quality : Quality
        Filters of the units.
    columns : Columns
        Names in the file, where they differ.

    Raises
    ------
    MeiflowError
        If the file is not NWB at all. Whatever else is wrong is one of the lines.
    """
    with explained(path), open_reader(path, columns) as session, collect_notes() as notes:
        root = session.root
        version = root.attribute("nwb_version")
        lines = [f"session: {root.text('identifier')} (NWB {version}), {path.name}"]
        missing: list[str] = []
        for part in (_units, _stimuli, _behaviour):
            lines += _guarded(part, session, quality, missing)
        lines += _uses(session, missing)
    lines += [f"note: {text}" for text in dict.fromkeys(notes)]
    return [*lines, *(f"missing: {text}" for text in missing)]


def _guarded(
    part: Callable[[SessionReader, Quality, list[str]], Iterator[str]],
    session: SessionReader,
    quality: Quality,
    missing: list[str],
) -> list[str]:
    try:
        with explained(session.path):
            return list(part(session, quality, missing))
    except MeiflowError as error:
        missing.append(str(error))
        return []


def _units(session: SessionReader, quality: Quality, missing: list[str]) -> Iterator[str]:
    every, good = session.all_units, session.units
    passed, steps = filtered(good, quality)
    yield (
        f"units: {len(every)} in the file, {len(good)} with a good label in a known structure, "
        f"{len(passed)} after the filters of session.quality"
    )
    for step in steps:
        if step.excluded:
            yield f"  {step}"
            if step.missing == step.excluded == len(good):
                key = step.name.rpartition(" ")[0]
                missing.append(f"values of the metric of {key}; set it to null")
    counts = [t["ecephys_structure_acronym"].value_counts() for t in (every, good, passed)]
    for area in sorted(counts[0].index):
        n, labelled, left = (int(count.get(area, 0)) for count in counts)
        yield f"  area {area}: {n} units, {labelled} good, {left} after the filters"
    ends = session.root.values("units/spike_times_index")
    if ends is None:
        missing.append("spike times (units/spike_times_index)")
    elif len(ends):
        yield f"spikes: {int(ends[-1])}"


def _stimuli(session: SessionReader, _quality: Quality, missing: list[str]) -> Iterator[str]:
    shown = session.presentations
    for name, n in shown["stimulus_name"].value_counts().items():
        table = session.stimulus(str(name))
        frames = pd.to_numeric(table.get("frame"), errors="coerce") if "frame" in table else None
        kinds = "" if frames is None else f" of {frames[frames >= 0].nunique()} frames"
        span = f"{table['start_time'].min():.0f} to {table['stop_time'].max():.0f} s"
        failed = " (the stimulus failed)" if name == INVALID else ""
        yield f"stimulus {name}: {n} presentations{kinds}, {span}{failed}"
    if not len(shown):
        missing.append("tables of presentations in intervals")
    elif "stimulus_block" not in shown:
        missing.append("stimulus_block; blocks are determined from the order of the stimuli")
    lost = len(session.invalid_times)
    if lost:
        yield f"invalid times: {lost} intervals"


def _behaviour(session: SessionReader, _quality: Quality, missing: list[str]) -> Iterator[str]:
    for name, table in (
        ("running", session.running),
        ("pupil", session.pupil),
        ("gaze", session.gaze),
    ):
        if table is None:
            missing.append(name)
        else:
            yield f"behaviour: {name}, {len(table)} samples"


def _uses(session: SessionReader, missing: list[str]) -> Iterator[str]:
    """What can be run, as far as the stimuli allow it."""
    try:
        with explained(session.path):
            names = session.stimulus_names
            units = len(session.units)
    except MeiflowError:
        names, units = [], 0
    movies = [n for n in names if n.startswith("natural_movie_") and "shuffled" not in n]
    if units and "natural_scenes" in names:
        yield "can be run: models and MEIs from natural_scenes" + (
            f", and from {shorten(movies)}" if movies else ""
        )
    elif units and movies:
        yield f"can be run: models and MEIs from the frames of {shorten(movies)}"
    else:
        lacks = "units" if not units else "natural_scenes or natural movies"
        yield (
            f"cannot be run directly: no {lacks}; rename a stimulus with session.columns.stimuli, "
            "or count spikes yourself and use session.source tables"
        )
    for name, use in _USES.items():
        if name in names:
            keys = [k for k in PARAMETRIC[name] if k not in session.stimulus(name)]
            if keys:
                missing.append(f"{', '.join(keys)} of {name}; name it in session.columns")
            else:
                yield f"can be run: {use} ({name})"
        else:
            missing.append(f"{name}: no {use}")
