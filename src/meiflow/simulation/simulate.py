"""Simulate a session: images, neurons with known ground truth, spike trains."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Simulation
from meiflow.progress import track
from meiflow.session import schedule as plan
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.eye import eye_movements, scene_rates, with_blinks
from meiflow.simulation.movies import draw_movie, draw_temporal
from meiflow.simulation.nwb_writer import Recording
from meiflow.simulation.published import draw_published, published_gain, published_rates
from meiflow.simulation.rates import (
    DISPLAY,
    condition_rates,
    formula_rates,
    movie_rates,
    rate_bins,
)
from meiflow.simulation.response_statistics import ResponseStatistics, as_recorded, own_gain
from meiflow.simulation.spikes import poisson_train, running_speed, shared_gain
from meiflow.simulation.truth import calibrate_gain, draw_neurons

_CHANNELS_PER_PROBE = 48
_MOVIE_FRAMES = {"natural_movie_one": 900, "natural_movie_one_more_repeats": 900}
_SAME_MOVIE = {"natural_movie_one_more_repeats": "natural_movie_one"}
_LONG_MOVIE = 3600


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


def _waveform_durations(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Times from trough to peak in ms, of which a fifth are narrow (Niell & Stryker 2008)."""
    return np.where(
        rng.uniform(size=n) < 0.2, rng.uniform(0.15, 0.35, n), rng.uniform(0.45, 0.9, n)
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
        table["waveform_duration"] = _waveform_durations(streams("waveforms", area), n)
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


def make_movies(config: Simulation, streams: _Streams) -> dict[str, NDArray[np.uint8]]:
    """Natural-like movies (frames, height, width) by name."""
    found = {}
    for name in track(config.movie_repeats, "drawing movies", len(config.movie_repeats)):
        frames = config.movie_frames or _MOVIE_FRAMES.get(name, _LONG_MOVIE)
        found[name] = draw_movie(frames, streams("movie", _SAME_MOVIE.get(name, name)))
    return found


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


def _statistics(sizes: Simulation, units: pd.DataFrame, streams: _Streams) -> ResponseStatistics:
    """Rates and variability of all units."""
    if sizes.statistics == "recorded":
        tuned = (units["kind"] != "untuned").to_numpy()
        return as_recorded(tuned, sizes.mean_rate_hz, streams("statistics"))
    none = np.zeros(len(units))
    wanted = sizes.mean_rate_hz * np.exp(streams("rates").normal(0, 0.5, len(units)))
    return ResponseStatistics(wanted, units["baseline_hz"].to_numpy(), none, none)


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
    own = _statistics(sizes, units, streams)
    if sizes.truth is None:
        units = calibrate_gain(units, display, DISPLAY, own.drive_hz)
        rates_to = formula_rates(units.assign(baseline_hz=own.baseline_hz))
    else:
        units, network = draw_published(units, sizes, display, streams("network"))
        units = published_gain(units, network, display, own.drive_hz)
        rates_to = published_rates(units.assign(baseline_hz=own.baseline_hz), network)
    units["baseline_hz"] = own.baseline_hz
    movies = make_movies(sizes, _Streams(image_seed))
    schedule = plan.build_schedule(
        sizes.frames,
        sizes.repeats,
        sizes.gabor_repeats,
        sizes.grating_repeats,
        streams("schedule"),
        {name: (len(movie), sizes.movie_repeats[name]) for name, movie in movies.items()},
        sizes.drifting_repeats,
        sizes.flash_repeats,
    )
    rates_of = condition_rates(rates_to, display, schedule.tables)
    if movies:
        drawn = draw_temporal(len(units), streams("temporal")).set_index(units.index)
        units = pd.concat([units, drawn], axis=1)
        rates_of |= {name: movie_rates(rates_to, units, movie) for name, movie in movies.items()}

    running_times, speed = running_speed(schedule.end_s, streams("running"))
    log_gain = shared_gain(running_times, speed, sizes.gain_drift, streams("gain"))
    moved: tuple[str, ...] = ()
    eye_times = gaze = None
    if sizes.gaze_sd_deg and sizes.repeats:
        moved = ("natural_scenes",)
        eye_times, at = eye_movements(schedule.end_s, sizes.gaze_sd_deg, streams("gaze"))
        scenes = schedule.tables["natural_scenes"]
        rates_of["natural_scenes"] = scene_rates(rates_to, display, scenes, eye_times, at)
        gaze = with_blinks(at, streams("blinks"))
    edges, shown, rates = rate_bins(
        schedule,
        rates_of,
        units["baseline_hz"].to_numpy(),
        sizes.latency_s,
        per_presentation=moved,
    )
    centres = (edges[:-1] + edges[1:]) / 2
    drift = np.interp(centres, running_times, log_gain)
    spike_times = {}
    for column, unit in enumerate(track(units.index, "drawing spike trains")):
        unit_rng = streams("spikes", int(unit))
        coupling = unit_rng.uniform(0.5, 1.5)
        gain = np.exp(coupling * drift - (coupling * sizes.gain_drift) ** 2 / 2)
        if own.gain_sd[column]:
            gain = gain * own_gain(centres, own.gain_sd[column], unit_rng)
        train = poisson_train(edges, rates[shown, column] * gain, unit_rng)
        train = train + own.delay_s[column]
        spike_times[int(unit)] = train[train < schedule.end_s]

    columns = [
        "peak_channel_id",
        "local_index",
        "cluster_id",
        "quality",
        "isi_violations",
        "presence_ratio",
        "amplitude_cutoff",
        "snr",
        "waveform_duration",
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
        eye_times=eye_times,
        gaze_deg=gaze,
    )
    truth = units.drop(columns=columns).rename_axis("neuron_id").reset_index()
    return SimulatedSession(frames if sizes.repeats else frames[:0], movies, recording, truth)
