"""One row of measures per neuron: for few neurons, and with or without times."""

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.selection.measures import measure_neurons, measure_session
from meiflow.tables.counts import Trials


def test_measures_of_few_neurons(rng):
    """Two neurons, one of them silent: all columns exist, and nothing raises."""
    ids = np.repeat(np.arange(6), 4)
    counts = np.column_stack([rng.poisson(np.arange(6)[ids]), np.zeros(24, int)])
    trials = Trials(np.arange(24), ["a", "b"], ids, counts)
    table, pairs = measure_neurons(trials, 0.25, 100, 0)
    assert pairs["signal"].shape == (2, 2)
    assert len(measure_session(trials, None)) == 2
    assert table["oracle"].notna().tolist() == [True, False]
    assert table["mean_rate_hz"].tolist() == [counts[:, 0].mean() / 0.25, 0.0]
    assert table["variance"].tolist()[1] == 0.0


def test_presentations_must_include_every_trial(rng):
    trials = Trials(np.arange(8), ["a"], np.repeat([0, 1], 4), rng.poisson(3.0, (8, 1)))
    shown = pd.DataFrame({"trial_id": np.arange(8), "block": 0, "start_s": np.arange(8.0)})
    assert np.isfinite(measure_session(trials, shown)["drift"]).all()
    # without times the order of the table is not that of the session
    assert measure_session(trials, None)["drift"].isna().all()
    twice = pd.concat([shown, shown.iloc[:1]])
    for wrong in (shown.iloc[1:], twice):
        with pytest.raises(MeiflowError, match=r"presentations.csv: must contain every trial"):
            measure_session(trials, wrong)


def test_drift_follows_time_and_not_the_order_of_the_table(rng):
    counts = rng.poisson(np.linspace(1, 9, 40))[:, None]
    shown = pd.DataFrame({"trial_id": np.arange(40), "block": 0, "start_s": np.arange(40.0)})
    images = np.tile([0, 1], 20)
    drift = measure_session(Trials(np.arange(40), ["a"], images, counts), shown)["drift"][0]
    mixed = rng.permutation(40)
    trials = Trials(mixed, ["a"], images[mixed], counts[mixed])
    assert measure_session(trials, shown)["drift"][0] == pytest.approx(drift, abs=1e-12)
    assert drift > 0.5
