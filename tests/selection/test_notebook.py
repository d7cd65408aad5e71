"""The notebook's measures, compared with its procedure written out trial by trial."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from sklearn.ensemble import IsolationForest

from meiflow.selection.notebook import (
    COLUMNS,
    notebook_measures,
    notebook_raster_place,
    random_trial_oracle,
    with_gaps,
)
from meiflow.selection.reliability import TrialGroups
from meiflow.tables.counts import Trials
from meiflow.tables.raster import Raster


def procedure(counts, ids, choose):
    """The notebook's loop for one neuron: trials without a spike have no row."""
    rows = np.flatnonzero(counts > 0)
    responses, others = [], []
    for image in np.unique(ids):
        here = rows[ids[rows] == image]
        if len(here) < 2:
            continue
        chosen = choose(here)
        responses.append(counts[chosen])
        others.append(counts[here[here != chosen]].mean())
    correlation = np.corrcoef(responses, others)[0, 1]
    return correlation * len(responses) / len(np.unique(ids))


@pytest.fixture
def trials(rng):
    ids = rng.permutation(np.repeat(np.arange(-1, 40), 8))
    rates = rng.gamma(0.8, 1.0, (41, 6))
    counts = rng.poisson(rates[ids + 1])
    counts[:, 5] = 0
    return Trials(np.arange(len(ids)), list("abcdef"), ids, counts)


def test_the_same_numbers_where_the_choice_does_not_matter():
    """Two trials with equal counts per image: whichever is chosen, the other is the mean."""
    rng = np.random.default_rng(2)
    ids = np.repeat(np.arange(12), 3)
    counts = rng.integers(0, 6, 12)[ids]
    counts[::3] = 0  # the third trial of each image is silent, and therefore missing
    ours = random_trial_oracle(counts[:, None], TrialGroups.of(ids), rng)[0]
    assert ours == pytest.approx(procedure(counts, ids, lambda here: here[0]), abs=1e-12)


def test_the_average_is_the_procedures(trials):
    rng = np.random.default_rng(5)
    groups = TrialGroups.of(trials.image_ids)
    ours = np.mean([random_trial_oracle(trials.counts, groups, rng) for _ in range(1500)], axis=0)
    for neuron in range(3):
        counts = trials.counts[:, neuron]
        theirs = [procedure(counts, trials.image_ids, rng.choice) for _ in range(300)]
        error = 4 * np.std(theirs) * np.sqrt(1 / 300 + 1 / 1500)
        assert ours[neuron] == pytest.approx(np.mean(theirs), abs=error)
    assert np.isnan(ours[5]) or ours[5] == 0


def test_the_notebooks_raster_is_silent_between_the_blocks():
    """It binned from the first spike to the last, using only spikes during scenes."""
    start = np.concatenate([10 + 0.1 * np.arange(30), 20 + 0.1 * np.arange(30)])
    counts = np.random.default_rng(0).poisson(1.0, (60, 4))
    raster = Raster(counts, start, np.repeat([0, 1], 30), 0.1, np.array(list("abcd")))
    filled = with_gaps(raster)
    assert filled.shape == (130, 4)
    np.testing.assert_array_equal(filled[:30], counts[:30])
    np.testing.assert_array_equal(filled[100:], counts[30:])
    assert (filled[30:100] == 0).all()
    # joint silence correlates the neurons
    pairs = np.triu_indices(4, 1)
    own, gaps = (np.corrcoef(c.T)[pairs].mean() for c in (counts, filled))
    assert gaps > own + 0.2
    assert sorted(notebook_raster_place(raster)) == [0, 1, 2, 3]


def test_bins_that_are_trials_have_no_gaps():
    counts = np.ones((5, 2), int)
    raster = Raster(counts, np.arange(5.0), np.zeros(5, int), np.nan, np.array(["a", "b"]))
    assert with_gaps(raster) is counts


def test_entropy_variance_and_forest_are_the_notebooks(trials):
    ours = notebook_measures(trials, 0)
    assert tuple(ours) == COLUMNS
    wide = pd.DataFrame(trials.counts).groupby(trials.image_ids).mean().T
    forest = IsolationForest(n_estimators=100, contamination="auto", random_state=42)
    forest.fit(wide.to_numpy())
    table = wide.copy()
    table["anomaly_score"] = forest.decision_function(wide.to_numpy())
    table["is_anomaly"] = forest.predict(wide.to_numpy())
    np.testing.assert_allclose(ours["notebook_variance"], table.var(axis=1))
    np.testing.assert_allclose(
        ours["notebook_entropy"], wide.apply(lambda x: entropy(x.value_counts()), axis=1)
    )
    np.testing.assert_allclose(ours["notebook_anomaly_score"], table["anomaly_score"])
    # its fault: a silent neuron has a variance
    assert trials.counts[:, 5].sum() == 0
    assert ours["notebook_variance"][5] > 0.005
    assert notebook_measures(trials, 0).equals(ours)


def test_undefined_repetitions_come_last_and_are_not_rounding(rng):
    """A unit that always gives the same count has no correlation, whatever rounding says."""
    ids = np.repeat(np.arange(10), 6)
    counts = np.column_stack([rng.poisson(1 + ids), np.full(60, 1), np.full(60, 7)])
    assert np.isnan(random_trial_oracle(counts, TrialGroups.of(ids), rng)).tolist() == [
        False,
        True,
        True,
    ]
    table = notebook_measures(Trials(np.arange(60), list("abc"), ids, counts), 0)
    assert table["notebook_oracle"].isna().tolist() == [False, True, True]
    assert table["notebook_rank"].tolist() == pytest.approx([0, 1, 2])
