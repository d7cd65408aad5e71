"""One line per method of the benchmark, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.benchmark.methods import REFERENCE
from meiflow.benchmark.score import FAILED, NOT_INSTALLED
from meiflow.benchmark.table import FRACTION, clopper_pearson
from meiflow.combined.estimates import interval

LEVEL = 0.8


def summarise(results: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Performance of every method.

    Parameters
    ----------
    results : DataFrame
        Output of `meiflow.benchmark.score.results_of`.
    seed : int
        Of the bootstrap over neurons.

    Returns
    -------
    DataFrame
        One row per method, in the order of `results`. Failures count as a fraction of 0. Every
        proportion has the columns ``_low`` and ``_high`` of a 95 % interval: a bootstrap over
        neurons for ``mean_fraction``, Clopper & Pearson's for the others.

        - ``neurons``, ``failed``: numbers.
        - ``mean_fraction``: of the optimum.
        - ``reaching``: share of the stimuli that reach 0.8 of the optimum.
        - ``above_natural``: share that drives the neuron more than its best natural image.
        - ``trusted``: number of trusted stimuli; ``precision``: share of these that reach 0.8;
          ``coverage``: share of those that reach 0.8 that are trusted; ``untuned_trusted``: number
          of untuned neurons that are trusted. Empty if the method does not state its trust.
        - ``cpu_s``: CPU time per neuron in seconds.
        - ``note``: that it is not installed, or the first failure.

    Examples
    --------
    >>> results = pd.DataFrame({
    ...     "neuron": [0, 1, 0, 1], "method": ["mine", "mine", "best-natural", "best-natural"],
    ...     "status": "ok", "reason": "", "fraction_of_optimum": [0.9, 0.7, 0.1, 0.2],
    ...     "cpu_s": 1.0,
    ... })
    >>> summarise(results).loc["mine", ["neurons", "mean_fraction", "reaching", "above_natural"]]
    neurons            2
    mean_fraction    0.8
    reaching         0.5
    above_natural    1.0
    Name: mine, dtype: object
    """
    natural = results[results["method"] == REFERENCE].set_index("neuron")[FRACTION]
    methods = results.groupby("method", sort=False)
    rows = {method: _row(own.set_index("neuron"), natural, seed) for method, own in methods}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def _row(own: pd.DataFrame, natural: pd.Series, seed: int) -> dict[str, object]:
    tuned = own[own.index >= 0]
    fraction = tuned[FRACTION].to_numpy(float)
    note = next(iter(tuned.loc[tuned["status"] != "ok", "reason"]), "")
    row: dict[str, object] = {
        "neurons": len(tuned),
        "failed": int((tuned["status"] == FAILED).sum()),
    }
    if (own["status"] == NOT_INSTALLED).any():
        return row | {"note": note}
    good = fraction >= LEVEL
    low, high = interval(fraction, seed)
    row |= {"mean_fraction": fraction.mean(), "mean_fraction_low": float(low),
            "mean_fraction_high": float(high)}  # fmt: skip
    row |= _share("reaching", good)
    row |= _share("above_natural", fraction > natural.reindex(tuned.index).to_numpy(float))
    if "trusted" in own and own["trusted"].notna().any():
        every = own["trusted"].eq(True)  # not where the method failed
        trusted = every[own.index >= 0].to_numpy()
        row |= {"trusted": int(trusted.sum())}
        row |= _share("precision", good[trusted]) | _share("coverage", trusted[good])
        row |= {"untuned_trusted": int(every[own.index < 0].sum())}
    return row | {"cpu_s": own["cpu_s"].mean() if "cpu_s" in own else np.nan, "note": note}


def _share(name: str, right: np.ndarray) -> dict[str, float]:
    low, high = clopper_pearson(int(right.sum()), len(right))
    mean = float(right.mean()) if len(right) else np.nan
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
