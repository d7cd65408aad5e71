import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.errors import MeiflowError
from meiflow.tables.counts import (
    BLANK,
    Trials,
    count_spikes,
    counting_windows,
    mean_responses,
    trials_from_table,
)


@settings(max_examples=50)
@given(
    st.lists(st.floats(0, 10), max_size=40),
    st.lists(st.floats(0, 10), min_size=1, max_size=8),
    st.floats(-0.5, 0.5),
    st.floats(0.01, 1),
)
def test_counting_equals_brute_force(spikes, onsets, start, length):
    times = np.sort(np.array(spikes))
    window = (start, start + length)
    shown = np.array(onsets)
    counts = count_spikes([times], shown + window[0], shown + window[1])
    brute = [((times > t + window[0]) & (times <= t + window[1])).sum() for t in onsets]
    np.testing.assert_array_equal(counts[:, 0], brute)


def test_window_is_open_at_the_start_and_closed_at_the_end():
    assert count_spikes([np.array([1.0, 1.25])], [1.0], [1.25])[0, 0] == 1


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "trial_id": [1, 1, 2, 3],
            "neuron_id": ["a", "b", "a", "b"],
            "spike_count": [2, 1, 4, 3],
            "image_id": [5, 5, 0, BLANK],
        }
    )


def test_absent_pairs_are_zero(table):
    trials = trials_from_table(table, "t.csv")
    assert trials.counts.tolist() == [[2, 1], [4, 0], [0, 3]]
    assert trials.image_ids.tolist() == [5, 0, -1]
    assert len(trials.to_frame()) == 6
    again = trials_from_table(trials.to_frame(), "t.csv")
    np.testing.assert_array_equal(again.counts, trials.counts)
    assert trials.of_images().counts.tolist() == [[2, 1], [4, 0]]


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("spike_count", 1, -1, r"spike_count is .*-1.* in row 3; expected a whole number"),
        ("spike_count", 0, 1.5, r"spike_count is .*1.5.* in row 2"),
        ("spike_count", 2, np.nan, "spike_count is empty in row 4"),
        ("spike_count", 2, "many", "'many' in row 4"),
        ("spike_count", 2, np.inf, "row 4"),
        ("spike_count", 2, 1e300, r"'1e\+300' in row 4; expected a whole number from 0 to"),
        ("neuron_id", 0, "image_id", "'image_id' is reserved for a table column"),
        ("image_id", 3, -2, "image_id is .*-2.* in row 5"),
        ("image_id", 1, 6, "trial 1 has more than one image_id"),
        ("neuron_id", 1, "a", "duplicate rows 2, 3 for trial 1, neuron a"),
        ("neuron_id", 0, "../x", r"invalid neuron_id '../x'"),
        ("trial_id", 0, np.nan, "trial_id is empty in row 2"),
    ],
)
def test_bad_rows_are_named(table, column, row, value, message):
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    with pytest.raises(MeiflowError, match=message):
        trials_from_table(table, "t.csv")


def test_empty_table():
    empty = pd.DataFrame(columns=["trial_id", "neuron_id", "spike_count", "image_id"])
    with pytest.raises(MeiflowError, match="no trials"):
        trials_from_table(empty, "t.csv")


def test_numeric_ids_stay_whole_numbers(table):
    table["neuron_id"] = [951.0, 952.0, 951.0, 952.0]
    assert trials_from_table(table, "t.csv").neuron_ids == ["951", "952"]


def test_means_with_unequal_repeats():
    trials = Trials(np.arange(4), ["a"], np.array([3, 1, 3, 3]), np.array([[1], [5], [2], [6]]))
    image_ids, means = mean_responses(trials)
    assert image_ids.tolist() == [1, 3]
    assert means[:, 0].tolist() == [5, 3]


def test_window_may_end_with_each_presentation():
    shown = pd.DataFrame({"start_time": [1.0, 2.0], "stop_time": [1.2, 2.3]})
    starts, stops = counting_windows(shown, (0.05, None))
    assert starts.tolist() == [1.05, 2.05]
    assert stops.tolist() == [1.2, 2.3]
    assert counting_windows(shown, (0.0, 0.25))[1].tolist() == [1.25, 2.25]
