"""Trials of real numbers: reading, faults, notes, medians, and what is written to the tables."""

import json

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_conditions, read_raster, read_responses, read_trials
from meiflow.session.dataset import Dataset
from meiflow.stages.check import describe_inputs
from meiflow.stages.selection import select
from meiflow.stages.tables import build_tables


@pytest.fixture
def given(tmp_path, rng):
    """Six images, ten times each, two neurons with negative responses, and static gratings."""
    np.save(tmp_path / "images.npy", rng.uniform(size=(6, 8, 12)))
    shown = rng.permutation(np.repeat(np.arange(6), 10))
    values = np.column_stack([shown - 4.0, -np.abs(shown - 2.0)]) + rng.normal(0, 0.1, (60, 2))
    table = pd.DataFrame({"trial_id": np.repeat(np.arange(60), 2), "neuron_id": ["a", "b"] * 60})
    table = table.assign(response=values.ravel(), image_id=np.repeat(shown, 2))
    turn = np.tile([0.0, 45.0, 90.0, 135.0], 5)
    gratings = pd.DataFrame({"trial_id": np.repeat(np.arange(20), 2), "neuron_id": ["a", "b"] * 20})
    response = np.column_stack([np.where(turn == 90, 2.0, -1.0), np.full(20, -0.5)])
    gratings = gratings.assign(response=response.ravel(), orientation=np.repeat(turn, 2))
    gratings = gratings.assign(spatial_frequency=0.08, phase=0.0)
    gratings.to_csv(tmp_path / "gratings.csv", index=False)
    return table


def config_of(folder, table, **session):
    table.to_csv(folder / "trials.csv", index=False)
    session = {
        "source": "tables", "id": "mine", "response": "real", "response_unit": "dF/F",
        "trials": str(folder / "trials.csv"), "images": str(folder / "images.npy"),
    } | session  # fmt: skip
    image = {"height": 8, "width": 12, "width_deg": 12.0, "height_deg": 8.0}
    selection = {"shuffles": 1000}
    return parse_config({"session": session, "image": image, "selection": selection})


def test_tables_hold_what_was_given(tmp_path, given):
    given.loc[7, "response"] = 1000.0
    config = config_of(
        tmp_path, given, average="median", static_gratings=str(tmp_path / "gratings.csv")
    )
    results = Layout(tmp_path / "results")
    build_tables(config, results, tmp_path / "images.npy", None)
    trials, responses = read_trials(results), read_responses(results)
    assert trials.response == responses.response == config.session.response_type
    np.testing.assert_allclose(trials.counts.ravel(), given["response"], rtol=1e-7)
    expected = given.groupby(["image_id", "neuron_id"])["response"].median().unstack()
    np.testing.assert_allclose(responses.means, expected, rtol=1e-6)
    np.testing.assert_allclose(read_raster(results).counts, trials.counts, rtol=1e-6)
    assert json.loads(results.image_info.read_text())["response"]["unit"] == "dF/F"
    assert read_conditions(results, "static_gratings").counts.min() == -1
    tuning = pd.read_csv(results.tuning).set_index("neuron_id")
    assert tuning.loc["a", "pref_orientation_deg"] == 90
    assert tuning.loc["a", "orientation_selectivity"] == pytest.approx(1)
    assert np.isnan(tuning.loc["b", "pref_orientation_deg"])  # no response above zero
    select(config, results, SessionHas(gratings=True))
    chosen = pd.read_csv(results.selection).set_index("neuron_id")
    assert chosen["selected"].all()
    mean = given["response"][::2].mean()
    assert chosen.loc["a", "mean_response"] == pytest.approx(mean, rel=1e-6)
    assert not {"mean_rate_hz", "fano_factor"} & set(chosen)


@pytest.mark.parametrize(
    ("row", "value", "message"),
    [
        (3, np.nan, "response is empty in row 5"),
        (3, "nan", "response is 'nan' in row 5; expected a number from"),
        (3, "inf", "response is 'inf' in row 5"),
        (3, "1,5", "a row has more cells than the header|response is '1,5' in row 5"),
        (3, None, "no row for trial 1, neuron b; real responses need a row for every trial"),
    ],
)
def test_a_wrong_number_is_named(row, value, message, tmp_path, given):
    wrong = given.drop(index=row) if value is None else given.astype({"response": object})
    if value is not None:
        wrong.loc[row, "response"] = value
    config = config_of(tmp_path, wrong)
    with pytest.raises(MeiflowError, match=message):
        describe_inputs(config, Dataset(config).files_of("mine"))


def test_counts_that_are_real_numbers_say_what_to_do(tmp_path, given):
    config = config_of(tmp_path, given)
    plain = config.session.model_copy(
        update={"response": "counts", "response_unit": None, "average": "mean"}
    )
    counts = config.model_copy(update={"session": plain})
    given.rename(columns={"response": "spike_count"}).to_csv(tmp_path / "trials.csv", index=False)
    for wrong, message in (
        (counts, r"expected a whole number .*session.response: real, and a column response"),
        (config, "missing column response; found .*spike_count"),
    ):
        with pytest.raises(MeiflowError, match=message):
            describe_inputs(wrong, Dataset(wrong).files_of("mine"))


def test_outliers_and_constant_responses_are_noted(tmp_path, given):
    given.loc[6, "response"] = 50.0
    given.loc[given["neuron_id"] == "b", "response"] = -1.0
    config = config_of(tmp_path, given)
    lines = describe_inputs(config, Dataset(config).files_of("mine"))
    assert any(line.startswith("neurons: 2, -1 to ") and "dF/F" in line for line in lines)
    notes = [line for line in lines if line.startswith("note")]
    assert any("1 of 2 neurons: the same response in every trial (b)" in line for line in notes)
    assert any("more than a quarter of the variance (a)" in line for line in notes)
    robust = config_of(tmp_path, given, average="median")
    lines = describe_inputs(robust, Dataset(robust).files_of("mine"))
    assert not any("quarter" in line for line in lines)


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ({"response": "real"}, "real numbers come from tables, not from source simulated"),
        ({"average": "median"}, "average: has no effect without response: real"),
        ({"response_unit": "z"}, "response_unit: has no effect without response: real"),
    ],
)
def test_settings_that_do_not_fit_are_refused(session, message):
    with pytest.raises(MeiflowError, match=message):
        parse_config({"session": session})
