"""The gain of single trials, from the tables of a session."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_trials
from meiflow.stages.fit_models import fit_models
from meiflow.stages.trial_gain import trial_gain
from tests.stages.test_fit_models import CONFIG, write_tables

NWB = SessionHas(spike_times=True)


def with_gain(kind):
    return CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"gain": kind})})


@pytest.fixture
def results(tmp_path):
    """60 trials of 4 neurons."""
    results = Layout(tmp_path)
    write_tables(results)
    return results


def write_presentations(results, **behaviour):
    table = pd.DataFrame({"trial_id": range(60), "block": np.arange(60) // 30})
    table = table.assign(start_s=0.25 * np.arange(60), **behaviour)
    write_csv(table.iloc[::-1], results.presentations)


RUNNING = {"running_speed_cm_s": np.linspace(0, 9, 60)}
PUPIL = {"pupil_area_px": np.linspace(900, 400, 60)}


@pytest.mark.parametrize(
    ("kind", "recorded", "states"),
    [
        ("behaviour", RUNNING | PUPIL, ("running_speed", "pupil_area")),
        ("auto", PUPIL, ("pupil_area",)),
        ("auto", {}, ("shared_gain", "slow_shared_gain")),
        ("auto", {"pupil_area_px": np.full(60, np.nan)}, ("shared_gain", "slow_shared_gain")),
        ("population", RUNNING, ("shared_gain", "slow_shared_gain")),
    ],
)
def test_states_are_those_recorded_or_shared(results, kind, recorded, states):
    write_presentations(results, **recorded)
    found = trial_gain(with_gain(kind), results, NWB, read_trials(results))
    assert found.states == states
    assert found.trials.shared == ("shared_gain" in states)
    np.testing.assert_array_equal(found.trials.blocks, np.arange(60) // 30)
    if "running_speed_cm_s" in recorded and kind == "behaviour":  # in the order of the trials
        expected = np.log1p(RUNNING["running_speed_cm_s"])
        np.testing.assert_allclose(found.trials.behaviour[:, 0], expected)


def test_own_trials_have_no_behaviour(results):
    trials = read_trials(results)
    assert trial_gain(with_gain("none"), results, SessionHas(), trials) is None
    found = trial_gain(with_gain("auto"), results, SessionHas(), trials)
    assert found.trials.blocks is None
    np.testing.assert_array_equal(found.trials.images, trials.image_ids)
    with pytest.raises(MeiflowError, match=r"model\.gain: behaviour was requested"):
        trial_gain(with_gain("behaviour"), results, SessionHas(), trials)


def test_blanks_and_image_ids_become_indices(results):
    table = read_csv(results.trials)
    table["image_id"] = table["image_id"].replace({0: -1}) * 2
    table["image_id"] = table["image_id"].replace({-2: -1})
    write_csv(table, results.trials)
    trials = read_trials(results)
    found = trial_gain(with_gain("population"), results, SessionHas(), trials)
    expected = np.where(trials.image_ids < 0, -1, trials.image_ids // 2 - 1)
    np.testing.assert_array_equal(found.trials.images, expected)


def test_presentations_of_another_run_are_noticed(results):
    write_presentations(results, **RUNNING)
    table = read_csv(results.presentations)
    write_csv(table[table["trial_id"] != "17"], results.presentations)
    with pytest.raises(MeiflowError, match="make the tables again"):
        trial_gain(with_gain("auto"), results, NWB, read_trials(results))


def test_the_fit_writes_the_gain_of_every_neuron_or_removes_it(results):
    write_presentations(results, **RUNNING)
    fit_models(with_gain("behaviour"), results, NWB, 1)
    table = read_csv(results.gain)
    assert table["neuron_id"].tolist() == list("abcd")
    assert table["used"].dtype == bool
    assert table["pupil_area"].isna().all()
    assert (table.loc[~table["used"], "running_speed"] == 0).all()
    assert not table.loc[table["neuron_id"] == "b", "used"].item()  # silent
    fit_models(with_gain("none"), results, NWB, 1)
    assert not results.gain.exists()
