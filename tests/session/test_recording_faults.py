"""Oddities of real session files, each introduced into a copy of a good file."""

import logging
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.results.tables import read_trials, window_length
from meiflow.session.recording import mean_within, read_session
from meiflow.stages.tables import build_tables
from meiflow.tables.counts import count_spikes, outside


@pytest.fixture
def copy(small_session, tmp_path):
    path = tmp_path / "session.nwb"
    shutil.copy(small_session.session_file, path)
    return path


@pytest.fixture
def results(tmp_path):
    return Layout(tmp_path / "results")


@pytest.fixture(scope="module")
def good(small_session):
    return read_session(small_session.session_file, ("VISam",), Quality())


def test_unsorted_spike_times_are_sorted(copy, good):
    with h5py.File(copy, "r+") as file:
        ends = file["units/spike_times_index"][:]
        times = file["units/spike_times"]
        for start, stop in zip(np.append(0, ends[:-1]), ends, strict=True):
            times[start:stop] = times[start:stop][::-1]
    for a, b in zip(
        read_session(copy, ("VISam",), Quality()).spike_times, good.spike_times, strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_unit_that_never_fires_counts_zero(copy, good):
    with h5py.File(copy, "r+") as file:
        row = file["units/id"][:].tolist().index(good.units.index[0])
        ends = file["units/spike_times_index"][:]
        start = ends[row - 1] if row else 0
        file["units/spike_times"][start : ends[row]] = 1e6  # all long after the session
    session = read_session(copy, ("VISam",), Quality())
    onset = session.scenes["start_time"].to_numpy()
    assert count_spikes(session.spike_times, onset, onset + 0.25)[:, 0].sum() == 0


def test_invalid_intervals_make_repeats_unequal(copy, good):
    """AllenSDK masks presentations within an interval tagged 'stimulus'."""
    from pynwb import NWBHDF5IO

    first = good.scenes["start_time"].iloc[0]
    with NWBHDF5IO(str(copy), "r+") as io:
        file = io.read()
        file.add_invalid_times_column(name="tags", description="tags", index=True)
        file.add_invalid_time_interval(
            start_time=first - 0.1, stop_time=first + 1.1, tags=["stimulus", "0", "x"]
        )
        io.write(file)
    session = read_session(copy, ("VISam",), Quality())
    assert len(session.scenes) == len(good.scenes) - 5
    assert session.scenes["frame"].value_counts().nunique() > 1


def invalid_interval(path, tags, start, stop):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r+") as io:
        file = io.read()
        file.add_invalid_times_column(name="tags", description="tags", index=True)
        file.add_invalid_time_interval(start_time=start, stop_time=stop, tags=tags)
        io.write(file)


def test_presentations_while_a_probe_missed_spikes_are_left_out(
    copy, good, small_session, results, caplog
):
    caplog.set_level(logging.INFO)
    first = good.scenes["start_time"].iloc[0]
    [probe] = set(good.units["probe"])
    invalid_interval(copy, ["EcephysProbe", "1", probe], first + 0.3, first + 0.6)
    build_tables(parse_config({}), results, small_session.scenes, copy)
    kept = {int(i) for i in read_trials(results).trial_ids}
    assert set(good.scenes.index) - kept == set(good.scenes.index[1:3])
    assert "natural_scenes: excluded 2 of 246 presentations" in caplog.text
    # another probe's units do not lose them
    assert len(read_session(copy, ("VISp",), Quality()).lost) == 0


def test_an_interval_without_an_end_and_a_lost_stimulus(copy, good):
    [probe] = set(good.units["probe"])
    last = good.scenes["start_time"].iloc[-1]
    invalid_interval(copy, ["EcephysProbe", "1", probe], last + 0.1, np.nan)
    session = read_session(copy, ("VISam",), Quality())
    assert len(outside(session.scenes, (0.0, 0.25), session.lost, "x")) == len(good.scenes) - 1
    with pytest.raises(MeiflowError, match="missed spikes during all gabors"):
        outside(good.conditions["gabors"], (0.0, 0.25), [[0, 1e9]], "gabors")


def test_a_file_of_another_layout(tmp_path):
    """Units of another laboratory, without stimuli: the message says what can still be done."""
    from datetime import UTC, datetime

    from pynwb import NWBHDF5IO, NWBFile

    for count in (0, 1):
        nwb = NWBFile("x", "5", datetime(2024, 1, 1, tzinfo=UTC))
        device = nwb.create_device("d")
        group = nwb.create_electrode_group("g", "g", "V1", device)
        nwb.add_electrode(x=1.0, y=1.0, z=1.0, location="V1", filtering="none", group=group)
        for _ in range(count):
            nwb.add_unit(spike_times=[1.0, 2.0])
        with NWBHDF5IO(str(tmp_path / f"{count}.nwb"), "w") as io:
            io.write(nwb)
    with pytest.raises(MeiflowError, match="contains no sorted units"):
        read_session(tmp_path / "0.nwb", None, Quality())
    off = Quality(isi_violations_max=None, amplitude_cutoff_max=None, presence_ratio_min=None)
    with pytest.raises(MeiflowError, match=r"isi_violations_max .* none has a value .*use null"):
        read_session(tmp_path / "1.nwb", None, Quality())
    with pytest.raises(
        MeiflowError, match=r"nor another table of presentations .* session.source tab"
    ):
        read_session(tmp_path / "1.nwb", None, off)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("frame", 2.5, r"has frame 2\.5; expected a whole number"),
        ("start_time", np.nan, "session.nwb"),
        ("stop_time", np.nan, "session.nwb"),
    ],
)
def test_odd_values_in_a_stimulus_table(copy, column, value, message):
    with h5py.File(copy, "r+") as file:
        file[f"intervals/natural_scenes_presentations/{column}"][3] = value
    with pytest.raises(MeiflowError, match=message) as caught:
        read_session(copy, ("VISam",), Quality())
    assert "\n" not in str(caught.value)


def test_a_window_that_ends_before_it_starts(copy, small_session, results):
    with h5py.File(copy, "r+") as file:
        table = file["intervals/natural_scenes_presentations"]
        table["stop_time"][7] = table["start_time"][7] + 0.1
    config = parse_config({"session": {"window_s": [0.15, None]}})
    with pytest.raises(MeiflowError, match=r"the window starts 0.15 s .*ends after 0.1 s"):
        build_tables(config, results, small_session.scenes, copy)


def test_tables_of_another_session_do_not_stay(copy, small_session, results):
    build_tables(parse_config({}), results, small_session.scenes, copy)
    assert results.tuning.exists()
    with h5py.File(copy, "r+") as file:
        for name in ("gabors", "static_gratings"):
            del file[f"intervals/{name}_presentations"]
    build_tables(parse_config({}), results, small_session.scenes, copy)
    for path in results.named(
        "gabor_responses", "gabor_trials", "grating_responses", "grating_trials", "tuning"
    ):
        assert not path.exists()


def test_rows_out_of_order_and_numbers_as_text(copy, good, rng):
    """Presentations do not depend on the order of a table's rows, or on numbers being strings."""
    before = {k: v.reset_index(drop=True) for k, v in good.conditions.items()}
    with h5py.File(copy, "r+") as file:
        for name in ("natural_scenes", "static_gratings", "gabors"):
            table = file[f"intervals/{name}_presentations"]
            order = rng.permutation(len(table["id"]))
            for column in table:
                if column == "id":
                    continue
                values = table[column][:][order]
                table[column][...] = values
        gratings = file["intervals/static_gratings_presentations"]
        values = np.array([f"{v}" for v in gratings["phase"][:]], dtype=object)
        attributes = dict(gratings["phase"].attrs)
        del gratings["phase"]
        gratings.create_dataset("phase", data=values, dtype=h5py.string_dtype())
        gratings["phase"].attrs.update(attributes)
    session = read_session(copy, ("VISam",), Quality())
    pd.testing.assert_frame_equal(session.scenes, good.scenes)
    assert session.scenes["start_time"].is_monotonic_increasing
    for name, table in session.conditions.items():
        pd.testing.assert_frame_equal(table.reset_index(drop=True), before[name])


def test_window_to_the_presentations_own_end(copy, small_session, good, tmp_path):
    """One presentation ends early: a fixed window counts more spikes than its own end."""
    onset = good.scenes["start_time"].to_numpy()
    counts = count_spikes(good.spike_times, onset + 0.1, onset + 0.25)
    late = int(counts.sum(axis=1).argmax())
    with h5py.File(copy, "r+") as file:
        table = file["intervals/natural_scenes_presentations"]
        row = int(np.argmin(np.abs(table["start_time"][:] - onset[late])))
        table["stop_time"][row] = onset[late] + 0.1
    totals, layouts = {}, {name: Layout(tmp_path / name) for name in ("fixed", "own")}
    for name, window in (("fixed", [0.0, 0.25]), ("own", [0.0, None])):
        config = parse_config({"session": {"window_s": window}})
        build_tables(config, layouts[name], small_session.scenes, copy)
        totals[name] = read_trials(layouts[name]).counts[late].sum()
    assert totals["fixed"] - totals["own"] == counts[late].sum()
    assert 0.2499 > window_length((0.0, None), layouts["own"]) > 0.249
    assert window_length((0.0, 0.25), layouts["own"]) == 0.25


def test_no_units_and_no_scenes(copy):
    with h5py.File(copy, "r+") as file:
        del file["intervals/natural_scenes_presentations"]
    with pytest.raises(MeiflowError, match=r"has no valid natural_scenes .*gabors"):
        read_session(copy, None, Quality())
    with h5py.File(copy, "r+") as file:
        del file["units"]
    with pytest.raises(MeiflowError, match="contains no sorted units"):
        read_session(copy, None, Quality())


def test_zeroed_blocks_are_noticed_or_harmless(copy):
    data = bytearray(copy.read_bytes())
    data[:4096] = bytes(4096)
    copy.write_bytes(data)
    with pytest.raises(MeiflowError, match="is not a readable NWB"):
        read_session(copy, None, Quality())


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(-5, 50)), min_size=1, max_size=30))
def test_mean_within_is_the_mean_of_the_samples(samples):
    times, values = np.array(samples).T
    [mean] = mean_within(times, values, np.array([2.0]), np.array([6.0]))
    inside = (times >= 2) & (times < 6)
    if inside.any():
        assert mean == pytest.approx(values[inside].mean(), abs=1e-9)
    else:
        assert values.min() - 1e-9 <= mean <= values.max() + 1e-9


def test_mean_within_of_nothing():
    nan = np.array([np.nan])
    assert np.isnan(mean_within(nan, nan, np.zeros(2), np.ones(2))).all()
