"""A failed fit does not affect others, and its neuron has no model."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.models.cross_validate import Fitted
from meiflow.models.fitting import PopulationFit
from meiflow.models.jobs import Fits, Jobs, fit_in_chunks
from meiflow.models.outcome import fitted_table, outcomes
from meiflow.progress import collect_notes


def jobs_of(responses):
    n = len(responses)
    rest = np.ones(responses.shape, bool), np.zeros(n), np.zeros(n), np.zeros((n, 1, 5))
    return Jobs(responses, *rest)


def fragile(jobs):
    """Double the responses; fail if one is negative."""
    if (jobs.responses < 0).any():
        raise np.linalg.LinAlgError("did not converge")
    return Fits(2 * jobs.responses, [{"sum": float(r.sum())} for r in jobs.responses])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_failed_fit_does_not_affect_others(rng, size):
    responses = rng.random((5, 4))
    whole = fit_in_chunks(fragile, jobs_of(responses), size, 1, "x")
    responses[3, 1] = -1
    fits = fit_in_chunks(fragile, jobs_of(responses), size, 2, "x")
    rest = [0, 1, 2, 4]
    np.testing.assert_array_equal(fits.predictions[rest], whole.predictions[rest])
    assert [fits.states[i] for i in rest] == [whole.states[i] for i in rest]
    assert np.isnan(fits.predictions[3]).all()
    assert fits.states[3] == {}


def fitted_like(predictions, member="ln"):
    """Outcome of a fit with these held-out predictions, in other respects perfect."""
    n = predictions["model"].shape[1]
    states = [[{"kind": "ln", "bias": 0.0}] for _ in range(n)]
    folds = [np.arange(len(predictions["model"]))]
    rest = None, folds, None, (member,), states, [states], np.ones((n, 1))
    return Fitted(predictions, *rest, without={}, windows=np.zeros((1, 1), int))


@pytest.mark.parametrize("state", [{}, {"kind": "ln", "bias": np.nan}])
def test_models_without_a_stimulus_that_could_not_be_fitted_are_left_out(rng, state):
    fitted = fitted_like({"ln": rng.random((20, 2)), "model": rng.random((20, 2))})
    places = SimpleNamespace(x=np.zeros((1, 2)), y=np.zeros((1, 2)))
    apart = {"static_gratings": (places, [[{"kind": "ln", "bias": 1.0}], [state]])}
    status = pd.DataFrame({"neuron_id": ["a", "b"], "fitted": True})
    found = PopulationFit(replace(fitted, without=apart), pd.DataFrame(), status)
    assert list(found.without("a")) == ["static_gratings"]
    assert found.without("b") == {}


def test_a_fit_that_diverged_has_no_model(rng):
    """Predictions of 1e17 spikes; a base model that diverged alone is only noted."""
    means = rng.poisson(3.0, (20, 3)).astype(float)
    whole, base = means.copy(), means.copy()
    whole[4, 1] = base[4, 1] = 1e17
    base[4, 2] = -1e6
    with collect_notes() as notes:
        table = outcomes(list("abc"), means, fitted_like({"ln": base, "model": whole}))
    assert table["fitted"].tolist() == [True, False, True]
    assert re.match(
        "fitting ln diverged: 1e.17 spikes are predicted for an image", table["reason"][1]
    )
    assert "2 of 3 neurons have held-out predictions that are impossibly high" in notes[0]
    assert "b (ln and model: 1e+17), c (ln: 1e+06)" in notes[0]


@pytest.mark.parametrize("member", ["cnn", "ln"])
def test_a_learning_rate_is_named_only_where_there_is_one(rng, member):
    means = rng.poisson(3.0, (20, 1)).astype(float)
    wild = means * 1e17
    with collect_notes() as notes:
        outcomes(["a"], means, fitted_like({member: wild, "model": wild}, member))
    assert ("; lower model.cnn.learning_rate" in notes[0]) == (member == "cnn")


def test_strong_predictions_of_sparse_neurons_are_possible(rng):
    means = rng.uniform(0, 0.1, (20, 1))
    with collect_notes() as notes:
        table = outcomes(["a"], means, fitted_like({"ln": 90 + means, "model": means}))
    assert table["fitted"].all()
    assert notes == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("not enough memory"), OSError()])
def test_errors_that_are_not_the_fits_stop_it(rng, error):
    def broken(jobs):
        raise error

    with pytest.raises(type(error)):
        fit_in_chunks(broken, jobs_of(rng.random((2, 3))), 2, 1, "x")


def test_selected_and_fitted_neurons_have_a_model():
    """By neuron, whatever the order of the two tables; each other neuron has a reason."""
    selection = pd.DataFrame(
        {"neuron_id": list("abcd"), "selected": [True, True, False, False], "reason": list("wxyz")}
    )
    status = pd.DataFrame(
        {"neuron_id": list("dcba"), "fitted": [False, True, False, True], "reason": "failed"}
    )
    table = fitted_table(selection, status).set_index("neuron_id")
    assert table.index.tolist() == list("abcd")
    assert table["selected"].tolist() == [True, False, False, False]
    assert table["status"].tolist() == ["modelled", "fit failed", "not selected", "not selected"]
    assert table["reason"].tolist() == ["w", "failed", "y", "z"]
    with pytest.raises(MeiflowError, match="neuron a is selected but has no row"):
        fitted_table(selection, status[:-1])
