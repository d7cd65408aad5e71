"""Recorded against predicted tuning: closed forms, controls, and a session of known neurons."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.figures.recorded import recorded_overview, tuning_figure
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.io.files import write_csv
from meiflow.models.network import NeuronModel, save_model
from meiflow.report.tuning_views import tuning_views
from meiflow.session.schedule import gabor_conditions, grating_conditions
from meiflow.stages.recorded import compare_recorded, predict_conditions
from meiflow.tables.conditions import Conditions
from meiflow.validation.recorded import agreement, circular_mean, preferences, tuning_curve

GRID = Geometry(30, 48)


def poisson(rates, repeats, rng, conditions=None):
    """Conditions with Poisson counts about rates (conditions, neurons), in random order."""
    conditions = grating_conditions() if conditions is None else conditions
    order = rng.permutation(np.repeat(np.arange(len(conditions)), repeats))
    shown = conditions.iloc[order].reset_index(drop=True)
    names = [str(n) for n in range(rates.shape[1])]
    return Conditions.of(shown, rng.poisson(rates[order]), names)


def test_a_curve_averages_conditions_and_their_errors(rng):
    rates = rng.uniform(0.2, 3, (120, 2))
    recorded = poisson(rates, 4, rng)
    curve = tuning_curve(recorded, rates, ("orientation",))
    assert curve.values["orientation"].tolist() == [0, 30, 60, 90, 120, 150]
    own = recorded.parameters["orientation"].eq(30).to_numpy()
    np.testing.assert_allclose(curve.recorded[1], recorded.means[own].mean(axis=0))
    np.testing.assert_allclose(curve.predicted[1], rates[own].mean(axis=0))
    wanted = np.sqrt((recorded.errors[own] ** 2).sum(axis=0)) / own.sum()
    np.testing.assert_allclose(curve.error[1], wanted)


def test_the_ceiling_is_what_noise_allows(rng):
    """Predicting the true rates reaches the ceiling; half-right predictions half of it."""
    rates = rng.gamma(2.0, 1.0, (120, 60))
    recorded = poisson(rates, 5, rng)
    curve = tuning_curve(recorded, rates, ("orientation", "spatial_frequency", "phase"))
    found = pd.DataFrame([vars(a) for a in agreement(curve, 0)])
    assert found["cc_norm"].mean() == pytest.approx(1, abs=0.02)
    assert (found["cc_abs"] < 1).all()
    assert found["tuned"].all()
    mixed = (rates - 2) / rates.std() + np.sqrt(3) * rng.standard_normal(rates.shape)
    curve = tuning_curve(recorded, mixed, ("orientation", "spatial_frequency", "phase"))
    half = pd.DataFrame([vars(a) for a in agreement(curve, 0)])
    assert half["cc_norm"].mean() == pytest.approx(0.5, abs=0.05)
    assert half["cc_others"].abs().mean() < 0.05


def test_untuned_neurons_are_told_so_and_chance_is_chance(rng):
    recorded = poisson(np.full((120, 200), 1.5), 5, rng)
    noise = rng.standard_normal((120, 200))
    curve = tuning_curve(recorded, noise, ("orientation", "spatial_frequency", "phase"))
    found = pd.DataFrame([vars(a) for a in agreement(curve, 0)])
    assert kstest(found["tuned_p"], "uniform").pvalue > 0.01
    assert kstest(found["p_shuffled"], "uniform").pvalue > 0.01
    assert found["tuned"].sum() <= 2
    assert (found["cc_abs"] > found["cc_shuffled_95"]).mean() == pytest.approx(0.05, abs=0.04)


def test_flat_curves_and_single_trials_have_no_numbers(rng):
    rates = np.column_stack([rng.uniform(1, 3, 120), np.zeros(120)])
    recorded = poisson(rates, 1, rng)
    flat = rates.copy()
    flat[:, 0] = 1.0
    one, silent = agreement(tuning_curve(recorded, flat, ("orientation",)), 0)
    assert np.isnan(one.cc_abs)  # a flat prediction
    assert np.isnan(one.cc_max)  # one trial each: nobody knows the noise
    assert np.isnan(silent.cc_abs)
    assert not silent.tuned


def test_what_all_neurons_share_shows_in_the_control(rng):
    """Models that all predict the same curve agree with everybody, which proves little."""
    shape = rng.gamma(2.0, 1.0, (120, 1))
    recorded = poisson(np.tile(shape, 10), 5, rng)
    curve = tuning_curve(recorded, np.tile(shape, 10) + 0.1 * rng.random((120, 10)), ("phase",))
    for one in agreement(curve, 0):
        assert one.cc_others > 0.8 * one.cc_abs or one.cc_abs < 0.5


def test_mirrored_orientations_are_found_out(rng):
    conditions = grating_conditions()
    angle = np.deg2rad(conditions["orientation"].to_numpy())
    sense = np.exp(2 * np.cos(2 * (angle - np.deg2rad(40))))[:, None]
    mirrored = np.exp(2 * np.cos(2 * (-angle - np.deg2rad(40))))[:, None]
    right = agreement(tuning_curve(poisson(sense, 10, rng), sense, ("orientation",)), 0)[0]
    wrong = agreement(tuning_curve(poisson(mirrored, 10, rng), sense, ("orientation",)), 0)[0]
    assert right.cc_abs > 0.95 > right.cc_mirrored
    assert wrong.cc_mirrored > 0.95 > wrong.cc_abs
    other = agreement(tuning_curve(poisson(sense, 10, rng), sense, ("phase",)), 0)[0]
    assert np.isnan(other.cc_mirrored)


@pytest.mark.parametrize("preferred", [0.0, 17.0, 90.0, 175.0])
def test_circular_mean_of_a_known_curve(preferred):
    angles = np.arange(0, 180, 30.0)
    curve = 1 + 0.5 * np.cos(2 * np.deg2rad(angles - preferred))
    direction, selectivity = circular_mean(angles, curve[:, None])
    assert direction[0] == pytest.approx(preferred, abs=1e-6)
    assert selectivity[0] == pytest.approx(0.25)


def linear_neuron(folder, x, y, orientation, wavelength):
    """A rectified linear neuron with a Gabor filter, as the models stage leaves it."""
    drawn = patterns.gabor(GRID, x, y, wavelength, orientation, 40.0, 0.45 * wavelength)
    state = {
        "kind": "ln",
        "filter": torch.as_tensor(3 * drawn / (drawn**2).sum() ** 0.5, dtype=torch.float32),
        "offset": -1.5,
        "baseline": -4.0,
        "scale": 3.0,
    }
    model = NeuronModel(GRID, x, y, [state], [1.0])
    save_model(model, folder / "model.pt")
    return model


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Three known neurons recorded with Gabors and gratings, and one whose model is another's."""
    folder = tmp_path_factory.mktemp("recorded")
    config = parse_config({"image": {"height": 30, "width": 48}})
    rng = np.random.default_rng(3)
    places = [(-20.0, 10.0, 30.0, 14.0), (15.0, -5.0, 95.0, 13.0), (5.0, 20.0, 55.0, 15.0)]
    models = [linear_neuron(folder / str(n), *place) for n, place in enumerate(places)]
    linear_neuron(folder / "3", *places[1])
    tables = folder / "tables"
    names = ["0", "1", "2", "3"]
    for stimulus, stem, conditions, repeats in (
        ("gabors", "gabor", gabor_conditions(), 15),
        ("static_gratings", "grating", grating_conditions(), 40),
    ):
        empty = Conditions.of(conditions, np.zeros((len(conditions), 4), int), names)
        rates = predict_conditions([*models, models[0]], config, stimulus, empty)
        counts = poisson(0.1 + 3 * rates, repeats, rng, conditions)
        named = Conditions(
            counts.parameters, counts.trial_ids, counts.condition, names, counts.counts
        )
        write_csv(named.trial_table(), tables / f"{stem}_trials.csv")
        write_csv(named.mean_table(), tables / f"{stem}_responses.csv")
    found = compare_recorded(config, tables, {n: folder / n for n in names}, folder / "validation")
    return folder, config, found


def test_right_models_are_right_and_a_wrong_one_is_found_out(compared):
    _, _, (table, prefs) = compared
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


def test_files_and_views_say_the_same(compared):
    folder, _, (table, _) = compared
    home = folder / "validation"
    written = pd.read_csv(home / "recorded.csv", dtype={"neuron_id": str})
    assert list(written.columns) == list(table.columns)
    predicted = pd.read_csv(home / "predicted_gabors.csv")
    assert list(predicted.columns[:4]) == [
        "condition_id",
        "x_position",
        "y_position",
        "orientation",
    ]
    view = tuning_views(folder / "tables", home, ["1"])["1"]
    assert set(view.maps) == {"recorded", "predicted"}
    predicted_map = view.maps["predicted"]
    best = predicted_map[predicted_map.argmax(...)]
    assert abs(best["x_deg"] - 15) <= 10
    assert abs(best["y_deg"] + 5) <= 10
    values, recorded, error, expected = view.curves["orientation"]
    assert values[recorded.argmax()] == values[expected.argmax()] == 90
    assert (error > 0).all()


def test_only_what_was_shown_is_compared(compared, tmp_path):
    folder, config, _ = compared
    tables = tmp_path / "tables"
    tables.mkdir()
    source = folder / "tables" / "grating_trials.csv"
    (tables / "grating_trials.csv").write_bytes(source.read_bytes())
    output = tmp_path / "validation"
    output.mkdir()
    (output / "predicted_gabors.csv").write_text("left by another session")
    table, prefs = compare_recorded(config, tables, {"0": folder / "0"}, output)
    assert set(table["curve"]) == {"gratings", "orientation", "spatial_frequency"}
    assert "field_error_deg" not in prefs
    assert not (output / "predicted_gabors.csv").exists()
    assert np.isnan(table["cc_others"]).all()  # there is no other neuron
    with pytest.raises(MeiflowError, match="no counts of neuron 7"):
        compare_recorded(config, tables, {"7": folder / "0"}, output)


def test_gratings_that_were_learned_are_marked(compared):
    folder, config, _ = compared
    model = config.model.model_copy(update={"extra": ["blank", "gratings"]})
    config = config.model_copy(update={"model": model})
    table, _ = compare_recorded(config, folder / "tables", {"0": folder / "0"}, folder / "learned")
    assert table.set_index("curve")["learned"].to_dict() == {
        "gabors": False,
        "position": False,
        "gratings": True,
        "orientation": True,
        "spatial_frequency": True,
    }


def test_preferences_of_untuned_neurons_have_no_error(rng):
    rates = np.ones((120, 2))
    curve = tuning_curve(poisson(rates, 3, rng), rates, ("orientation",))
    found = preferences({"orientation": curve}, {"orientation": np.array([False, True])})
    assert np.isnan(found["orientation_error_deg"][0])
    assert np.isnan(found["orientation_error_deg_others"][0])


def test_one_place_or_one_orientation_is_no_tuning(tmp_path):
    """Sessions with few conditions get empty cells, and a figure all the same."""
    rng = np.random.default_rng(0)
    config = parse_config({"image": {"height": 30, "width": 48}})
    linear_neuron(tmp_path / "0", 0.0, 0.0, 0.0, 12.5)
    conditions = pd.DataFrame({"x_position": [0.0] * 2, "y_position": 0.0, "orientation": [0, 90]})
    recorded = poisson(np.array([[3.0], [1.0]]), 20, rng, conditions)
    write_csv(recorded.trial_table(), tmp_path / "tables" / "gabor_trials.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare_recorded(config, tmp_path / "tables", {"0": tmp_path / "0"}, tmp_path / "v")
        recorded_overview(*found)
        view = tuning_views(tmp_path / "tables", tmp_path / "v", ["0"])["0"]
        tuning_figure(view)
    assert found[0]["cc_abs"].isna().all()
    assert not found[0]["tuned"].any()
