"""Two runs of the same session with different settings, neuron by neuron."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.similarity import image_similarity

SCORE = "cc_norm_model"


def compare_variants(
    first: pd.DataFrame,
    second: pd.DataFrame,
    meis: Mapping[str, NDArray],
    other_meis: Mapping[str, NDArray],
) -> pd.DataFrame:
    """Compare two variants neuron by neuron.

    Parameters
    ----------
    first, second : DataFrame
        summary.csv of each.
    meis, other_meis : mapping of str to ndarray
        Their MEIs, by neuron.

    Returns
    -------
    DataFrame
        neuron_id, ``cc_norm_model`` and ``trusted`` of both (``_a``, ``_b``), and
        ``mei_similarity``, the correlation of the pixels of the two MEIs (empty where only one
        variant has the neuron, or where the images differ in size).

    Examples
    --------
    >>> a = pd.DataFrame({"neuron_id": ["1", "2"], "cc_norm_model": [0.5, 0.6]})
    >>> b = pd.DataFrame({"neuron_id": ["2", "3"], "cc_norm_model": [0.7, 0.8]})
    >>> image = np.arange(4.0).reshape(2, 2)
    >>> compare_variants(a, b, {"1": image, "2": image}, {"2": 1 - image, "3": image})
      neuron_id  cc_norm_model_a  cc_norm_model_b  mei_similarity
    0         1              0.5              NaN             NaN
    1         2              0.6              0.7            -1.0
    2         3              NaN              0.8             NaN
    """
    parts = []
    for table in (first, second):
        columns = ["neuron_id", SCORE, *(c for c in ("trusted",) if c in table)]
        parts.append(table[columns].astype({"neuron_id": str}))
    merged = parts[0].merge(parts[1], "outer", "neuron_id", suffixes=("_a", "_b"))
    merged["mei_similarity"] = [
        _similarity(meis.get(neuron), other_meis.get(neuron)) for neuron in merged["neuron_id"]
    ]
    return merged


def _similarity(a: NDArray | None, b: NDArray | None) -> float:
    if a is None or b is None or a.shape != b.shape:
        return float("nan")
    return round(image_similarity(np.asarray(a, float), np.asarray(b, float)), 6)
