"""Gain of single trials: recovered, means at one state, and nothing from held-out images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models import cross_validate, problem
from meiflow.models.gain import TrialGain, behaviour_states
from meiflow.models.jobs import Fits

IMAGES, REPEATS, NEURONS, UNMODULATED = 30, 40, 24, 8


def slow(rng, n, width=20):
    """Smooth noise of unit variance."""
    values = gaussian_filter1d(rng.normal(size=n), width)
    return (values - values.mean()) / values.std()


@pytest.fixture(scope="module")
def session():
    """A state, and Poisson counts; the first neurons do not depend on it."""
    rng = np.random.default_rng(3)
    shown = np.concatenate([rng.permutation(IMAGES + 1) - 1 for _ in range(REPEATS)])
    state = slow(rng, len(shown))
    slopes = np.linspace(0.1, 0.6, NEURONS)
    slopes[:UNMODULATED] = 0
    rates = rng.gamma(2.0, 1.0, (IMAGES + 1, NEURONS))
    gain = np.exp(np.outer(state, slopes))
    counts = rng.poisson(rates[shown] * gain)
    return shown, state, slopes, rates[:-1], counts


def of_behaviour(session, **changes):
    shown, state, _, _, counts = session
    return TrialGain(
        **{"responses": counts, "images": shown, "behaviour": state[:, None]} | changes
    )


def of_population(session, **changes):
    return of_behaviour(session, behaviour=np.empty((len(session[0]), 0)), shared=True, **changes)


def slopes_of(fit, state):
    """Regression of the log gain of every neuron on the state."""
    return np.array([np.polyfit(state, values, 1)[0] for values in np.log(fit.gain).T])


@pytest.mark.parametrize(("gain", "slope"), [(of_behaviour, 1.0), (of_population, 0.9)])
def test_the_gain_of_simulated_neurons_is_recovered(session, gain, slope):
    _, state, slopes, _, _ = session
    fit = gain(session).fit(np.arange(IMAGES))
    found = slopes_of(fit, state)
    assert abs(np.polyfit(slopes, found, 1)[0] - slope) < 0.1
    assert np.corrcoef(slopes, found)[0, 1] > 0.97
    assert fit.used[slopes > 0.15].all()
    np.testing.assert_allclose(fit.gain.mean(axis=0), 1)


@pytest.mark.parametrize("gain", [of_behaviour, of_population])
def test_neurons_without_modulation_keep_their_means(session, gain):
    shown, state, slopes, _, counts = session
    fit = gain(session).fit(np.arange(IMAGES))
    without = slopes == 0
    assert np.abs(slopes_of(fit, state)[without]).max() < 0.06
    assert fit.used[without].mean() <= 0.5
    plain = np.stack([counts[shown == i].mean(axis=0) for i in range(IMAGES)])
    unused = ~fit.used
    np.testing.assert_allclose(fit.means[:, unused], plain[:, unused])
    assert (fit.coefficients[:, unused] == 0).all()


def test_of_many_neurons_without_modulation_few_have_a_gain():
    rng = np.random.default_rng(0)
    shown = np.tile(np.arange(20), 50)
    counts = rng.poisson(rng.gamma(1.0, 2.0, (20, 200))[shown])
    trials = TrialGain(counts, shown, slow(rng, 1000)[:, None], shared=True)
    fit = trials.fit(np.arange(20))
    assert fit.used.mean() < 0.25
    assert np.nanmean(fit.explained) < 0.001


@pytest.mark.parametrize("noise", ["poisson", "gaussian"])
def test_means_at_one_state_are_those_of_images_shown_during_running(noise):
    """Half of the images are mostly shown during running, which doubles the response."""
    rng = np.random.default_rng(1)
    shown = np.tile(np.arange(40), 60)
    running = rng.uniform(size=len(shown)) < np.where(shown < 20, 0.8, 0.2)
    rates = rng.gamma(4.0, 1.0, (40, 6)) * np.where(np.arange(6) < 5, 1, -1)
    expected = rates[shown] * np.where(running, 2.0, 1.0)[:, None]
    if noise == "poisson":
        rates, expected = abs(rates), abs(expected)
        responses = rng.poisson(expected)
    else:  # real numbers, of which those of the last neuron are negative
        responses = expected + rng.normal(size=expected.shape)
    trials = TrialGain(responses, shown, running[:, None].astype(float), noise=noise)
    fit = trials.fit(np.arange(40))
    plain = np.stack([responses[shown == i].mean(axis=0) for i in range(40)])
    for means, excess in ((plain, 1.5), (fit.means, 1.0)):
        relative = means / rates
        ratio = relative[:20].mean(axis=0) / relative[20:].mean(axis=0)
        np.testing.assert_allclose(ratio, excess, atol=0.06)
    np.testing.assert_allclose(fit.gain[running] / fit.gain[~running].mean(axis=0), 2, atol=0.15)


def test_means_are_sums_over_sums_of_gain(session):
    shown, *_, counts = session
    fit = of_behaviour(session).fit(np.arange(IMAGES))
    n = NEURONS - 1
    expected = [counts[shown == i, n].sum() / fit.gain[shown == i, n].sum() for i in range(IMAGES)]
    np.testing.assert_allclose(fit.means[:, n], expected)


@pytest.mark.parametrize("gain", [of_behaviour, of_population])
@pytest.mark.parametrize("noise", ["poisson", "gaussian"])
def test_what_is_held_out_changes_nothing_of_its_fold(session, gain, noise):
    """Not the responses of any neuron to held-out images, nor behaviour during these trials."""
    shown, state, _, _, counts = session
    training = np.arange(20)
    before = gain(session, noise=noise).fit(training)
    changed = counts.copy()
    held_out = shown >= 20
    changed[held_out] = 3 * changed[held_out][::-1] + 1
    other = state.copy()
    other[held_out] = -5.0
    given = {"responses": changed, "noise": noise}
    if gain is of_behaviour:
        given["behaviour"] = other[:, None]
    after = gain(session, **given).fit(training)
    np.testing.assert_array_equal(after.coefficients, before.coefficients)
    np.testing.assert_array_equal(after.means[training], before.means[training])
    assert (gain(session, **given).fit(np.arange(30)).coefficients != before.coefficients).any()


def test_the_shared_gain_leaves_the_neuron_out(session):
    """Also if only some neurons are wanted."""
    shown, *_, counts = session
    changed = counts.copy()
    changed[:, 5] = changed[::-1, 5] * 7
    known = np.ones(len(shown), bool)
    trials = of_population(session), of_population(session, responses=changed)
    before, after = (t._states(np.asarray(t.responses, float), known) for t in trials)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(one[:, 5], two[:, 5], atol=1e-9)
        assert abs(one[:, 6] - two[:, 6]).max() > 0.01
    whole = of_population(session).fit(np.arange(IMAGES))
    part = of_population(session).of([20, 5]).fit(np.arange(IMAGES))
    np.testing.assert_allclose(part.means, whole.means[:, [20, 5]])


def test_the_shared_gain_does_not_cross_blocks(session):
    shown, *_ = session
    half = len(shown) // 2
    blocks = (np.arange(len(shown)) >= half).astype(int)
    trials = of_population(session, blocks=blocks)
    impulse = np.zeros((len(shown), 1))
    impulse[half - 1] = 1
    assert trials._smoothed(impulse, 20.0)[half:].max() == 0
    assert of_population(session)._smoothed(impulse, 20.0)[half:].max() > 0


def test_unknown_states_and_silent_or_single_neurons_have_no_gain(session):
    _, state, _, _, counts = session
    some = state.copy()
    some[::7] = np.nan
    silent = np.where(np.arange(NEURONS) == 23, 0, counts)
    fit = of_behaviour(session, responses=silent, behaviour=some[:, None]).fit(np.arange(IMAGES))
    assert np.isfinite(fit.means).all()
    np.testing.assert_allclose(fit.gain[::7, 20], fit.gain[0, 20])
    assert not fit.used[23]
    assert (fit.means[:, 23] == 0).all()
    alone = of_population(session, responses=counts[:, 20:21]).fit(np.arange(IMAGES))
    assert not alone.used.any()
    assert (alone.gain == 1).all()
    never = behaviour_states(np.full(4, np.nan), np.array([0.0, -1.0, np.nan, 0.0]))
    assert never == {}


GRID = Geometry(12, 16)
FOLDS = 3
CONFIG = Model(wavelengths_deg=[30.0], orientations=4, stride=3, folds=FOLDS, base_models=["v1"])


def test_models_of_a_fold_are_fitted_to_means_from_its_training_images(session, monkeypatch):
    """The shuffled controls too, with their permutation; scores are against plain means."""
    shown, *_, counts = session
    jobs = []

    def recorder(*_):
        def fit(own):
            jobs.append(own)
            predictions = np.zeros((len(own), own.train.shape[1]))
            return Fits(predictions, [{"kind": "recorded"}] * len(own))

        return {"v1": (fit, counts.shape[1])}

    monkeypatch.setattr(problem, "fitters_of", recorder)
    images = np.random.default_rng(0).random((IMAGES, *GRID.shape))
    plain = np.stack([counts[shown == i].mean(axis=0) for i in range(IMAGES)])
    gain = of_behaviour(session)
    given = images, plain, np.ones(IMAGES), GRID, CONFIG, 0
    fitted = cross_validate.fit_all(*given, training_means=gain.means)
    without = cross_validate.fit_all(*given)
    np.testing.assert_array_equal(fitted.shuffled_means, without.shuffled_means)
    responses = np.concatenate([j.responses for j in jobs[: len(jobs) // 2]])
    responses = responses.reshape(FOLDS + 1, 2, NEURONS, IMAGES)
    last = plain[:, -1]
    assert len(set(last)) > IMAGES / 2
    came_from = [np.flatnonzero(last == value)[0] for value in fitted.shuffled_means[:, -1]]
    alone = [i for i in range(IMAGES) if (last == last[came_from[i]]).sum() == 1]
    everything = np.arange(IMAGES)
    for own, test in zip(responses, [*fitted.held_out, []], strict=True):
        target = gain.means(np.setdiff1d(everything, test))
        np.testing.assert_array_equal(own[0], target.T)
        np.testing.assert_array_equal(own[1][-1][alone], target[came_from, -1][alone])
    assert (responses[0, 0] != responses[1, 0]).any()


@pytest.mark.parametrize("gain", [of_behaviour, of_population])
def test_no_prediction_depends_on_trials_of_held_out_images(session, gain):
    """From single trials to the predictions of all models and baselines of a fold."""
    shown, *_, counts = session
    columns = [20, 23]
    images = np.random.default_rng(0).random((IMAGES, *GRID.shape))
    few = {"gabor_energy": {"starts": 1, "steps": 2}, "ln": {"penalties": [0.01]}}
    config = Model(**CONFIG.model_dump() | few)

    def fit(responses):
        plain = np.stack([responses[shown == i][:, columns].mean(axis=0) for i in range(IMAGES)])
        means = gain(session, responses=responses).of(columns).means
        given = images, plain, np.ones(IMAGES), GRID, config, 0
        return cross_validate.fit_all(*given, training_means=means)

    before = fit(counts)
    test = before.held_out[1]
    changed = counts.copy()
    held_out = np.isin(shown, test)
    changed[held_out] = 3 * changed[held_out][::-1] + 1
    after = fit(changed)
    for name in (*before.members, *cross_validate.BASELINES):
        one, two = before.predictions[name], after.predictions[name]
        np.testing.assert_array_equal(one[test], two[test], name)
        assert (one[before.held_out[0]] != two[before.held_out[0]]).any()
