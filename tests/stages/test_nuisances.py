"""The nuisances stage: from the tables and the models of a session."""

import numpy as np
import pandas as pd
import pytest

from meiflow.io.files import read_csv, write_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.fit_models import fit_models
from meiflow.stages.nuisances import score_nuisances
from tests.known import write_fitted
from tests.stages.test_fit_models import CONFIG, write_tables
from tests.stages.test_trial_gain import RUNNING, write_presentations


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three neurons that follow the luminance of a part of the screen, and their models."""
    results = Layout(tmp_path_factory.mktemp("results"))
    write_tables(results)
    fit_models(CONFIG, results, SessionHas(), 1)
    write_fitted(results, ["a", "c", "d"])
    return results


def test_own_tables_are_predicted_from_their_images(results):
    score_nuisances(CONFIG, results, SessionHas())
    table = read_csv(results.nuisances)
    assert table["neuron_id"].tolist() == ["a", "c", "d"]
    assert not {"cc_abs_running_speed", "cc_abs_time", "drift_share"} & set(table)
    scores = read_csv(results.cross_validation).set_index(["model", "neuron_id"])
    for score in ("cc_abs", "cc_norm"):  # the ceiling is that of the models
        expected = scores.loc["model"].loc[["a", "c", "d"], score]
        np.testing.assert_allclose(table[f"{score}_model"], expected, rtol=1e-4)


def test_a_session_file_adds_behaviour_and_time(results):
    gaze = np.random.default_rng(0).normal(size=60)
    write_presentations(results, **RUNNING, gaze_x_deg=gaze, gaze_y_deg=np.nan)
    score_nuisances(CONFIG, results, SessionHas(spike_times=True))
    table = read_csv(results.nuisances)
    assert {"cc_abs_running_speed", "cc_norm_high_time"} < set(table)
    assert "cc_abs_gaze_x" in table
    assert not {"cc_abs_pupil_area", "cc_abs_gaze_y"} & set(table)  # never known
    # the images were shown one after the other, in the order in which the animal ran faster
    assert table["drift_share"].abs().max() < 0.3
    assert np.isfinite(table["cc_norm_model_steady"]).any()


def test_a_light_leak_is_named(results, tmp_path):
    """The counts of a neuron are replaced with the luminance of the lower half of the screen."""
    images = np.load(results.images)
    leak = np.rint(200 * images[:, 6:].mean((1, 2))).astype(int)
    trials = pd.read_csv(results.trials)
    own = trials["neuron_id"] == "a"
    trials.loc[own, "spike_count"] = leak[trials.loc[own, "image_id"]]
    write_csv(trials, results.trials)
    means = pd.read_csv(results.responses)
    write_csv(means.assign(a=leak), results.responses)
    fit_models(CONFIG, results, SessionHas(), 1)
    score_nuisances(CONFIG, results, SessionHas())
    table = read_csv(results.nuisances).set_index("neuron_id")
    assert table["nuisance"]["a"] == "luminance_lower"
