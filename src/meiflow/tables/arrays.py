"""Spike counts in the usual forms of a notebook: arrays, tidy tables, xarray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError, closest, shorten
from meiflow.response_type import COUNTS, ResponseType
from meiflow.tables.counts import BLANK, Trials, trial_columns, trials_from_table

_SHAPES = (
    "(repeats, images, neurons), NaN where an image has fewer repeats; (images, neurons), mean "
    "counts; or (trials, neurons) with trial_images, the image of every trial"
)
_DIMENSIONS = ({"repeat", "image", "neuron"}, {"image", "neuron"}, {"trial", "neuron"})


def as_trials(
    counts: Any,
    image_ids: ArrayLike,
    neurons: Sequence[object] | None = None,
    trial_images: ArrayLike | None = None,
    response: ResponseType = COUNTS,
) -> Trials:
    """Convert spike counts, or other responses, from any of the usual forms to trials.

    Parameters
    ----------
    counts : array_like, DataFrame or DataArray
        An array (repeats, images, neurons), (images, neurons) or (trials, neurons); a DataFrame
        with the columns trial_id, neuron_id, image_id and spike_count, in which a missing pair of
        trial and neuron means zero spikes; or a DataArray with the dimensions (repeat, image,
        neuron), (image, neuron) or (trial, neuron) in any order, whose trials have a coordinate
        ``image_id`` or ``image``. In arrays, NaN for all neurons means that there was no such
        trial.
    image_ids : array_like of int, shape (images,)
        Ids of the images, in the order of the array.
    neurons : sequence of str, optional
        Names for the columns of an array; default ``u0``, ``u1``, ... For counts with names, the
        neurons to use; default all.
    trial_images : array_like of int, shape (trials,), optional
        Image id of every row of an array (trials, neurons); -1 means a blank screen.
    response : ResponseType
        Real numbers are in the column response of a DataFrame, without missing pairs.

    Returns
    -------
    Trials
        Mean counts (images, neurons) become one trial per image.

    Raises
    ------
    MeiflowError
        If shapes, ids or values are invalid or inconsistent.

    Examples
    --------
    >>> counts = [[[2, 0], [4, 1]], [[0, 0], [np.nan, np.nan]]]  # the second image was shown once
    >>> trials = as_trials(counts, image_ids=[10, 11])
    >>> trials.neuron_ids, trials.image_ids, trials.counts.tolist()
    (['u0', 'u1'], array([10, 11, 10]), [[2.0, 0.0], [4.0, 1.0], [0.0, 0.0]])
    >>> rows = [(0, "a", 2, 10), (1, "b", 3, 11)]
    >>> as_trials(pd.DataFrame(rows, columns=trial_columns(COUNTS)), [10, 11]).counts.tolist()
    [[2, 0], [0, 3]]
    """
    ids = _whole(image_ids, "image_ids")
    if ids.ndim != 1 or len(np.unique(ids)) < len(ids) or (ids < 0).any():
        raise MeiflowError(
            "image_ids: expected a different whole number, 0 or more, for each image"
        )
    if isinstance(counts, pd.DataFrame):
        trials = _chosen(_from_table(counts, response), neurons)
    elif hasattr(counts, "dims"):
        trials = _chosen(_from_xarray(counts, ids, response), neurons)
    else:
        trials = _from_array(counts, ids, neurons, trial_images, response)
    _check_images(trials, ids)
    return trials


def _whole(values: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    with np.errstate(invalid="ignore"):
        if array.dtype.kind not in "iuf" or not (array == np.round(array)).all():
            raise MeiflowError(f"{name}: expected whole numbers")
    return array.astype(np.int64)


def _from_table(table: pd.DataFrame, response: ResponseType) -> Trials:
    columns = trial_columns(response)
    missing = [column for column in columns if column not in table]
    if missing:
        raise MeiflowError(
            f"counts: a DataFrame needs the columns {', '.join(columns)}; "
            f"{', '.join(missing)} missing. Pass a table with one column per neuron as "
            "table.to_numpy() with neurons=list(table)"
        )
    # messages give line numbers of a file; here they should give rows, counted from 0, no header
    rows = table[list(columns)].set_axis(np.arange(len(table)) - 2, axis=0)
    return trials_from_table(rows, "counts", response)


def _chosen(trials: Trials, neurons: Sequence[object] | None) -> Trials:
    if neurons is None:
        return trials
    names = _names(neurons)
    for name in names:
        if name not in trials.neuron_ids:
            raise MeiflowError(
                f"neurons: {name!r} is not in counts{closest(name, trials.neuron_ids)}"
            )
    columns = [trials.neuron_ids.index(name) for name in names]
    counts = trials.counts[:, columns]
    return Trials(trials.trial_ids, names, trials.image_ids, counts, trials.response)


def _names(neurons: Sequence[object]) -> list[str]:
    names = [str(neuron) for neuron in neurons]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MeiflowError(f"neurons: {shorten(twice, 3)} named more than once")
    return names


def _from_xarray(counts: Any, ids: NDArray[np.int64], response: ResponseType) -> Trials:
    dims = set(counts.dims)
    if dims not in _DIMENSIONS:
        raise MeiflowError(
            f"counts: a DataArray with the dimensions {', '.join(map(str, counts.dims))}; expected "
            "(repeat, image, neuron), (image, neuron) or (trial, neuron)"
        )
    order = [d for d in ("repeat", "trial", "image", "neuron") if d in dims]
    array = counts.transpose(*order)
    neurons = array["neuron"].to_numpy() if "neuron" in array.coords else None
    shown = None
    if "trial" in dims:
        named = [c for c in ("image_id", "image") if c in array.coords]
        if not named:
            raise MeiflowError(
                "counts: trials need a coordinate image_id (or image) with the image of every trial"
            )
        shown = array[named[0]].to_numpy()
    elif "image" in array.coords:
        own = _whole(array["image"].to_numpy(), "counts: image")
        if not np.isin(own, ids).all() or len(own) != len(ids):
            raise MeiflowError(
                f"counts: images {shorten(own, 4)} do not match image_ids, {shorten(ids, 4)}"
            )
        ids = own
    return _from_array(array.to_numpy(), ids, neurons, shown, response)


def _from_array(
    counts: Any,
    ids: NDArray[np.int64],
    neurons: Sequence[object] | None,
    trial_images: ArrayLike | None,
    response: ResponseType,
) -> Trials:
    try:
        values = np.asarray(counts, dtype=float)
    except (TypeError, ValueError) as error:
        raise MeiflowError(
            f"counts: not an array of numbers ({error}); expected {_SHAPES}"
        ) from None
    shown = ids
    if trial_images is not None:
        shown = _whole(trial_images, "trial_images")
        if values.ndim != 2 or shown.shape != values.shape[:1]:
            raise MeiflowError(
                f"counts: shape {values.shape} with trial_images of shape {shown.shape}; expected "
                "(trials, neurons) and (trials,)"
            )
    elif values.ndim not in (2, 3) or values.shape[-2] != len(ids):
        raise MeiflowError(
            f"counts: shape {values.shape} for {len(ids)} images; expected {_SHAPES}"
        )
    elif values.ndim == 3:
        shown = np.tile(ids, len(values))
        values = values.reshape(-1, values.shape[2])
    names = _names([f"u{i}" for i in range(values.shape[1])] if neurons is None else neurons)
    if len(names) != values.shape[1] or not names:
        raise MeiflowError(f"neurons: {len(names)} names for {values.shape[1]} neurons in counts")
    absent = np.isnan(values)
    partly = absent.any(axis=1) & ~absent.all(axis=1)
    if partly.any():
        row = int(np.flatnonzero(partly)[0])
        raise MeiflowError(
            f"counts: NaN for {int(absent[row].sum())} of {len(names)} neurons in a trial of image "
            f"{shown[row]}; NaN means that there was no such trial. Remove these neurons or this "
            "trial"
        )
    held = ~absent.all(axis=1)
    values, shown = values[held], shown[held]
    wrong = ~np.isfinite(values) | ((values < 0) & (not response.real))
    if wrong.any():
        column = int(np.flatnonzero(wrong.any(axis=0))[0])
        raise MeiflowError(
            f"counts: neuron {names[column]} has infinite values; expected finite numbers"
            if response.real
            else f"counts: neuron {names[column]} has negative or infinite values; expected spike "
            'counts or rates (for dF/F and other real numbers: response="real")'
        )
    return Trials(np.flatnonzero(held).astype(str), names, shown, values, response)


def _check_images(trials: Trials, ids: NDArray[np.int64]) -> None:
    shown = np.unique(trials.image_ids)
    unknown = shown[(shown != BLANK) & ~np.isin(shown, ids)]
    if len(unknown):
        raise MeiflowError(
            f"counts: image {shorten(unknown, 4)} is not among the {len(ids)} images "
            f"({shorten(ids, 4)}); pass their ids as image_ids"
        )
    absent = ids[~np.isin(ids, shown)]
    if len(absent):
        raise MeiflowError(
            f"counts: no trial with image {shorten(absent, 4)}; remove images that were not shown"
        )
