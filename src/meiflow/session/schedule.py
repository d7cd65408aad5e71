"""Stimulus schedule of a simulated session, modelled on those of the Brain Observatory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

PRESENTATION_S = 0.25
DRIFTING_S = 2.0
GABOR_POSITIONS = tuple(float(v) for v in range(-40, 41, 10))
GABOR_ORIENTATIONS = (0.0, 45.0, 90.0)
GABOR_CYCLES_PER_DEG = 0.08
GABOR_DIAMETER_DEG = 20.0
GABOR_CONTRAST = 0.8
DRIFT_PHASES = tuple(45.0 * i for i in range(8))  # one full cycle per presentation
GRATING_ORIENTATIONS = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0)
GRATING_CYCLES_PER_DEG = (0.02, 0.04, 0.08, 0.16, 0.32)
GRATING_PHASES = (0.0, 0.25, 0.5, 0.75)
DRIFTING_DIRECTIONS = tuple(45.0 * i for i in range(8))
DRIFTING_HZ = (1.0, 2.0, 4.0, 8.0, 15.0)
DRIFTING_CYCLES_PER_DEG = 0.04
FULL_FIELD_CONTRAST = 0.8
FLASH_COLORS = (-1.0, 1.0)  # dark, bright
SCENE_BLOCKS = 3
DRIFTING_BLOCKS = 3
FRAME_S = 30.0251 / 900  # of the natural movies
MOVIE_BLOCKS = 2
_START_S = 30.0
_GAP_S = 10.0
# Seconds from onset to offset, and from onset to onset, of stimuli with grey between them.
_SPACED_S = {"drifting_gratings": (DRIFTING_S, 3.0), "flashes": (PRESENTATION_S, 2.0)}
_DRIFTING_BLANKS = 2  # per presentation of a condition: 30 with 15 repeats, as in Allen's sessions


@dataclass(frozen=True)
class StimulusSchedule:
    """Stimulus presentations of a session in temporal order.

    ``tables`` maps a stimulus name to its presentations (start_time, stop_time,
    stimulus_block and the stimulus parameters under their AllenSDK names). ``end_s`` is the end
    of the recording.
    """

    tables: dict[str, pd.DataFrame]
    end_s: float


def gabor_conditions() -> pd.DataFrame:
    """The 243 Gabor conditions: x_position, y_position, orientation (degrees)."""
    grid = np.meshgrid(GABOR_POSITIONS, GABOR_POSITIONS, GABOR_ORIENTATIONS, indexing="ij")
    names = ("x_position", "y_position", "orientation")
    return pd.DataFrame({n: g.ravel() for n, g in zip(names, grid, strict=True)})


def grating_conditions() -> pd.DataFrame:
    """The 120 static gratings: orientation (deg), spatial_frequency (cpd), phase (cycles)."""
    grid = np.meshgrid(GRATING_ORIENTATIONS, GRATING_CYCLES_PER_DEG, GRATING_PHASES, indexing="ij")
    names = ("orientation", "spatial_frequency", "phase")
    return pd.DataFrame({n: g.ravel() for n, g in zip(names, grid, strict=True)})


def drifting_conditions() -> pd.DataFrame:
    """The 40 drifting gratings: orientation (direction, degrees), temporal_frequency (Hz)."""
    grid = np.meshgrid(DRIFTING_DIRECTIONS, DRIFTING_HZ, indexing="ij")
    names = ("orientation", "temporal_frequency")
    return pd.DataFrame({n: g.ravel() for n, g in zip(names, grid, strict=True)})


def flash_conditions() -> pd.DataFrame:
    """The two full-field flashes: color, -1 dark and 1 bright."""
    return pd.DataFrame({"color": FLASH_COLORS})


def _shuffled(conditions: pd.DataFrame, repeats: int, rng: np.random.Generator) -> pd.DataFrame:
    order = rng.permutation(np.tile(np.arange(len(conditions)), repeats))
    return conditions.iloc[order].reset_index(drop=True)


def _drifting(repeats: int, rng: np.random.Generator) -> pd.DataFrame:
    """Drifting gratings in random order, with blanks that have no parameters among them."""
    if not repeats:
        return pd.DataFrame()
    blanks = pd.DataFrame(index=range(_DRIFTING_BLANKS))
    shown = _shuffled(pd.concat([drifting_conditions(), blanks]), repeats, rng)
    blank = shown["orientation"].isna()
    return shown.assign(
        spatial_frequency=np.where(blank, np.nan, DRIFTING_CYCLES_PER_DEG),
        contrast=np.where(blank, np.nan, FULL_FIELD_CONTRAST),
        size="[250.0, 250.0]",
        phase="[42471.86666667, 42471.86666667]",
    )


def _flashes(repeats: int, rng: np.random.Generator) -> pd.DataFrame:
    """Full-field flashes in random order."""
    if not repeats:
        return pd.DataFrame()
    return _shuffled(flash_conditions(), repeats, rng).assign(
        contrast=FULL_FIELD_CONTRAST,
        orientation=0.0,
        size="[300.0, 300.0]",
        spatial_frequency="[0.0, 0.0]",
        phase="[0.0, 0.0]",
    )


def build_schedule(
    frames: int,
    repeats: int,
    gabor_repeats: int,
    grating_repeats: int,
    rng: np.random.Generator,
    movies: Mapping[str, tuple[int, int]] | None = None,
    drifting_repeats: int = 0,
    flash_repeats: int = 0,
) -> StimulusSchedule:
    """Build a schedule: Gabors, flashes, drifting gratings, then static gratings and scenes.

    Drifting gratings are shown in three blocks; static gratings and scenes alternate, in three
    blocks each. Natural movies come last, in two blocks each.

    Parameters
    ----------
    frames, repeats : int
        Number of natural-scene images, and of presentations of each and of the blank (frame -1).
    gabor_repeats, grating_repeats : int
        Presentations per Gabor and per grating condition; 0 omits the stimulus.
    movies : mapping of str to tuple of int, optional
        Number of frames of each movie, and of its presentations.
    drifting_repeats, flash_repeats : int
        Presentations per drifting grating, for 2 s every 3 s and with blanks among them, and per
        flash, for 0.25 s every 2 s; 0 omits the stimulus.
    """
    gabors = _shuffled(gabor_conditions(), gabor_repeats, rng)
    gabors = gabors.assign(
        spatial_frequency=GABOR_CYCLES_PER_DEG,
        temporal_frequency=4.0,
        contrast=GABOR_CONTRAST,
        size=str([GABOR_DIAMETER_DEG] * 2),
        phase="[3644.93333333, 3644.93333333]",
    )
    gratings = _shuffled(grating_conditions(), grating_repeats, rng)
    gratings = gratings.assign(contrast=0.8, size="[250.0, 250.0]")
    scenes = _shuffled(pd.DataFrame({"frame": np.arange(-1.0, frames)}), repeats, rng)

    blocks = [("gabors", gabors), ("flashes", _flashes(flash_repeats, rng))]
    drifting = _drifting(drifting_repeats, rng)
    edges = np.linspace(0, len(drifting), DRIFTING_BLOCKS + 1).round().astype(int)
    blocks += [("drifting_gratings", drifting.iloc[a:b]) for a, b in pairwise(edges)]
    for part in range(SCENE_BLOCKS):
        for name, table in (("static_gratings", gratings), ("natural_scenes", scenes)):
            edges = np.linspace(0, len(table), SCENE_BLOCKS + 1).round().astype(int)
            blocks.append((name, table.iloc[edges[part] : edges[part + 1]]))
    for name, (length, times) in (movies or {}).items():
        whole = pd.DataFrame({"frame": np.tile(np.arange(float(length)), times)})
        edges = length * np.linspace(0, times, MOVIE_BLOCKS + 1).round().astype(int)
        blocks += [(name, whole.iloc[a:b]) for a, b in pairwise(edges)]

    pieces: dict[str, list[pd.DataFrame]] = {}
    spontaneous = []
    now, block = _START_S, 0
    for name, table in blocks:
        if table.empty:
            continue
        spontaneous.append((now, now + _GAP_S))
        now += _GAP_S
        each = FRAME_S if name in (movies or {}) else PRESENTATION_S
        shown, each = _SPACED_S.get(name, (each, each))
        onsets = now + each * np.arange(len(table))
        timing = pd.DataFrame(
            {
                "start_time": onsets,
                "stop_time": onsets + shown,
                "stimulus_block": float(block),
            },
            index=table.index,
        )
        pieces.setdefault(name, []).append(pd.concat([timing, table], axis=1))
        now, block = now + each * len(table), block + 1
    spontaneous.append((now, now + _GAP_S))
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in pieces.items()}
    tables["spontaneous"] = pd.DataFrame(spontaneous, columns=["start_time", "stop_time"])
    return StimulusSchedule(tables=tables, end_s=now + 2 * _GAP_S)
