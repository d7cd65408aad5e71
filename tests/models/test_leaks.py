"""No prediction of a held-out image depends on its response or on other held-out images."""

from __future__ import annotations

import numpy as np
import pytest

from meiflow.config.sections import Model
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.models import problem
from meiflow.models.auxiliary import AuxiliaryStimuli
from meiflow.models.cross_validate import BASELINES, fit_all, learning_curve
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.jobs import Fits
from meiflow.models.movie_stimuli import MovieStimuli

GRID = Geometry(12, 16)
IMAGES, NEURONS, SEED = 24, 2, 4
FOLD = 2  # the one whose images and responses are changed, of 0 to 2
CONFIG = Model(
    base_models=["v1", "ln", "gabor_energy", "v1_window", "cnn", "scratch", "shared"],
    wavelengths_deg=[30.0],
    orientations=4,
    stride=3,
    penalties=[0.01, 0.1, 1.0],
    folds=3,
    ln={"penalties": [0.0001, 0.001, 0.01, 0.1]},
    gabor_energy={"starts": 2, "steps": 4},
    cnn={"channels": 2, "networks": 1, "epochs": 2, "batch": 8},
    network={"channels": 2, "layers": 1, "scales": 1, "epochs": 2, "batch": 8},
    learning_curve=[0.25, 0.5, 0.75],
)


@pytest.fixture(scope="module")
def session():
    """Images, mean counts that all differ, and a grey screen with its counts."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(7)
    images = gaussian_filter(rng.normal(size=(IMAGES, *GRID.shape)), (0, 1, 1))
    images = (0.5 + 0.2 * images / images.std()).clip(0, 1)
    drive = images[:, [4, 8], [5, 11]] - images.mean(axis=(1, 2))[:, None]
    means = 4 + 10 * drive + rng.gamma(2.0, 0.5, (IMAGES, NEURONS))
    grey = np.full((1, *GRID.shape), 0.5, np.float32)
    return images, means, AuxiliaryStimuli(grey, np.array([[1.25, 2.5]]), np.array([3.0]))


def fit(images, means, extra, config=CONFIG, **more):
    return fit_all(images, means, np.ones(IMAGES), GRID, config, SEED, extra=extra, **more)


@pytest.fixture(scope="module")
def movie(session):
    """Images of a movie that drive the neurons in the same way."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(8)
    images = gaussian_filter(rng.normal(size=(16, *GRID.shape)), (0, 1, 1))
    images = (0.5 + 0.2 * images / images.std()).clip(0, 1).astype(np.float32)
    drive = images[:, [4, 8], [5, 11]] - images.mean(axis=(1, 2))[:, None]
    return MovieStimuli(images, 3 + 6 * drive + rng.gamma(2.0, 0.3, (16, 2)), np.full(16, 0.4))


@pytest.fixture(scope="module")
def gratings():
    """Drifting gratings of four orientations, to which both neurons respond."""
    phases, directions = np.array([0.0, 90.0]), np.arange(4)[:, None] * 45.0
    pairs = 0.4 * patterns.grating(GRID, 40.0, directions, phases).astype(np.float32)
    means = np.random.default_rng(9).gamma(2.0, 2.0, (4, NEURONS))
    given = pairs, np.arange(8) * 45.0, means, np.full(4, 0.3), True
    return [DriftingStimuli("drifting_gratings", *given)]


@pytest.fixture(scope="module")
def fitted(session, movie, gratings):
    found = fit(*session, movies=movie, drifting=gratings)
    alone, shown = fit(*session), fit(*session, movies=movie)
    assert (found.predictions["ln"] != alone.predictions["ln"]).any()  # movies are used
    for name in ("v1", "v1_window"):
        assert (found.predictions[name] != shown.predictions[name]).any()  # and gratings
    return found


def responses_changed(images, means, test):
    """Change the responses to all held-out images of a fold."""
    changed = means.copy()
    changed[test] = 3 * means[test][::-1]
    return images, changed, test


def images_changed(images, means, test):
    """Replace half of a fold's images by checks; predictions of the other half must not change."""
    changed = images.copy()
    half = len(test) // 2
    changed[test[:half]] = np.indices(GRID.shape).sum(axis=0) % 2
    return changed, means, test[half:]


@pytest.mark.parametrize("change", [responses_changed, images_changed])
def test_what_is_held_out_changes_no_model_of_its_fold(session, movie, gratings, fitted, change):
    """Positions, penalties, centres and weights of a fold all come from its training images."""
    images, means, extra = session
    test, elsewhere = fitted.held_out[FOLD], np.concatenate(fitted.held_out[:FOLD])
    images, means, same = change(images, means, test)
    again = fit(images, means, extra, movies=movie, drifting=gratings)
    for name in (*fitted.members, *BASELINES):
        before, after = fitted.predictions[name], again.predictions[name]
        np.testing.assert_array_equal(after[same], before[same], name)
        # the other folds do learn from what was changed
        learned = change is responses_changed or name != "mean"
        assert (after[elsewhere] != before[elsewhere]).any() == learned, name
    for name in ("x", "y", "starts"):
        places = getattr(fitted.places, name)[FOLD, :NEURONS]
        np.testing.assert_array_equal(getattr(again.places, name)[FOLD, :NEURONS], places)


class Recorder:
    """Replacement for the base models: records their jobs and returns given predictions."""

    def __init__(self, **predictions):
        self.predictions, self.jobs = predictions, []

    def __call__(self, *_):
        return {name: (self._fitter(values), NEURONS) for name, values in self.predictions.items()}

    def _fitter(self, values):
        def fit_jobs(jobs):
            self.jobs.append(jobs)
            images = jobs.train.shape[1]
            states = [{"kind": "recorded"}] * len(jobs)
            return Fits(np.tile(np.resize(values, images), (len(jobs), 1)), states)

        return fit_jobs

    def recorded(self, name):
        """Jobs of all calls in their order: ``train`` or ``responses``, (jobs, images)."""
        return np.concatenate([getattr(jobs, name) for jobs in self.jobs])


def record(monkeypatch, **predictions):
    recorder = Recorder(**predictions)
    monkeypatch.setattr(problem, "fitters_of", recorder)
    return recorder


def test_the_ensemble_of_a_fold_is_weighted_by_the_other_folds(session, monkeypatch):
    """Base models with fixed predictions: only their weights can leak.

    With real base models a trace remains, as in all stacking on one set of folds: the other folds'
    models, by whose errors the weights are chosen, have learned from this fold.
    """
    images, means, _ = session
    rng = np.random.default_rng(0)
    record(monkeypatch, v1=rng.gamma(4.0, 1.0, IMAGES), ln=means[:, 0])
    config = CONFIG.model_copy(update={"base_models": ["v1", "ln"]})
    fitted = fit(images, means, None, config)
    test = fitted.held_out[FOLD]
    measured, control = means.copy(), means.copy()
    measured[test] = 3 * means[test][::-1]
    for n in range(NEURONS):  # the responses that the shuffled control has in this fold
        moved_here = np.isin(means[:, n], fitted.shuffled_means[test, n])
        control[moved_here, n] = 3 * means[moved_here, n][::-1]
    for model, changed in (("model", measured), ("model_shuffled", control)):
        before = fitted.predictions[model]
        after = fit(images, changed, None, config).predictions[model]
        np.testing.assert_array_equal(after[test], before[test])
        rest = np.concatenate(fitted.held_out[:FOLD])
        assert (after[rest] != before[rest]).any(axis=0).all()


def test_every_fit_gets_its_own_images_responses_and_blanks(session, monkeypatch):
    """For each neuron and its shuffled control, by fold; the last fits are those of all images."""
    images, means, extra = session
    recorder = record(monkeypatch, v1=np.zeros(1))
    fitted = fit(images, means, extra, CONFIG.model_copy(update={"base_models": ["v1"]}))
    train = recorder.recorded("train").reshape(-1, 2, NEURONS, IMAGES + 1)
    assert len(train) == len(fitted.held_out) + 1
    for seen, test in zip(train, [*fitted.held_out, []], strict=True):
        expected = ~np.isin(np.arange(IMAGES + 1), test)
        assert (seen == expected).all()
    shuffled = fitted.shuffled_means
    responses = recorder.recorded("responses").reshape(-1, 2, NEURONS, IMAGES + 1)
    for real, control in responses:
        np.testing.assert_array_equal(real[:, :IMAGES], means.T)
        np.testing.assert_array_equal(control[:, :IMAGES], shuffled.T)
        # the grey screen is not shuffled: a control without it would have less training data
        np.testing.assert_array_equal(real[:, IMAGES], extra.means[0])
        np.testing.assert_array_equal(control[:, IMAGES], extra.means[0])


def test_each_neurons_responses_are_shuffled_independently(session, monkeypatch):
    """A common order would keep what neurons share, and give a single control for all."""
    images, means, _ = session
    record(monkeypatch, v1=np.zeros(1))
    shuffled = fit(images, means, None, CONFIG.model_copy(update={"base_models": ["v1"]}))
    shuffled = shuffled.shuffled_means
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(means, axis=0))
    came_from = [means[:, n].argsort()[shuffled[:, n].argsort().argsort()] for n in range(NEURONS)]
    for order in came_from:
        assert (order == np.arange(IMAGES)).mean() < 0.3
    assert (came_from[0] == came_from[1]).mean() < 0.3


def test_a_learning_curve_grows_by_adding_training_images(session, monkeypatch):
    """Within a fold every part is contained in the next, and none contains a test image."""
    images, means, _ = session
    config = CONFIG.model_copy(update={"base_models": ["v1"]})
    recorder = record(monkeypatch, v1=np.zeros(1))
    held_out = fit(images, means, None, config).held_out
    recorder.jobs.clear()
    curve = learning_curve(images, means, np.ones(IMAGES), GRID, config, SEED)
    train = recorder.recorded("train").reshape(len(curve), len(held_out), NEURONS, IMAGES)
    assert (train.sum(axis=-1) == np.reshape(list(curve), (-1, 1, 1))).all()
    assert (train[:-1] <= train[1:]).all()
    for fold, test in enumerate(held_out):
        assert not train[:, fold, :, test].any()
    # parts of different folds are drawn independently
    assert (train[0, 0] != train[0, 1]).any()


def test_models_without_gratings_know_nothing_of_their_responses(session):
    """Recorded tuning to gratings is predicted by models that these responses did not reach."""
    images, means, blank = session
    rng = np.random.default_rng(9)
    gratings = rng.uniform(0.2, 0.8, (5, *GRID.shape)).astype(np.float32)
    few = CONFIG.model_copy(update={"base_models": ["v1", "ln", "v1_window"]})

    def fitted_to(responses):
        both = AuxiliaryStimuli(
            np.concatenate([blank.images, gratings]),
            np.concatenate([blank.means, responses]),
            np.append(blank.weights, np.ones(5)),
            ("blanks", *["static_gratings"] * 5),
        )
        return fit(images, means, both, few)

    one, other = fitted_to(rng.gamma(2.0, 1.0, (5, 2))), fitted_to(rng.gamma(9.0, 1.0, (5, 2)))
    assert str(one.states) != str(other.states)
    (places, states), (moved, again) = (f.without["static_gratings"] for f in (one, other))
    assert str(states) == str(again)
    np.testing.assert_array_equal(places.x, moved.x)
    alone = fit(images, means, blank, few)
    np.testing.assert_array_equal(places.x[0], alone.places.x[-1, :NEURONS])
    assert not alone.without
