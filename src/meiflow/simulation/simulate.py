"""Simulate a session: images, neurons with known ground truth, spike trains."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Simulation
from meiflow.images import patterns
from meiflow.images.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG, Geometry
from meiflow.progress import track
from meiflow.session import schedule as plan
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.movies import draw_movie, draw_temporal, on_display, temporal_rates
from meiflow.simulation.nwb_writer import Recording
from meiflow.simulation.spikes import poisson_train, running_speed, shared_gain
from meiflow.simulation.truth import calibrate_gain, draw_neurons, render_filters, true_drive

# The neurons use a separate image grid, which is finer than that of the models.
DISPLAY = Geometry(120, 192, ALLEN_WIDTH_DEG, ALLEN_HEIGHT_DEG)
_CHANNELS_PER_PROBE = 48
_MOVIE_FRAMES = {"natural_movie_one": 900, "natural_movie_one_more_repeats": 900}
_SAME_MOVIE = {"natural_movie_one_more_repeats": "natural_movie_one"}
_LONG_MOVIE = 3600
_CHUNK = 300


@dataclass(frozen=True)
class _Streams:
    """Independent random streams: images, units, schedule, gain and each unit's spikes."""

    seed: int

    def __call__(self, *keys: str | int) -> np.random.Generator:
        words = [k if isinstance(k, int) else zlib.crc32(k.encode()) for k in keys]
        return np.random.default_rng([self.seed, *words])


def simulated_session_id(name: str) -> int:
    """Integer that identifies a simulated session in its NWB file."""
    return zlib.crc32(name.encode())


def make_frames(config: Simulation, streams: _Streams) -> NDArray[np.uint8]:
    """Natural-like images, shape (frames, frame_height, frame_width)."""
    shape = (config.frame_height, config.frame_width)
    return np.stack(
        [
            dead_leaves(shape, streams("frame", i))
            for i in track(range(config.frames), "drawing images")
        ]
    )


def make_units(config: Simulation, streams: _Streams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Units with quality metrics and ground truth, indexed by unit id, and channels.

    Returns
    -------
    units : DataFrame
        Columns of `Recording.units`, then those of `meiflow.simulation.truth.TRUTH_COLUMNS`
        and area.
    channels : DataFrame
        Columns of `Recording.channels`.
    """
    unit_tables, channel_tables = [], []
    tuned_kinds = list(config.kinds)
    every_kind = [*tuned_kinds, "untuned"]
    for probe, (area, passing) in enumerate(config.units.items()):
        rng = streams("units", area)
        failing = round(passing * config.failing_fraction)
        n = passing + failing
        untuned = round(passing * config.untuned_fraction)
        tuned = [tuned_kinds[i % len(tuned_kinds)] for i in range(passing - untuned)]
        rest = [every_kind[i % len(every_kind)] for i in range(failing)]
        table = draw_neurons(tuned + ["untuned"] * untuned + rest, rng, DISPLAY)
        channel_ids = 850_000_000 + 1000 * probe + np.arange(_CHANNELS_PER_PROBE)
        # the topmost channels of every probe are outside the brain
        location = np.where(np.arange(_CHANNELS_PER_PROBE) < 44, area, "None")
        local = rng.integers(0, 44, n)
        table = table.assign(
            area=area,
            peak_channel_id=channel_ids[local],
            local_index=local,
            cluster_id=np.arange(n),
            quality="good",
            isi_violations=rng.uniform(0.0, 0.45, n),
            presence_ratio=rng.uniform(0.96, 1.0, n),
            amplitude_cutoff=rng.uniform(0.0005, 0.09, n),
            snr=rng.uniform(1.5, 5.0, n),
        )
        faults = (
            ("isi_violations", 1.3),
            ("amplitude_cutoff", 0.3),
            ("presence_ratio", 0.7),
            ("amplitude_cutoff", np.nan),
            ("quality", "noise"),
        )
        for i in range(failing):
            column, value = faults[i % len(faults)]
            table.loc[passing + i, column] = value
        table.index = 950_000_000 + 10_000 * probe + 7 * rng.permutation(n)
        unit_tables.append(table)
        channel_tables.append(
            pd.DataFrame(
                {
                    "probe_id": 800_000_000 + probe,
                    "probe_name": f"probe{chr(ord('A') + probe % 26)}{probe // 26 or ''}",
                    "local_index": np.arange(_CHANNELS_PER_PROBE),
                    "probe_vertical_position": 20 * (np.arange(_CHANNELS_PER_PROBE) // 2 + 1),
                    "probe_horizontal_position": 16 * (np.arange(_CHANNELS_PER_PROBE) % 2) + 27,
                    "location": location,
                    "x": 7800.0 + 5 * np.arange(_CHANNELS_PER_PROBE),
                    "y": 1000.0 + 20 * np.arange(_CHANNELS_PER_PROBE),
                    "z": 7500.0,
                },
                index=channel_ids,
            )
        )
    return pd.concat(unit_tables), pd.concat(channel_tables)


def _rates(units: pd.DataFrame, images: NDArray) -> NDArray[np.float64]:
    drive = true_drive(render_filters(units, DISPLAY), images.reshape(len(images), -1))
    return np.asarray(drive + units["baseline_hz"].to_numpy())


def image_rates(units: pd.DataFrame, frames: NDArray) -> NDArray[np.float64]:
    """Rate in Hz of every unit for the blank (first row) and every frame.

    Returns
    -------
    ndarray, shape (1 + frames, units)
    """
    grey = np.full((1, *DISPLAY.shape), 0.5)
    return np.concatenate([_rates(units, grey), _rates(units, frames)])


def gabor_rates(units: pd.DataFrame) -> NDArray[np.float64]:
    """Rate in Hz of every unit for `schedule.gabor_conditions`: (conditions, units).

    Gabors drift through whole cycles, so their rate is the mean over phases.
    """
    gabors = plan.gabor_conditions()
    moving = [
        _rates(
            units,
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


def grating_rates(units: pd.DataFrame) -> NDArray[np.float64]:
    """Rate in Hz of every unit for `schedule.grating_conditions`: (conditions, units)."""
    g = plan.grating_conditions()
    gratings = 0.5 + 0.4 * patterns.grating(
        DISPLAY, 1 / g["spatial_frequency"], g["orientation"], 360 * g["phase"]
    )
    return _rates(units, gratings)


def condition_rates(units: pd.DataFrame, frames: NDArray) -> dict[str, NDArray[np.float64]]:
    """Rates of every unit for all conditions of a session, by stimulus."""
    return {
        "natural_scenes": image_rates(units, frames),
        "gabors": gabor_rates(units),
        "static_gratings": grating_rates(units),
    }


def make_movies(config: Simulation, streams: _Streams) -> dict[str, NDArray[np.uint8]]:
    """Natural-like movies (frames, height, width) by name."""
    found = {}
    for name in track(config.movie_repeats, "drawing movies", len(config.movie_repeats)):
        frames = config.movie_frames or _MOVIE_FRAMES.get(name, _LONG_MOVIE)
        found[name] = draw_movie(frames, streams("movie", _SAME_MOVIE.get(name, name)))
    return found


def movie_rates(units: pd.DataFrame, movie: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Rate in Hz of every unit during every frame of a movie: (frames, units)."""
    shown = on_display(movie, DISPLAY)
    parts = np.array_split(shown, -(-len(shown) // _CHUNK))
    return temporal_rates(np.concatenate([_rates(units, part) for part in parts]), units)


def _condition_index(name: str, table: pd.DataFrame) -> NDArray[np.int64]:
    if "frame" in table:  # the blank is scene -1
        return table["frame"].to_numpy().astype(int) + (name == "natural_scenes")
    conditions = plan.gabor_conditions() if name == "gabors" else plan.grating_conditions()
    keys = list(conditions.columns)
    lookup = conditions.assign(condition=np.arange(len(conditions)))
    return table[keys].merge(lookup, on=keys, how="left")["condition"].to_numpy()


def rate_bins(
    schedule: plan.StimulusSchedule,
    rates: dict[str, NDArray],
    baseline: NDArray,
    latency_s: float,
    step_s: float = 0.5,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Divide the recording into bins of constant rate.

    Returns
    -------
    edges : ndarray, shape (bins + 1,)
        Bin edges in seconds; presentations are delayed by `latency_s`, and time without a
        stimulus is divided into bins of at most `step_s`.
    bin_rates : ndarray, shape (bins, units)
        Hz.
    """
    starts, stops, values = [], [], []
    for name, table in schedule.tables.items():
        if name in rates:
            starts.append(table["start_time"].to_numpy() + latency_s)
            stops.append(table["stop_time"].to_numpy() + latency_s)
            values.append(rates[name][_condition_index(name, table)])
    onset = np.concatenate(starts) if starts else np.empty(0)
    order = np.argsort(onset)
    onset = onset[order]
    value = np.concatenate(values)[order] if values else np.empty((0, len(baseline)))
    offset = np.concatenate(stops)[order] if stops else np.empty(0)
    idle = np.arange(0.0, schedule.end_s, step_s)
    inside = np.searchsorted(onset, idle, "right") - 1
    free = (inside < 0) | (idle >= offset[np.maximum(inside, 0)]) if len(onset) else idle >= 0
    gap_ends = offset[np.append(onset[1:] - offset[:-1] > 1e-6, True)] if len(onset) else []
    edges = np.unique(np.concatenate([onset, gap_ends, idle[free], [0.0, schedule.end_s]]))
    edges = edges[np.append(np.diff(edges) > 1e-9, True)]
    centres = (edges[:-1] + edges[1:]) / 2
    bin_rates = np.tile(baseline, (len(centres), 1))
    if len(onset):
        which = np.searchsorted(onset, centres, "right") - 1
        shown = (which >= 0) & (centres < offset[np.maximum(which, 0)])
        bin_rates[shown] = value[which[shown]]
    return edges, bin_rates


@dataclass(frozen=True)
class SimulatedSession:
    """A simulated session before it is written.

    Parameters
    ----------
    frames : ndarray of uint8, shape (frames, height, width)
        Natural scenes; none if they are not shown.
    movies : dict of str to ndarray of uint8, shape (frames, height, width)
    recording : Recording
        Contents of the session file.
    truth : DataFrame
        neuron_id, area, kind and parameters of every neuron; only for validation.
    """

    frames: NDArray[np.uint8]
    movies: dict[str, NDArray[np.uint8]]
    recording: Recording
    truth: pd.DataFrame


def simulate_session(sizes: Simulation, name: str, seed: int, image_seed: int) -> SimulatedSession:
    """Simulate images, neurons, a schedule and spikes.

    Parameters
    ----------
    sizes : Simulation
    name : str
        Name of the session, from which the id in the session file is derived.
    seed : int
        Seed of neurons, schedule and spikes.
    image_seed : int
        Seed of images and movies; the sessions of a dataset share them.
    """
    streams = _Streams(seed)
    frames = make_frames(sizes, _Streams(image_seed))
    units, channels = make_units(sizes, streams)
    display = resize(frames / 255.0, DISPLAY.shape)
    rng = streams("rates")
    wanted = sizes.mean_rate_hz * np.exp(rng.normal(0, 0.5, len(units)))
    units = calibrate_gain(units, display, DISPLAY, wanted)
    movies = make_movies(sizes, _Streams(image_seed))
    rates_of = condition_rates(units, display)
    if movies:
        drawn = draw_temporal(len(units), streams("temporal")).set_index(units.index)
        units = pd.concat([units, drawn], axis=1)
        rates_of |= {name: movie_rates(units, movie) for name, movie in movies.items()}

    schedule = plan.build_schedule(
        sizes.frames,
        sizes.repeats,
        sizes.gabor_repeats,
        sizes.grating_repeats,
        streams("schedule"),
        {name: (len(movie), sizes.movie_repeats[name]) for name, movie in movies.items()},
    )
    running_times, speed = running_speed(schedule.end_s, streams("running"))
    log_gain = shared_gain(running_times, speed, sizes.gain_drift, streams("gain"))
    edges, rates = rate_bins(
        schedule,
        rates_of,
        units["baseline_hz"].to_numpy(),
        sizes.latency_s,
    )
    centres = (edges[:-1] + edges[1:]) / 2
    drift = np.interp(centres, running_times, log_gain)
    spike_times = {}
    for column, unit in enumerate(track(units.index, "drawing spike trains")):
        unit_rng = streams("spikes", int(unit))
        coupling = unit_rng.uniform(0.5, 1.5)
        gain = np.exp(coupling * drift - (coupling * sizes.gain_drift) ** 2 / 2)
        spike_times[int(unit)] = poisson_train(edges, rates[:, column] * gain, unit_rng)

    columns = [
        "peak_channel_id",
        "local_index",
        "cluster_id",
        "quality",
        "isi_violations",
        "presence_ratio",
        "amplitude_cutoff",
        "snr",
    ]
    recording = Recording(
        session_id=simulated_session_id(name),
        channels=channels,
        units=units[columns],
        spike_times=spike_times,
        stimuli=schedule.tables,
        running_times=running_times,
        running_speed=speed,
        end_s=schedule.end_s,
    )
    truth = units.drop(columns=columns).rename_axis("neuron_id").reset_index()
    return SimulatedSession(frames if sizes.repeats else frames[:0], movies, recording, truth)
