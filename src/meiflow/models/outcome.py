"""Whose fit succeeded, and which neurons therefore have a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.io.files import read_csv, write_csv
from meiflow.selection.rule import require_somebody

if TYPE_CHECKING:
    from meiflow.models.cross_validate import Fitted


def outcomes(neurons: list[str], means: NDArray, fitted: Fitted) -> pd.DataFrame:
    """Which fits succeeded.

    Parameters
    ----------
    neurons : list of str
    means : ndarray, shape (images, neurons)
        Mean counts per presentation.
    fitted : Fitted

    Returns
    -------
    DataFrame
        neuron_id, fitted, reason: a fit has failed where the response is the same for all images,
        or where a member of the model has a parameter or prediction that is not a number.
    """
    reasons = []
    fitted_sets = [*fitted.fold_states, fitted.states]
    for i in range(len(neurons)):
        broken = [
            name
            for j, name in enumerate(fitted.members)
            if not np.isfinite(fitted.predictions[name][:, i]).all()
            or not all(states[i][j] and _finite(states[i][j]) for states in fitted_sets)
        ]
        if np.ptp(means[:, i]) == 0:
            reasons.append("its mean response is the same for all images")
        elif broken or not np.isfinite(fitted.weights[i]).all():
            reasons.append(f"the fit of {' and '.join(broken) or 'the mixture'} broke off")
        else:
            reasons.append("")
    return pd.DataFrame(
        {"neuron_id": neurons, "fitted": [not r for r in reasons], "reason": reasons}
    )


def _finite(state: Any) -> bool:
    return all(np.isfinite(np.asarray(value)).all() for value in _numbers(state))


def _numbers(state: Any) -> Iterator[Any]:
    """All numbers and arrays within a state."""
    if isinstance(state, dict):
        for value in state.values():
            yield from _numbers(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _numbers(value)
    elif not isinstance(state, str | bool | None):
        yield state


def write_modelled(selection: Path, status: Path, nobody: bool, output: Path) -> None:
    """Write models/neurons.csv: the selected neurons that have a model, and why others have none.

    Its columns: neuron_id, selected (and modelled), status (``modelled``, ``fit failed`` or ``not
    selected``) and reason.

    Parameters
    ----------
    selection, status : path
        neurons.csv of the selection, status.csv of the fits.
    nobody : bool
        Whether it may be that no neuron is left: one of many sessions stops no other.
    output : path

    Raises
    ------
    MeiflowError
        If no neuron is left, with the reasons and how many fell to each.
    """
    table = read_csv(selection, ("neuron_id", "selected", "reason"))
    fits = read_csv(status, ("neuron_id", "fitted", "reason")).set_index("neuron_id")
    fits = fits.reindex(table["neuron_id"])
    failed = table["selected"].to_numpy(bool) & ~fits["fitted"].to_numpy(bool)
    chosen = table["selected"].to_numpy(bool) & ~failed
    result = pd.DataFrame(
        {
            "neuron_id": table["neuron_id"],
            "selected": chosen,
            "status": np.select([failed, chosen], ["fit failed", "modelled"], "not selected"),
            "reason": table["reason"].mask(failed, pd.Series(fits["reason"].to_numpy())),
        }
    )
    if not nobody:
        require_somebody(result)
    write_csv(result, output)
