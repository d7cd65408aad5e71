"""Gabor and grating trials: means, errors, and the tables of a user."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import sem

from meiflow.config.config import check_inputs, parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_csv
from meiflow.results.layout import Layout
from meiflow.stages.tables import build_tables
from meiflow.tables.conditions import (
    Conditions,
    condition_columns,
    conditions_from_table,
    rivals_of_best,
)

GRID = Geometry(60, 96)
KEYS = ["x_position", "y_position", "orientation"]


def presentations(rows, ids=None):
    return pd.DataFrame(rows, columns=KEYS, index=ids)


def test_means_errors_and_tables():
    shown = presentations([(0, 5, 45), (0, 5, 45), (-10, 5, 0)], [7, 8, 9])
    found = Conditions.of(shown, np.array([[1], [2], [7]]), ["n"])
    table = found.mean_table()
    assert table.columns.tolist() == ["condition_id", *KEYS, "repeats", "n"]
    assert table["n"].tolist() == [7, 1.5]
    assert table["repeats"].tolist() == [1, 2]
    assert found.errors[1, 0] == pytest.approx(0.5)
    assert np.isnan(found.errors[0, 0])
    trials = found.trial_table()
    assert trials["trial_id"].tolist() == [7, 8, 9]
    assert trials["condition_id"].tolist() == [1, 1, 0]
    assert trials["x_position"].tolist() == [0, 0, -10]
    empty = Conditions.of(shown.iloc[:0], np.empty((0, 1), int), ["n"]).mean_table()
    assert empty.empty
    assert "n" in empty


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=40))
def test_errors_are_scipys(trials):
    condition, counts = np.array(trials).T
    shown = pd.DataFrame({"orientation": condition * 30.0})
    found = Conditions.of(shown, counts[:, None], ["n"])
    for row, orientation in enumerate(found.parameters["orientation"]):
        own = counts[condition * 30.0 == orientation]
        assert found.means[row, 0] == pytest.approx(own.mean())
        if len(own) > 1:
            assert found.errors[row, 0] == pytest.approx(sem(own))
        else:
            assert np.isnan(found.errors[row, 0])


def custom_session(folder, gabors):
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.random((5, 8, 12)))
    rows = [(t, n, t % 3, t % 5) for t in range(10) for n in ("a", "b")]
    trials = pd.DataFrame(rows, columns=["trial_id", "neuron_id", "spike_count", "image_id"])
    trials.to_csv(folder / "trials.csv", index=False)
    gabors.to_csv(folder / "gabors.csv", index=False)
    return parse_config(
        {
            "session": {
                "source": "tables",
                "trials": str(folder / "trials.csv"),
                "gabors": str(folder / "gabors.csv"),
                "images": str(folder / "images.npy"),
            },
            "image": {"height": 8, "width": 12, "width_deg": 121.24, "height_deg": 94.8},
        }
    )


def gabor_rows(**changed):
    rows = [
        {"trial_id": t, "neuron_id": "b", "spike_count": t, "x_position": 10 * (t % 2),
         "y_position": 0, "orientation": 45} for t in range(4)
    ]  # fmt: skip
    rows[1] |= changed
    return pd.DataFrame(rows)


def test_custom_gabors_become_tables(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    config = custom_session(tmp_path, gabor_rows())
    check_inputs(config)
    results = Layout(tmp_path / "out")
    build_tables(config, results, tmp_path / "images.npy", None)
    table = pd.read_csv(results.gabor_responses)
    assert table["a"].tolist() == [0, 0]
    assert table["b"].tolist() == [1, 2]
    assert results.tuning.exists()
    assert not results.grating_responses.exists()
    assert "1 of 2 neurons have no rows" in caplog.text


def checked(path, stimulus, neurons):
    """A user's table as the conditions that the tables stage reads."""
    table = read_csv(path, condition_columns(stimulus))
    return conditions_from_table(table, path, stimulus, neurons, GRID, f"session.{stimulus}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_position": "left"}, "x_position is 'left' in row 3"),
        ({"orientation": None}, "orientation is 'nan' in row 3"),
        ({"neuron_id": "c"}, "neuron c .*does not occur in session.trials"),
        ({"trial_id": 0, "neuron_id": "a"}, "trial 0 in .* has more than one stimulus"),
        ({"spike_count": -1}, "spike_count is '-1' in row 3"),
        ({"spike_count": 1.5}, "spike_count is '1.5' in row 3"),
        ({"x_position": 200}, "x_position is 200 in row 3 .* expected -60.62 to 60.62 degrees"),
        ({"orientation": 1045}, "orientation is 1045 in row 3 .* expected -360 to 360"),
    ],
)
def test_invalid_custom_gabors(tmp_path, changed, message):
    gabor_rows(**changed).to_csv(tmp_path / "g.csv", index=False)
    with pytest.raises(MeiflowError, match=message):
        checked(tmp_path / "g.csv", "gabors", ["a", "b"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"phase": 90}, "phase is 90 in row 3 .* expected -1 to 1 cycles"),
        ({"spatial_frequency": 0}, "spatial_frequency is 0 in row 3"),
        ({"spatial_frequency": -0.04}, "spatial_frequency is -0.04 in row 3"),
        ({"spatial_frequency": 16}, "spatial_frequency is 16 in row 3 .* to 10 cycles per degree"),
    ],
)
def test_gratings_in_other_units_are_refused(tmp_path, changed, message):
    rows = [
        {"trial_id": t, "neuron_id": "a", "spike_count": 1, "orientation": 30 * t,
         "spatial_frequency": 0.04, "phase": 0.25} for t in range(4)
    ]  # fmt: skip
    rows[1] |= changed
    pd.DataFrame(rows).to_csv(tmp_path / "g.csv", index=False)
    with pytest.raises(MeiflowError, match=message):
        checked(tmp_path / "g.csv", "static_gratings", ["a"])


def test_frequencies_above_the_pixel_resolution_are_reported(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    row = {"trial_id": 0, "neuron_id": "a", "spike_count": 1, "orientation": 0}
    pd.DataFrame([row | {"spatial_frequency": 2.0, "phase": 0}]).to_csv(
        tmp_path / "g.csv", index=False
    )
    checked(tmp_path / "g.csv", "static_gratings", ["a"])
    assert "above 0.396 cycles per degree cannot be resolved" in caplog.text


def test_paths_are_checked_before_anything_runs(tmp_path):
    config = custom_session(tmp_path, gabor_rows())
    (tmp_path / "gabors.csv").unlink()
    with pytest.raises(MeiflowError, match=r"session.gabors: .* does not exist"):
        check_inputs(config)
    config = parse_config({"session": {"source": "simulated", "gabors": "g.csv"}})
    with pytest.raises(MeiflowError, match="a CSV is accepted only with source tables"):
        check_inputs(config)


@pytest.mark.parametrize(
    ("apart", "expected"),
    [(0.0, 1), (0.95, 1), (1.05, 0), (1.4, 0)],  # the error of the difference is 0.5
)
def test_a_rival_is_within_two_standard_errors_of_the_difference(apart, expected):
    """Errors of 0.3 and 0.4 combine to 0.5, not to their sum or to the best one's error."""
    means, errors = np.array([1.0, 5.0 - apart, 5.0]), np.array([0.1, 0.4, 0.3])
    assert rivals_of_best(means, errors) == expected
    assert rivals_of_best(10 * means + 3, 10 * errors) == expected


def test_without_an_error_the_rivals_are_unknown():
    assert np.isnan(rivals_of_best(np.array([5.0, 1.0]), np.array([0.3, np.nan])))
