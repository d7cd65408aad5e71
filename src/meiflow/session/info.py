"""What a session file holds, what can be run on it, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meiflow.config.columns import Columns
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError, shorten
from meiflow.progress import collect_notes
from meiflow.session.nwb_checks import explained
from meiflow.session.presentations import INVALID
from meiflow.session.reader import SessionReader, open_reader
from meiflow.session.two_photon import INDEXED, MOVIES
from meiflow.session.two_photon_file import is_two_photon, read_two_photon
from meiflow.session.unit_filters import filtered

_USES = {
    "gabors": "receptive fields, and validation by the recorded Gabors",
    "static_gratings": "fits, and validation by tuning to gratings",
    "drifting_gratings": "tuning to drifting gratings",
    "flashes": "on and off responses",
}
_SPIKES = ("units/spike_times", "units/spike_times_index")


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
    if is_two_photon(path):
        return _two_photon(path)
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


def _two_photon(path: Path) -> list[str]:
    """Lines that describe a two-photon experiment."""
    found = read_two_photon(path)
    rate = (len(found.time_s) - 1) / np.ptp(found.time_s)
    events = "" if found.events is None else "; events"
    lines = [
        f"two-photon experiment: {path.name}",
        f"cells: {len(found.cells)}, dF/F of {len(found.time_s)} imaging frames at {rate:.1f} Hz"
        f"{events}",
    ]
    for name, table in found.stimuli.items():
        text = f"stimulus {name}: {len(table)} presentations"
        if "frame" in table:
            text += f" of {table['frame'][table['frame'] >= 0].nunique()} frames"
        lines.append(text + (f", {table['repeat'].nunique()} passes" if "repeat" in table else ""))
    lines += [f"stimulus {n}: not read" for n in found.shown if n not in found.stimuli]
    images = [name for name in (*INDEXED, *MOVIES) if name in found.stimuli]
    lines.append(
        f"can be run: models and MEIs from {shorten(images)}, after meiflow convert {path} FOLDER"
        if images
        else "cannot be run: shows neither natural scenes nor complete natural movies"
    )
    return [*lines, *(f"note: {text}" for text in found.notes)]


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
    lacking = [name for name in _SPIKES if session.root.data(name) is None]
    missing += [f"spike times ({name})" for name in lacking]
    ends = session.root.values(_SPIKES[1])
    if not lacking and ends is not None and len(ends):
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
    if session.light is not None:
        yield f"light: {len(session.light)} epochs of optogenetic stimulation"


def _uses(session: SessionReader, missing: list[str]) -> Iterator[str]:
    """What can be run, as far as units and stimuli allow it."""
    names = _readable(lambda: session.stimulus_names, session, missing)
    lacks = _lacking_units(session, missing)
    if names is None:
        yield "cannot be run: the tables of presentations cannot be read"
        return
    movies = [n for n in names if n.startswith("natural_movie_") and "shuffled" not in n]
    numbered = [n for n in ("natural_scenes", *movies) if n in names and _numbered(session, n)]
    missing += [
        f"frame of {n}, the numbers of its images; name it in session.columns.presentations"
        for n in names
        if n in ("natural_scenes", *movies) and n not in numbered
    ]
    shown = [n for n in movies if n in numbered]
    if lacks:
        yield f"cannot be run: {lacks}"
    elif "natural_scenes" in numbered:
        yield "can be run: models and MEIs from natural_scenes" + (
            f", and from {shorten(shown)}" if shown else ""
        )
    elif shown:
        yield f"can be run: models and MEIs from the frames of {shorten(shown)}"
    else:
        yield (
            "cannot be run directly: no natural_scenes or natural movies with numbers of frames; "
            "rename a stimulus with session.columns.stimuli, or count spikes yourself and use "
            "session.source tables"
        )
    for name, use in _USES.items():
        if name not in names:
            missing.append(f"{name}: no {use}")
            continue
        keys = [k for k in PARAMETRIC[name] if k not in session.stimulus(name)]
        if keys:
            missing.append(f"{', '.join(keys)} of {name}; name it in session.columns.presentations")
        elif not lacks:
            yield f"can be run: {use} ({name})"


def _numbered(session: SessionReader, name: str) -> bool:
    """Whether the presentations of a stimulus have numbers of images."""
    return "frame" in session.stimulus(name)


def _lacking_units(session: SessionReader, missing: list[str]) -> str:
    """Why there is nothing to model; empty if there are units with spikes."""
    units = _readable(lambda: session.units, session, missing)
    if units is None:
        return "no units that can be read"
    if not len(units):
        return "no unit has a good label in a known structure"
    return "" if all(session.root.data(name) is not None for name in _SPIKES) else "no spike times"


def _readable(read: Callable[[], Any], session: SessionReader, missing: list[str]) -> Any:
    """What can be read of a session, or None, and then why not."""
    try:
        with explained(session.path):
            return read()
    except MeiflowError as error:
        if str(error) not in missing:
            missing.append(str(error))
        return None
