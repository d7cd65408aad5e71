"""Outcome of the fits, and the neurons that therefore have a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.progress import note

if TYPE_CHECKING:
    from meiflow.models.cross_validate import Fitted


# Base models that are trained by gradient descent, and the key of their learning rate.
_LEARNING_RATES = {
    "cnn": "model.cnn.learning_rate",
    "scratch": "model.network.learning_rate",
    "shared": "model.network.learning_rate",
    "pretrained": "model.network.learning_rate",
}


def outcomes(neurons: list[str], means: NDArray, fitted: Fitted) -> pd.DataFrame:
    """Table of which fits succeeded.

    Parameters
    ----------
    neurons : list of str
    means : ndarray, shape (images, neurons)
        Mean counts per presentation.
    fitted : Fitted

    Returns
    -------
    DataFrame
        neuron_id, fitted, reason. A fit fails if the response is the same for all images, if a
        base model has a parameter or prediction that is not a number, or if the ensemble predicts
        held-out responses that are impossibly high.
    """
    from meiflow.models.soundness import too_high

    reasons, diverged = [], []
    absurd: set[str] = set()
    units = fitted.units
    what, noun = ("spikes are", "count") if units is None else ("is", "absolute response")
    fitted_sets = [*fitted.fold_states, fitted.states]
    for i in range(len(neurons)):
        broken = [
            name
            for j, name in enumerate(fitted.members)
            if not np.isfinite(fitted.predictions[name][:, i]).all()
            or not all(sound(states[i][j]) for states in fitted_sets)
        ]
        spread = None if units is None else float(units[i])
        most = float((means[:, i] if spread is None else np.abs(means[:, i])).max())
        limit = too_high(most, spread)
        wild = [
            name
            for name in (*fitted.members, "model")
            if name in fitted.predictions
            and np.abs(np.nan_to_num(fitted.predictions[name][:, i])).max() > limit
        ]
        absurd.update(wild)
        if wild:
            worst = max(
                float(np.abs(np.nan_to_num(fitted.predictions[n][:, i])).max()) for n in wild
            )
            diverged.append(f"{neurons[i]} ({' and '.join(wild)}: {worst:.2g})")
        if np.ptp(means[:, i]) == 0:
            reasons.append("the mean response is the same for all images")
        elif "model" in wild:
            others = [name for name in wild if name != "model"] or ["the stacking weights"]
            reasons.append(
                f"fitting {' and '.join(others)} diverged: {worst:.2g} {what} predicted for an "
                f"image, but the highest mean {noun} is {most:.3g}"
            )
        elif broken or not np.isfinite(fitted.weights[i]).all():
            reasons.append(f"fitting {' and '.join(broken) or 'the stacking weights'} failed")
        else:
            reasons.append("")
    if diverged:
        keys = sorted({_LEARNING_RATES[name] for name in absurd & set(_LEARNING_RATES)})
        advice = f"; lower {' and '.join(keys)}" if keys else ""
        note(
            f"models: {len(diverged)} of {len(neurons)} neurons have held-out predictions that are "
            f"impossibly high: {shorten(diverged, 4)}{advice}"
        )
    return pd.DataFrame(
        {"neuron_id": neurons, "fitted": [not r for r in reasons], "reason": reasons}
    )


def sound(state: Any) -> bool:
    """Whether a base model was fitted, with parameters that are all finite numbers."""
    return bool(state) and all(np.isfinite(np.asarray(value)).all() for value in _numbers(state))


def _numbers(state: Any) -> Iterator[Any]:
    """All numbers and arrays in a state."""
    if isinstance(state, dict):
        for value in state.values():
            yield from _numbers(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _numbers(value)
    elif not isinstance(state, str | bool | None):
        yield state


def fitted_table(selection: pd.DataFrame, status: pd.DataFrame) -> pd.DataFrame:
    """Table of the neurons that have a model, and why the others have none.

    Parameters
    ----------
    selection : DataFrame
        neuron_id, selected and reason of every neuron.
    status : DataFrame
        Output of `outcomes`.

    Returns
    -------
    DataFrame
        neuron_id, selected (and fitted), status (``modelled``, ``fit failed`` or ``not
        selected``) and reason.

    Raises
    ------
    MeiflowError
        If `status` lacks a selected neuron.

    Examples
    --------
    >>> reasons = ["reliable", "reliable", "oracle_p > 0.01"]
    >>> selection = {"neuron_id": ["1", "2", "3"], "selected": [True, True, False]}
    >>> selection = pd.DataFrame(selection).assign(reason=reasons)
    >>> status = {"neuron_id": ["1", "2", "3"], "fitted": [True, False, True]}
    >>> status = pd.DataFrame(status).assign(reason=["", "fitting ln failed", ""])
    >>> fitted_table(selection, status)[["neuron_id", "status"]].to_numpy().tolist()
    [['1', 'modelled'], ['2', 'fit failed'], ['3', 'not selected']]
    """
    asked = selection["selected"].to_numpy(bool)
    missing = selection["neuron_id"][asked & ~selection["neuron_id"].isin(status["neuron_id"])]
    if len(missing):
        raise MeiflowError(
            f"neuron {missing.iloc[0]} is selected but has no row in the table of fits; fit again"
        )
    fits = status.set_index("neuron_id").reindex(selection["neuron_id"])
    chosen = asked & fits["fitted"].eq(True).to_numpy(bool)
    failed = asked & ~chosen
    return pd.DataFrame(
        {
            "neuron_id": selection["neuron_id"],
            "selected": chosen,
            "status": np.select([failed, chosen], ["fit failed", "modelled"], "not selected"),
            "reason": selection["reason"].mask(failed, pd.Series(fits["reason"].to_numpy())),
        }
    )
