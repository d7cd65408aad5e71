import numpy as np
import pytest
from scipy.stats import kstest

from meiflow.simulation.spikes import REFRACTORY_S, poisson_train, running_speed, shared_gain


@pytest.mark.parametrize("rate", [2.0, 20.0, 80.0])
def test_rate_is_kept_despite_the_dead_time(rate):
    rng = np.random.default_rng(0)
    edges = np.arange(0, 500.5, 0.5)
    train = poisson_train(edges, np.full(1000, rate), rng)
    intervals = np.diff(train)
    assert intervals.min() >= REFRACTORY_S
    assert len(train) / 500 == pytest.approx(rate, rel=4 / np.sqrt(500 * rate))
    # beyond the dead time the intervals are exponential
    free = rate / (1 - rate * REFRACTORY_S)
    assert kstest(intervals - REFRACTORY_S, "expon", args=(0, 1 / free)).pvalue > 1e-3


def test_rate_follows_the_bins(rng):
    edges = np.array([0.0, 100.0, 200.0, 300.0])
    train = poisson_train(edges, np.array([5.0, 0.0, 30.0]), rng)
    counts = np.histogram(train, edges)[0]
    assert counts[1] <= 1
    assert counts[0] == pytest.approx(500, abs=110)
    assert counts[2] == pytest.approx(3000, abs=280)


def test_silence_is_possible(rng):
    assert len(poisson_train(np.array([0.0, 10.0]), np.zeros(1), rng)) == 0


def test_shared_gain_follows_running_and_has_the_spread_asked_for():
    rng = np.random.default_rng(3)
    times, speed = running_speed(20_000.0, rng)
    gain = shared_gain(times, speed, 0.2, rng)
    assert gain.std() == pytest.approx(0.2, rel=0.25)
    assert np.corrcoef(gain, speed)[0, 1] > 0.3
    assert speed.max() > 5
