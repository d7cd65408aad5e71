"""Session files as they really are: each oddity is put into a copy of a good file."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meiflow.config import Quality, parse_config
from meiflow.errors import MeiflowError
from meiflow.session.recording import mean_within, read_session
from meiflow.tables.build import build_tables
from meiflow.tables.counts import count_spikes
from meiflow.tables.load import load_trials, window_length


@pytest.fixture
def copy(small_session, tmp_path):
    path = tmp_path / "session.nwb"
    shutil.copy(small_session / "session.nwb", path)
    return path


@pytest.fixture(scope="module")
def good(small_session):
    return read_session(small_session / "session.nwb", ("VISam",), Quality())


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


def test_presentations_while_a_probe_missed_spikes_are_left_out(copy, good, capsys):
    from pynwb import NWBHDF5IO

    first = good.scenes["start_time"].iloc[0]
    [probe] = set(good.units["probe"])
    other = read_session(copy, ("VISp",), Quality())
    with NWBHDF5IO(str(copy), "r+") as io:
        file = io.read()
        file.add_invalid_times_column(name="tags", description="tags", index=True)
        file.add_invalid_time_interval(
            start_time=first + 0.3, stop_time=first + 0.6, tags=["EcephysProbe", "1", probe]
        )
        io.write(file)
    session = read_session(copy, ("VISam",), Quality())
    assert set(good.scenes.index) - set(session.scenes.index) == set(good.scenes.index[1:3])
    assert "natural_scenes: 2 of 246 presentations left out" in capsys.readouterr().err
    # another probe's units do not lose them
    assert len(read_session(copy, ("VISp",), Quality()).scenes) == len(other.scenes)


def test_rows_out_of_order_and_numbers_as_text(copy, good, rng):
    """The same presentations whatever the order of a table's rows, and numbers in strings."""
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
    totals = {}
    for name, window in (("fixed", [0.0, 0.25]), ("own", [0.0, None])):
        config = parse_config({"session": {"window_s": window}})
        build_tables(config, small_session / "frames", copy, tmp_path / name)
        totals[name] = load_trials(tmp_path / name).counts[late].sum()
    assert totals["fixed"] - totals["own"] == counts[late].sum()
    assert 0.2499 > window_length((0.0, None), tmp_path / "own") > 0.249
    assert window_length((0.0, 0.25), tmp_path / "own") == 0.25


def test_no_units_and_no_scenes(copy):
    with h5py.File(copy, "r+") as file:
        del file["intervals/natural_scenes_presentations"]
    with pytest.raises(MeiflowError, match=r"showed no natural_scenes .*gabors"):
        read_session(copy, None, Quality())
    with h5py.File(copy, "r+") as file:
        del file["units"]
    with pytest.raises(MeiflowError, match="holds no sorted units"):
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
