"""Blank screens and gratings of the same session as training data."""

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.io.files import read_csv
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_auxiliary
from meiflow.models.cross_validate import fit_all, learning_curve
from meiflow.results.tables import read_responses, read_trials

QUICK = {
    "wavelengths_deg": [12.0, 20.0],
    "orientations": 4,
    "stride": 8,
    "penalties": [0.1, 1.0],
    "folds": 3,
    "gabor_energy": {"starts": 1, "steps": 5},
    "ln": {"penalties": [0.001, 0.1]},
    "learning_curve": [0.4, 0.8],
}


@pytest.fixture(scope="module")
def session(small_results):
    config = parse_config({"model": QUICK})
    responses = read_responses(small_results, config.image.geometry)
    return config, responses, read_trials(small_results)


def gathered(kind, session, gratings=None):
    config, responses, trials = session
    shown = config.image.geometry, config.session.stimulus_parameters, trials
    return gather_auxiliary([kind], *shown, gratings, responses.neuron_ids)


def test_blanks_are_one_grey_image_with_their_trials(session, small_results):
    config, responses, trials = session
    extra = gathered("blanks", session)
    assert extra.images.shape == (1, *config.image.geometry.shape)
    assert (extra.images == 0.5).all()
    blank = read_csv(small_results.blank_responses)
    np.testing.assert_allclose(extra.means[0], blank[responses.neuron_ids].to_numpy()[0], atol=1e-6)
    per_image = (trials.image_ids >= 0).sum() / len(responses.images)
    assert extra.weights == pytest.approx((trials.image_ids < 0).sum() / per_image)


def test_gratings_are_drawn_as_they_were_shown(session, small_results):
    config, responses, trials = session
    geometry = config.image.geometry
    table = read_csv(small_results.grating_responses)
    extra = gathered("static_gratings", session, table)
    assert len(extra.images) == len(table)
    np.testing.assert_array_equal(extra.means, table[responses.neuron_ids])
    per_image = (trials.image_ids >= 0).sum() / len(responses.images)
    np.testing.assert_allclose(extra.weights, table["repeats"] / per_image)
    assert extra.images.min() >= 0.1 - 1e-6
    assert extra.images.max() <= 0.9 + 1e-6
    flat = table["orientation"].eq(0).to_numpy()
    # orientation 0 is a vertical grating: every row is the same
    assert np.ptp(extra.images[flat], axis=1).max() < 1e-5
    assert np.ptp(extra.images[flat], axis=2).min() > 0.3
    slow = table["spatial_frequency"].eq(0.02).to_numpy() & flat
    cycles = np.abs(np.fft.rfft(extra.images[slow][0, 0] - 0.5)).argmax()
    assert cycles == pytest.approx(0.02 * geometry.width_deg, abs=0.6)
    # a pixel averages over its area, so unresolved gratings are not visible
    fast = table["spatial_frequency"].eq(0.32).to_numpy() & flat
    seen = np.sinc(0.32 * geometry.dx) * 0.4
    assert np.abs(extra.images[fast] - 0.5).max() == pytest.approx(abs(seen), abs=0.05)


@pytest.mark.thorough
def test_extra_stimuli_teach_and_are_not_scored(session, rng):
    """A grey screen with an extreme response changes the predictions, not the scored images."""
    config, responses, _ = session
    geometry, n = config.image.geometry, len(responses.images)
    means = responses.means[:, :2]
    grey = np.full((1, *geometry.shape), 0.5, np.float32)
    wild = AuxiliaryStimuli(grey, np.full((1, 2), 50.0), np.array([10.0]))
    plain, taught = (
        fit_all(responses.images, means, np.ones(n), geometry, config.model, 0, 1, None, extra)
        for extra in (None, wild)
    )
    for name in ("model", "v1", "ln", "gabor_energy"):
        assert taught.predictions[name].shape == (n, 2)
        assert not np.allclose(plain.predictions[name], taught.predictions[name])
    np.testing.assert_array_equal(plain.predictions["mean"], taught.predictions["mean"])


def test_a_learning_curve_sees_nested_parts(session):
    config, responses, _ = session
    n = len(responses.images)
    curve = learning_curve(
        responses.images,
        responses.means[:, :2],
        np.ones(n),
        config.image.geometry,
        config.model,
        0,
    )
    smallest = n - -(-n // 3)
    assert list(curve) == [round(0.4 * smallest), round(0.8 * smallest)]
    for predicted in curve.values():
        assert predicted.shape == (n, 2)
        assert np.isfinite(predicted).all()


def test_the_learning_curve_is_that_of_some_base_models(session):
    """Window readouts by default; the others do not matter, and the last point is given."""
    config, responses, _ = session
    means, grid = responses.means[:, :2], config.image.geometry
    given = responses.images, means, np.ones(len(means)), grid

    def curve(**settings):
        model = config.model.model_copy(update={"learning_curve": [0.5]} | settings)
        return learning_curve(*given, model, 0, whole={"v1_window": means, "v1": means + 1})

    found = curve(base_models=["v1_window", "ln"])
    alone = curve(base_models=["v1_window"])
    assert list(found) == list(alone) == [13, 27]
    np.testing.assert_array_equal(found[13], alone[13])
    np.testing.assert_allclose(found[27], means)
    other = curve(base_models=["v1_window", "v1"], curve_models=["v1"])
    assert not np.allclose(other[13], found[13])
    np.testing.assert_allclose(other[27], means + 1)
