"""Rates of simulated neurons to the stimuli of a session."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images import patterns
from meiflow.images.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG, Geometry
from meiflow.session import schedule as plan
from meiflow.simulation.movies import on_display, temporal_rates
from meiflow.simulation.truth import render_filters, true_drive

# The neurons use a separate image grid, which is finer than that of the models.
DISPLAY = Geometry(120, 192, ALLEN_WIDTH_DEG, ALLEN_HEIGHT_DEG)
_CHUNK = 300
# Rates in Hz (images, units) of all units to images on the display (images, height, width).
Rates = Callable[[NDArray], NDArray[np.float64]]


def formula_rates(units: pd.DataFrame) -> Rates:
    """Rates of units that are described by their filters; see `meiflow.simulation.truth`."""
    filters, baseline = render_filters(units, DISPLAY), units["baseline_hz"].to_numpy()
    return lambda images: np.asarray(
        true_drive(filters, images.reshape(len(images), -1)) + baseline
    )


def image_rates(rates: Rates, frames: NDArray) -> NDArray[np.float64]:
    """Rate in Hz of every unit for the blank (first row) and every frame.

    Returns
    -------
    ndarray, shape (1 + frames, units)
    """
    grey = np.full((1, *DISPLAY.shape), 0.5)
    return np.concatenate([rates(grey), rates(frames)])


def gabor_rates(rates: Rates) -> NDArray[np.float64]:
    """Rate in Hz of every unit for `schedule.gabor_conditions`: (conditions, units).

    Gabors drift through whole cycles, so their rate is the mean over phases.
    """
    gabors = plan.gabor_conditions()
    moving = [
        rates(
            0.5
            + 0.5
            * plan.GABOR_CONTRAST
            * patterns.grating_patch(
                DISPLAY,
                gabors["x_position"],
                gabors["y_position"],
                1 / plan.GABOR_CYCLES_PER_DEG,
                gabors["orientation"],
                phase,
                plan.GABOR_DIAMETER_DEG,
            ),
        )
        for phase in plan.DRIFT_PHASES
    ]
    return np.mean(moving, axis=0)


def grating_rates(rates: Rates) -> NDArray[np.float64]:
    """Rate in Hz of every unit for `schedule.grating_conditions`: (conditions, units)."""
    g = plan.grating_conditions()
    gratings = 0.5 + 0.4 * patterns.grating(
        DISPLAY, 1 / g["spatial_frequency"], g["orientation"], 360 * g["phase"]
    )
    return rates(gratings)


def drifting_frames() -> pd.DataFrame:
    """Directions and phases (degrees) of the drifting gratings, one row per frame."""
    grid = np.meshgrid(plan.DRIFTING_DIRECTIONS, plan.DRIFT_PHASES, indexing="ij")
    return pd.DataFrame({"orientation": grid[0].ravel(), "phase": grid[1].ravel()})


def drifting_rates(rates: Rates) -> NDArray[np.float64]:
    """Rate in Hz of every unit during each of `drifting_frames`: (frames, units).

    The neurons respond to the momentary image, so they prefer no direction and no temporal
    frequency; simple cells follow the cycles, complex cells do not.
    """
    frames = drifting_frames()
    gratings = patterns.grating(
        DISPLAY, 1 / plan.DRIFTING_CYCLES_PER_DEG, frames["orientation"], frames["phase"]
    )
    return rates(0.5 + 0.5 * plan.FULL_FIELD_CONTRAST * gratings)


def flash_rates(rates: Rates) -> NDArray[np.float64]:
    """Rate in Hz of every unit for `schedule.flash_conditions`: (conditions, units)."""
    luminance = 0.5 + 0.5 * plan.FULL_FIELD_CONTRAST * plan.flash_conditions()["color"].to_numpy()
    return rates(np.tile(luminance[:, None, None], (1, *DISPLAY.shape)))


def condition_rates(
    rates: Rates, frames: NDArray, shown: Container[str]
) -> dict[str, NDArray[np.float64]]:
    """Rates of every unit for all conditions of the stimuli that are shown, by stimulus."""
    of_each: dict[str, Callable[[Rates], NDArray[np.float64]]] = {
        "natural_scenes": partial(image_rates, frames=frames),
        "gabors": gabor_rates,
        "static_gratings": grating_rates,
        "drifting_gratings": drifting_rates,
        "flashes": flash_rates,
    }
    return {name: respond(rates) for name, respond in of_each.items() if name in shown}


def movie_rates(rates: Rates, units: pd.DataFrame, movie: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Rate in Hz of every unit during every frame of a movie: (frames, units)."""
    shown = on_display(movie, DISPLAY)
    parts = np.array_split(shown, -(-len(shown) // _CHUNK))
    return temporal_rates(np.concatenate([rates(part) for part in parts]), units)


def _drift(table: pd.DataFrame) -> pd.DataFrame:
    """Divide presentations of drifting gratings into frames of an eighth of a cycle.

    The grating moves in its direction, so its phase decreases. Blanks are left out.
    """
    table = table.dropna(subset=["orientation", "temporal_frequency"])
    step = 1 / (len(plan.DRIFT_PHASES) * table["temporal_frequency"].to_numpy(float))
    length = (table["stop_time"] - table["start_time"]).to_numpy(float)
    frames = np.ceil(length / step - 1e-6).astype(int)
    row = np.repeat(np.arange(len(table)), frames)
    number = np.arange(len(row)) - np.repeat(np.cumsum(frames) - frames, frames)
    start = table["start_time"].to_numpy(float)[row]
    phases = np.asarray(plan.DRIFT_PHASES)
    return pd.DataFrame(
        {
            "start_time": start + number * step[row],
            "stop_time": start + np.minimum((number + 1) * step[row], length[row]),
            "orientation": table["orientation"].to_numpy(float)[row],
            "phase": phases[-number % len(phases)],
        }
    )


def _condition_index(name: str, table: pd.DataFrame) -> NDArray[np.int64]:
    if "frame" in table:  # the blank is scene -1
        return table["frame"].to_numpy().astype(int) + (name == "natural_scenes")
    conditions = {
        "gabors": plan.gabor_conditions,
        "static_gratings": plan.grating_conditions,
        "drifting_gratings": drifting_frames,
        "flashes": plan.flash_conditions,
    }[name]()
    keys = list(conditions.columns)
    lookup = conditions.assign(condition=np.arange(len(conditions)))
    return table[keys].merge(lookup, on=keys, how="left")["condition"].to_numpy()


def rate_bins(
    schedule: plan.StimulusSchedule,
    rates: dict[str, NDArray],
    baseline: NDArray,
    latency_s: float,
    step_s: float = 0.5,
    per_presentation: Container[str] = (),
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Divide the recording into bins of constant rate.

    The rates of a stimulus have one row for each condition, or, for those of `per_presentation`,
    for each presentation.

    Returns
    -------
    edges : ndarray, shape (bins + 1,)
        Bin edges in seconds; presentations are delayed by `latency_s`, and time without a
        stimulus is divided into bins of at most `step_s`.
    shown : ndarray of int, shape (bins,)
        Row of the rates in every bin.
    every : ndarray, shape (rows, units)
        Rates in Hz; the first row is `baseline`.
    """
    starts, stops, rows, every = [], [], [], [baseline[None]]
    first = 1
    for name, table in schedule.tables.items():
        if name in rates:
            shown = _drift(table) if name == "drifting_gratings" else table
            starts.append(shown["start_time"].to_numpy() + latency_s)
            stops.append(shown["stop_time"].to_numpy() + latency_s)
            each = name in per_presentation
            rows.append(first + (np.arange(len(shown)) if each else _condition_index(name, shown)))
            every.append(rates[name])
            first += len(rates[name])
    onset = np.concatenate(starts) if starts else np.empty(0)
    order = np.argsort(onset)
    onset = onset[order]
    row = np.concatenate(rows)[order] if rows else np.empty(0, int)
    offset = np.concatenate(stops)[order] if stops else np.empty(0)
    idle = np.arange(0.0, schedule.end_s, step_s)
    inside = np.searchsorted(onset, idle, "right") - 1
    free = (inside < 0) | (idle >= offset[np.maximum(inside, 0)]) if len(onset) else idle >= 0
    gap_ends = offset[np.append(onset[1:] - offset[:-1] > 1e-6, True)] if len(onset) else []
    edges = np.unique(np.concatenate([onset, gap_ends, idle[free], [0.0, schedule.end_s]]))
    edges = edges[np.append(np.diff(edges) > 1e-9, True)]
    centres = (edges[:-1] + edges[1:]) / 2
    in_bin = np.zeros(len(centres), int)
    if len(onset):
        which = np.searchsorted(onset, centres, "right") - 1
        seen = (which >= 0) & (centres < offset[np.maximum(which, 0)])
        in_bin[seen] = row[which[seen]]
    return edges, in_bin, np.concatenate(every)
