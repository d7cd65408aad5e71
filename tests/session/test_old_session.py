"""A file in the released format (NWB core 2.2.2), written and counted by AllenSDK.

``tests/data/old_session.py`` created it with packages of that time.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.results.layout import Layout
from meiflow.results.tables import read_trials
from meiflow.session.images import resize
from meiflow.session.recording import read_session
from meiflow.stages.tables import build_tables
from meiflow.tables.counts import count_spikes, counting_windows, outside

OLD = Path(__file__).parents[1] / "data" / "old_session.nwb"


@pytest.fixture(scope="module")
def counted():
    """Counts by AllenSDK in an environment of 2023; see the script."""
    return pd.read_csv(OLD.with_name("old_session_counts.csv"))


def theirs(counted, stimulus, window):
    table = counted[(counted["stimulus"] == stimulus) & (counted["window"] == window)]
    return table.set_index("presentation").drop(columns=["stimulus", "window"])


def test_it_has_the_stated_version():
    assert OLD.stat().st_size < 1_000_000
    with h5py.File(OLD) as file:
        assert list(file["specifications/core"]) == ["2.2.2"]


@pytest.mark.parametrize("window", ["fixed", "own"])
@pytest.mark.parametrize("area", ["VISam", "VISp"])
def test_the_same_units_and_counts(counted, window, area):
    session = read_session(OLD, (area,), Quality())
    shown = {"natural_scenes": session.scenes, **session.conditions}
    assert set(shown) == {"natural_scenes", "gabors", "static_gratings"}
    for name, table in shown.items():
        wanted = theirs(counted, name, window)
        units = [str(u) for u in session.units.index]
        assert units == [u for u in wanted if u.startswith("951000") == (area == "VISam")]
        assert table.index.tolist() == wanted.index.tolist()
        counts = count_spikes(
            session.spike_times,
            *counting_windows(table, (0.0, 0.25 if window == "fixed" else None)),
        )
        np.testing.assert_array_equal(counts, wanted[units])
        assert counts.sum() > 0


def test_failed_stimulus_and_failed_probe(counted):
    """Scenes with long frames are missing for all units; those probeB missed only for its own."""
    here, there = (read_session(OLD, (area,), Quality()) for area in ("VISam", "VISp"))
    assert len(here.scenes) == 72 - 4
    assert len(here.lost) == 0
    kept = outside(there.scenes, (0.0, 0.25), there.lost, "natural_scenes")
    lost = there.scenes.loc[there.scenes.index.difference(kept.index)]
    with h5py.File(OLD) as file:
        start, stop = (file[f"intervals/invalid_times/{k}_time"][1] for k in ("start", "stop"))
    assert len(lost) == 5
    assert (lost["start_time"] < stop).all()
    assert (lost["stop_time"] > start).all()
    # a longer window reaches the interval from further away
    assert len(outside(there.scenes, (0.0, 1.0), there.lost, "natural_scenes")) == 68 - 5 - 3


def test_running_and_pupil():
    scenes = read_session(OLD, ("VISam",), Quality()).scenes
    middle = (scenes["start_time"] + scenes["stop_time"]).to_numpy() / 2
    # in the script, speed is a tenth of the time, sampled every 0.1 s
    np.testing.assert_allclose(scenes["running_speed_cm_s"], middle / 10, atol=0.011)
    with h5py.File(OLD) as file:
        fits = file["processing/eye_tracking/pupil_ellipse_fits"]
        half, times = fits["height"][:], fits["timestamps"][:]
    # half axes h and 0.9 h: area pi 0.9 h^2, in pixels
    wanted = np.interp(middle, times[~np.isnan(half)], 0.9 * np.pi * half[~np.isnan(half)] ** 2)
    np.testing.assert_allclose(scenes["pupil_area_px"], wanted, rtol=2e-3)


def test_tables_of_an_old_session(tmp_path, rng, counted):
    images = resize(rng.uniform(size=(8, 30, 40)), (15, 20))
    np.save(tmp_path / "images.npy", images)
    config = parse_config({"session": {"area": "VISam"}, "image": {"height": 12, "width": 20}})
    results = Layout(tmp_path / "results")
    build_tables(config, results, tmp_path / "images.npy", OLD)
    trials = read_trials(results)
    wanted = theirs(counted, "natural_scenes", "fixed")[trials.neuron_ids]
    np.testing.assert_array_equal(trials.counts, wanted)
    tuning = pd.read_csv(results.tuning)
    units = pd.read_csv(results.units)
    assert set(units["waveform_duration"]) == {0.3}
    assert "d_prime" not in units
    # the silent unit has none
    assert tuning["rf_x_deg"].isna().sum() == 1
    assert tuning["pref_orientation_deg"].isna().sum() == 1
