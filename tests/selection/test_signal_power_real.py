"""Noise ceilings of real-valued responses, whose noise neither follows the mean nor is Gaussian."""

import numpy as np
import pytest

from meiflow.models.scores import score_prediction
from meiflow.response_type import COUNTS, ResponseType
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import medians, signal_power

REAL, MEDIAN = ResponseType(True), ResponseType(True, "median")


def recorded(rng, neurons=200, images=100, repeats=10, degrees=None):
    """Responses with a signal of variance 1 and noise of scale 1.5, Gaussian or Student's t."""
    signal = rng.normal(-0.5, 1.0, (images, neurons))
    shape = (repeats, images, neurons)
    noise = rng.standard_t(degrees, shape) if degrees else rng.normal(size=shape)
    values = (signal + 1.5 * noise).reshape(-1, neurons)
    return signal, values, TrialGroups.of(np.tile(np.arange(images), repeats))


@pytest.mark.parametrize(
    ("degrees", "response"), [(None, REAL), (None, MEDIAN), (2.5, MEDIAN)], ids=str
)
def test_the_ceiling_is_that_of_the_true_signal(degrees, response, rng):
    signal, values, groups = recorded(rng, degrees=degrees)
    power = signal_power(values, groups, response)
    averages = (
        medians(values, groups)[0]
        if response is MEDIAN
        else groups.sums(values) / groups.repeats[:, None]
    )
    scores = [score_prediction(signal[:, n], averages[:, n], power.of(n)) for n in range(200)]
    assert power.signal.mean() == pytest.approx(signal.var(0, ddof=1).mean(), abs=0.06)
    assert np.mean([s.cc_norm for s in scores]) == pytest.approx(1, abs=0.05)
    r = [np.corrcoef(s, a)[0, 1] for s, a in zip(signal.T, averages.T, strict=True)]
    assert np.mean([s.cc_max for s in scores]) == pytest.approx(np.mean(r), abs=0.04)


def test_medians_know_outlying_signals_better(rng):
    _, values, groups = recorded(rng, degrees=1.5)
    mean, median = (np.nanmean(signal_power(values, groups, r).cc_max) for r in (REAL, MEDIAN))
    assert median > mean + 0.1


def test_images_shown_once_have_the_noise_of_the_others(rng):
    """Not in proportion to their mean response, as for counts."""
    shown = np.repeat(np.arange(60), np.where(np.arange(60) < 20, 10, 1))
    means = np.linspace(0.1, 5, 60)
    values = (means[shown] + rng.normal(0, 0.05, len(shown)))[:, None]
    assert (values >= 0).all()
    groups = TrialGroups.of(shown)
    real, counts = (signal_power(values, groups, r).noise[20:, 0] for r in (REAL, COUNTS))
    assert real == pytest.approx(np.full(40, 0.05**2), rel=0.2)
    assert counts[-1] > 2 * counts[0]


def test_an_offset_changes_nothing(rng):
    _, values, groups = recorded(rng, neurons=3)
    plain, shifted = (signal_power(values + add, groups, REAL) for add in (0.0, 1e6))
    np.testing.assert_allclose(plain.signal, shifted.signal, rtol=1e-6)
    np.testing.assert_allclose(plain.weights, shifted.weights, rtol=1e-6)
