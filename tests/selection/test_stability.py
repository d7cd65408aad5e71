import warnings

import numpy as np
import pytest
from scipy.stats import spearmanr

from meiflow.selection.reliability import TrialGroups
from meiflow.selection.stability import block_stability, running_modulation
from meiflow.session.sdk import _restore_numpy_names


@pytest.fixture
def session(rng):
    """30 images, 3 blocks of 5 repeats each, in temporal order."""
    ids = np.concatenate([rng.permutation(np.repeat(np.arange(30), 5)) for _ in range(3)])
    return ids, np.repeat([4, 7, 11], 150)


def test_a_unit_that_dies_in_the_last_block_is_flagged(session, rng):
    ids, blocks = session
    counts = rng.poisson(3.0, (450, 4))
    counts[blocks == 11, 1] = 0
    counts[blocks == 11, 2] = rng.poisson(1.5, 150)
    counts[:, 3] = 0
    stability = block_stability(counts, TrialGroups.of(ids), blocks)
    assert stability.is_stable.tolist() == [True, False, True, True]
    assert stability.lowest_share[:3] == pytest.approx([0.95, 0, 0.5], abs=0.12)
    assert np.isnan(stability.lowest_share[3])
    assert np.isnan(stability.drift[3])
    assert stability.drift[1] < -0.3
    assert abs(stability.drift[0]) < 0.15


def test_drift_is_spearmans_and_blind_to_the_images(session, rng):
    ids, blocks = session
    rates = rng.uniform(0, 8, 30)[ids]
    counts = rng.poisson(rates)[:, None]
    groups = TrialGroups.of(ids)
    left = counts[:, 0] - (groups.sums(counts) / groups.repeats[:, None])[ids, 0]
    expected = spearmanr(np.round(left, 9), np.arange(450)).statistic
    assert block_stability(counts, groups, blocks).drift[0] == pytest.approx(expected, abs=1e-12)


def test_one_block_gives_no_measures_of_blocks(session, rng):
    ids, _ = session
    stability = block_stability(rng.poisson(3.0, (450, 2)), TrialGroups.of(ids), np.zeros(450))
    assert np.isnan(stability.lowest_share).all()
    assert stability.is_stable.all()


@pytest.mark.filterwarnings("ignore")
def test_running_modulation_is_allensdks(rng):
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.stimulus_analysis.stimulus_analysis import (
            running_modulation as allen,
        )
    speed = rng.uniform(-1, 3, 60)
    counts = rng.poisson(np.where(speed >= 1, 5.0, 2.0)[:, None] * [1.0, 0.2, 1.0])
    counts[:, 2] = 0
    modulation, p = running_modulation(counts, speed)
    for column in range(3):
        theirs = allen(counts[:, column], speed)
        np.testing.assert_allclose([p[column], modulation[column]], theirs, atol=1e-12)
    assert modulation[0] > 0.3
    assert p[0] < 0.001


def test_a_sparse_unit_is_not_lost_by_chance(rng):
    """With ten spikes in 450 trials, a block is often nearly empty by chance."""
    ids, blocks = np.repeat(np.arange(45), 10), np.tile([0, 1, 2], 150)
    counts = np.zeros((450, 2), int)
    counts[np.flatnonzero(blocks == 0)[:6], 0] = 1
    counts[np.flatnonzero(blocks == 1)[:4], 0] = 1
    counts[blocks != 2, 1] = 1
    stability = block_stability(counts, TrialGroups.of(ids), blocks)
    assert stability.lowest_share.tolist() == [0, 0]
    assert stability.is_stable.tolist() == [True, False]


def test_running_modulation_without_running_or_speed(rng):
    counts = rng.poisson(3.0, (20, 2))
    for speed in (np.zeros(20), np.full(20, np.nan), np.r_[5.0, np.zeros(19)]):
        assert np.isnan(running_modulation(counts, speed)).all()
    speed = np.r_[np.full(9, 5.0), np.zeros(9), np.nan, np.nan]
    assert running_modulation(counts, speed)[0] == pytest.approx(
        running_modulation(counts[:18], speed[:18])[0]
    )
