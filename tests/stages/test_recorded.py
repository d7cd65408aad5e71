"""The stage that compares recorded and predicted tuning, on a session of known neurons."""

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.figures.recorded import recorded_overview, tuning_figure
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_csv, write_csv, write_text
from meiflow.models.archive import ModelArchive, write_archive
from meiflow.report.tuning_views import tuning_views
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import condition_trials
from meiflow.session.schedule import gabor_conditions, grating_conditions
from meiflow.stages.recorded import compare_recorded, predict_conditions
from meiflow.tables.conditions import Conditions
from tests.known import linear, write_fitted, write_models
from tests.validation.test_recorded import poisson

GRID = Geometry(30, 48)
CONFIG = parse_config({"image": {"height": 30, "width": 48}})
BOTH = SessionHas(gabors=True, gratings=True)


def linear_neuron(x, y, orientation, wavelength):
    """A rectified linear neuron with a Gabor filter."""
    drawn = patterns.gabor(GRID, x, y, wavelength, orientation, 40.0, 0.45 * wavelength)
    return linear(3 * drawn / (drawn**2).sum() ** 0.5, offset=-1.5, baseline=-4.0, scale=3.0)


def found(results):
    """Agreement and preferences as written."""
    return read_csv(results.recorded_tuning), read_csv(results.preferences)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Three known neurons recorded with Gabors and gratings, and one with another's model."""
    results = Layout(tmp_path_factory.mktemp("recorded"))
    rng = np.random.default_rng(3)
    places = [(-20.0, 10.0, 30.0, 14.0), (15.0, -5.0, 95.0, 13.0), (5.0, 20.0, 55.0, 15.0)]
    names = ["0", "1", "2", "3"]
    states = map(linear_neuron, *zip(*places, places[1], strict=True))
    write_models(results, GRID, dict(zip(names, states, strict=True)))
    archive = ModelArchive(results.models, GRID)
    models = [archive.model(name) for name in ("0", "1", "2", "0")]
    for stimulus, conditions, repeats in (
        ("gabors", gabor_conditions(), 15),
        ("static_gratings", grating_conditions(), 40),
    ):
        empty = Conditions.of(conditions, np.zeros((len(conditions), 4), int), names)
        rates = predict_conditions(models, CONFIG, stimulus, empty)
        counts = poisson(0.1 + 3 * rates, repeats, rng, conditions)
        write_csv(counts.trial_table(), condition_trials(results, stimulus))
    compare_recorded(CONFIG, results, BOTH)
    return results


@pytest.fixture
def results(compared, tmp_path):
    shutil.copytree(compared.root, tmp_path / "results")
    return Layout(tmp_path / "results")


def test_correct_models_agree_and_a_wrong_one_is_detected(compared):
    table, prefs = found(compared)
    scores = table.pivot(index="neuron_id", columns="curve", values="cc_norm")
    for curve in ("gabors", "position", "gratings", "orientation", "spatial_frequency"):
        assert (scores.loc[["0", "1", "2"], curve] > 0.85).all()
    assert scores.loc["3", "position"] < 0.3
    assert table["tuned"].all()
    p = table.pivot(index="neuron_id", columns="curve", values="p_shuffled")
    assert (p.loc[["0", "1", "2"], ["gabors", "position", "gratings"]] < 0.01).all(axis=None)
    assert p.loc["3", "position"] > 0.01
    right = prefs[prefs["neuron_id"] != "3"]
    assert right["field_error_deg"].max() < 5
    assert right["field_error_deg_others"].min() > 10
    assert right["orientation_error_deg"].max() < 6
    assert right["frequency_error_octaves"].max() < 0.3
    assert right["recorded_x_deg"].to_numpy() == pytest.approx([-20, 15, 5], abs=6)
    assert right["recorded_y_deg"].to_numpy() == pytest.approx([10, -5, 20], abs=6)
    wrong = prefs[prefs["neuron_id"] == "3"].iloc[0]
    assert wrong["field_error_deg"] > 20


def test_files_and_views_agree(compared):
    predicted = pd.read_csv(compared.predicted_gabors)
    assert list(predicted.columns[:4]) == [
        "condition_id",
        "x_position",
        "y_position",
        "orientation",
    ]
    view = tuning_views(compared, BOTH, ["1"])["1"]
    assert set(view.maps) == {"recorded", "predicted"}
    predicted = view.maps["predicted"]
    assert predicted.shape == (9, 9)
    peak = predicted.where(predicted == predicted.max(), drop=True)
    assert abs(peak["x_deg"].item() - 15) <= 10
    assert abs(peak["y_deg"].item() + 5) <= 10
    values, recorded, error, expected = view.curves["orientation"]
    assert values[recorded.argmax()] == values[expected.argmax()] == 90
    assert (error > 0).all()


def test_only_what_was_shown_is_compared(results):
    """Even if files of another session exist."""
    write_fitted(results, ["0"])
    write_text("left by another session", results.predicted_gabors)
    compare_recorded(CONFIG, results, SessionHas(gratings=True))
    table, prefs = found(results)
    assert set(table["curve"]) == {"gratings", "orientation", "spatial_frequency"}
    assert "field_error_deg" not in prefs
    assert not results.predicted_gabors.exists()
    assert np.isnan(table["cc_others"]).all()  # no other neuron
    write_csv(read_csv(results.grating_trials).drop(columns="0"), results.grating_trials)
    with pytest.raises(MeiflowError, match="no counts for neuron 0"):
        compare_recorded(CONFIG, results, SessionHas(gratings=True))


def test_gratings_are_predicted_by_the_model_that_was_not_fitted_to_them(results):
    """Here the model of neuron 3, which was fitted to gratings, is wrong, and the other right."""
    right = linear_neuron(-20.0, 10.0, 30.0, 14.0)
    documents = {
        name: {"x_deg": 0.0, "y_deg": 0.0, "base_models": [state], "weights": [1.0]}
        for name, state in (("3", linear_neuron(15.0, -5.0, 95.0, 13.0)), ("right", right))
    }
    write_archive(
        GRID,
        {"3": documents["3"]},
        lambda _: [],
        results.models,
        lambda _: {"static_gratings": documents["right"]},
    )
    write_fitted(results, ["3"])
    compare_recorded(CONFIG, results, BOTH)
    table = found(results)[0].set_index("curve")
    assert table.loc["gratings", "cc_norm"] > 0.85
    assert table.loc["position", "cc_norm"] < 0.3
    assert not table["learned"].any()


@pytest.mark.parametrize("learned", ["static_gratings", "drifting_gratings"])
def test_gratings_that_were_learned_are_marked(results, learned):
    """For models of which there is no other, because its fit failed."""
    write_fitted(results, ["0"])
    model = CONFIG.model.model_copy(update={"learn_from": ["scenes", "blanks", learned]})
    compare_recorded(CONFIG.model_copy(update={"model": model}), results, BOTH)
    assert found(results)[0].set_index("curve")["learned"].to_dict() == {
        "gabors": False,
        "position": False,
        "gratings": True,
        "orientation": True,
        "spatial_frequency": True,
    }


def test_one_position_or_one_orientation_is_no_tuning(tmp_path):
    """Sessions with few conditions get empty cells, but still a figure."""
    results, gabors = Layout(tmp_path), SessionHas(gabors=True)
    write_models(results, GRID, {"0": linear_neuron(0.0, 0.0, 0.0, 12.5)})
    conditions = pd.DataFrame({"x_position": [0.0] * 2, "y_position": 0.0, "orientation": [0, 90]})
    rng = np.random.default_rng(0)
    recorded = poisson(np.array([[3.0], [1.0]]), 20, rng, conditions)
    write_csv(recorded.trial_table(), results.gabor_trials)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_recorded(CONFIG, results, gabors)
        table, prefs = found(results)
        recorded_overview(table, prefs)
        tuning_figure(tuning_views(results, gabors, ["0"])["0"])
    assert table["cc_abs"].isna().all()
    assert not table["tuned"].any()
    assert results.recorded_svg.stat().st_size
