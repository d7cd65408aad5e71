"""Curves, maps and summary measures from the tables of the built-in experiments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.experiments.analysis import (
    NAN,
    field_of_map,
    frequency_tuning,
    half_contrast,
    naka_rushton,
    opponency,
    orientation_tuning,
    phase_tuning,
    shift_invariance,
    size_tuning,
    suppression,
)
from meiflow.experiments.widths import width_above

PHASE = "phase_deg"
_HALF = 0.5
MAPS = ("position", "on", "off")
SUMMARY_COLUMNS = (
    "grey_response",
    "preferred_orientation_deg",
    "osi",
    "orientation_halfwidth_deg",
    "preferred_frequency_cpd",
    "frequency_bandwidth_octaves",
    "f1_f0",
    "f1_f0_with_grey",
    "cell_type",
    "phase_invariance",
    "preferred_size_deg",
    "suppression_index",
    "half_contrast",
    "c50",
    "contrast_exponent",
    "rmax",
    "contrast_r2",
    "mei_c50_rms",
    "mei_contrast_exponent",
    "mei_rmax",
    "mei_scale_octaves",
    "mei_rotation_deg",
    "mei_crop_deg",
    "field_x_deg",
    "field_y_deg",
    "field_area_deg2",
    "on_off_index",
    "surround_iso_index",
    "surround_cross_index",
    "cross_orientation_index",
    "bar_orientation_deg",
    "bar_on_off_index",
    "shift_invariance",
)


def phase_measure(responses: NDArray, phase_deg: NDArray, grey: float) -> NDArray[np.float64]:
    """Reduce the responses to all phases to one number per condition.

    Parameters
    ----------
    responses : ndarray, shape (conditions, phases)
    phase_deg : ndarray, shape (phases,)
    grey : float
        Response to grey.

    Returns
    -------
    ndarray, shape (conditions,)
        Mean minus grey (F0) or first harmonic (F1), whichever is larger at the condition that
        drives the neuron most, as is customary for gratings (Skottun et al. 1991).

    Examples
    --------
    >>> phases = np.arange(0, 360, 45.0)
    >>> simple = np.maximum(np.cos(np.deg2rad(phases)), 0)
    >>> phase_measure(np.stack([simple, 2 * simple]), phases, grey=0.0).round(2)
    array([0.5, 1. ])
    """
    return _named_phase_measure(responses, phase_deg, grey)[1]


def _named_phase_measure(
    responses: NDArray, phase_deg: NDArray, grey: float
) -> tuple[str, NDArray[np.float64]]:
    f0 = responses.mean(1) - grey
    f1 = np.abs(2 * (responses * np.exp(-1j * np.deg2rad(phase_deg))).mean(1))
    best = np.maximum(f0, f1).argmax()
    return ("f1", f1) if f1[best] > f0[best] else ("f0", f0)


def response_curve(table: pd.DataFrame, by: str | list[str], grey: float) -> pd.Series:
    """Response by one or several axes, reduced over phases and minus the response to grey.

    Parameters
    ----------
    table : DataFrame
        Output of `run` for one experiment. Gratings are reduced by `phase_measure`; all other axes
        are averaged.

    Returns
    -------
    Series
        Named after its measure: ``f1`` or ``f0`` over phases, otherwise ``response``.

    Examples
    --------
    >>> from meiflow.experiments.experiment import Experiment, run
    >>> axes = {"level": [0.1, 0.3, 0.9]}
    >>> flat = Experiment("flat", lambda level: np.ones((1, 4, 4)) * level[:, None, None], axes)
    >>> table = run(flat, lambda images: images.mean((1, 2)))
    >>> response_curve(table, "level", grey=0.5).round(1).tolist()
    [-0.4, -0.2, 0.4]
    """
    keys = [by] if isinstance(by, str) else list(by)
    if PHASE not in table or PHASE in keys:
        return table.groupby(keys, sort=False)["response"].mean() - grey
    wide = spread(table.groupby([*keys, PHASE], sort=False)["response"].mean(), PHASE)
    phases = wide.columns.to_numpy(dtype=float)
    name, values = _named_phase_measure(wide.to_numpy(), phases, grey)
    return pd.Series(values, index=wide.index, name=name)


def spread(series: pd.Series, by: str) -> pd.DataFrame:
    """Move a level of the index to columns, keeping the order of rows and columns.

    ``unstack(sort=False)`` of pandas 2.3 puts values into wrong cells unless the levels are in
    product order.
    """
    rows, columns = series.index.droplevel(by).unique(), series.index.unique(by)
    return series.unstack(by).reindex(index=rows, columns=columns)


def untidy(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split a neuron's table by experiment, keeping only the parameters of each.

    Parameters
    ----------
    table : DataFrame
        The neuron's rows of experiments/tuning.csv.

    Examples
    --------
    >>> rows = [("7", "size", 5.0, None, 1.0), ("7", "phase", None, 90.0, 2.0)]
    >>> names = ["neuron_id", "experiment", "diameter_deg", "phase_deg", "response"]
    >>> {k: list(t) for k, t in untidy(pd.DataFrame(rows, columns=names)).items()}
    {'size': ['diameter_deg', 'response'], 'phase': ['phase_deg', 'response']}
    """
    return {
        str(name): part.drop(columns=["neuron_id", "experiment"]).dropna(axis=1, how="all")
        for name, part in table.groupby("experiment", sort=False)
    }


def maps(tables: Mapping[str, pd.DataFrame], grey: float) -> dict[str, pd.DataFrame]:
    """RF maps of the response minus grey, with y (decreasing) in rows and x in columns.

    Examples
    --------
    >>> rows = [(y, x, x + y) for y in (1.0, 0.0) for x in (0.0, 1.0)]
    >>> table = pd.DataFrame(rows, columns=["y_deg", "x_deg", "response"])
    >>> drive = maps({"position": table}, grey=0.0)["position"]
    >>> drive.index.tolist(), drive.columns.tolist(), drive.loc[1.0].tolist()
    ([1.0, 0.0], [0.0, 1.0], [1.0, 2.0])
    """
    found: dict[str, pd.DataFrame] = {}
    places = ["y_deg", "x_deg"]
    if "position" in tables:
        found["position"] = spread(response_curve(tables["position"], places, grey), "x_deg")
    if "spots" in tables:
        for name, polarity in (("on", 1), ("off", -1)):
            spots = tables["spots"]
            spots = spots[spots["polarity"] == polarity]
            found[name] = spread(response_curve(spots, places, grey), "x_deg")
    return found


def summarise_experiments(tables: Mapping[str, pd.DataFrame], grey: float) -> dict[str, object]:
    """Summary measures of a neuron from its experiments.

    Parameters
    ----------
    tables : mapping of experiment name to DataFrame
        Output of `run` for any of the built-in experiments.
    grey : float
        Response to mid-grey.

    Returns
    -------
    dict
        `SUMMARY_COLUMNS`; NaN for experiments that were not run and for undefined measures.

    Examples
    --------
    >>> from meiflow.experiments.experiment import run
    >>> from meiflow.experiments.standard import Preferred, standard_experiments
    >>> from meiflow.images.geometry import Geometry
    >>> from meiflow.config.experiments import Experiments
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> field = gabor(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> respond = lambda images: np.maximum(((images - 0.5) * field).sum((1, 2)), 0)
    >>> preferred = Preferred(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> built = standard_experiments(preferred, Experiments(make=["orientation", "phase"]))
    >>> tables = {name: run(experiment, respond) for name, experiment in built.items()}
    >>> row = summarise_experiments(tables, grey=0.0)
    >>> row["cell_type"], round(row["preferred_orientation_deg"])
    ('simple', 30)
    """
    row: dict[str, object] = dict.fromkeys(SUMMARY_COLUMNS, NAN)
    row["cell_type"] = ""
    row["grey_response"] = grey
    for name, table in tables.items():
        if name in _MEASURES:
            row |= _MEASURES[name](table, grey)
    fields = maps(tables, grey)
    if "position" in fields:
        at = fields["position"]
        field = field_of_map(at.to_numpy(), at.columns.to_numpy(), at.index.to_numpy())
        row |= {"field_x_deg": field.x_deg, "field_y_deg": field.y_deg}
        row["field_area_deg2"] = field.area_deg2
    if "on" in fields:
        row["on_off_index"] = opponency(*(fields[k].to_numpy().max() for k in ("on", "off")))
    return row


def _xy(series: pd.Series) -> tuple[NDArray, NDArray]:
    return series.index.to_numpy(dtype=float), series.to_numpy()


def _orientation(table: pd.DataFrame, grey: float) -> dict[str, object]:
    found = orientation_tuning(*_xy(response_curve(table, "orientation_deg", grey)))
    return {
        "preferred_orientation_deg": found.preferred_deg,
        "osi": found.osi,
        "orientation_halfwidth_deg": found.halfwidth_deg,
    }


def _frequency(table: pd.DataFrame, grey: float) -> dict[str, object]:
    found = frequency_tuning(*_xy(response_curve(table, "frequency_cpd", grey)))
    return {
        "preferred_frequency_cpd": found.preferred_cpd,
        "frequency_bandwidth_octaves": found.bandwidth_octaves,
    }


def _phase(table: pd.DataFrame, grey: float) -> dict[str, object]:
    phase, response = _xy(response_curve(table, PHASE, 0.0))
    found = phase_tuning(phase, response, grey)
    return {
        "f1_f0": found.ratio,
        "f1_f0_with_grey": phase_tuning(phase, response).ratio,
        "cell_type": found.cell_type,
        "phase_invariance": found.invariance,
    }


def _size(table: pd.DataFrame, grey: float) -> dict[str, object]:
    found = size_tuning(*_xy(response_curve(table, "diameter_deg", grey)))
    return {"preferred_size_deg": found.preferred_deg, "suppression_index": found.suppression_index}


def _contrast(table: pd.DataFrame, grey: float) -> dict[str, object]:
    drive = response_curve(table, "contrast", grey)
    fit = naka_rushton(*_xy(drive))
    return {
        "half_contrast": half_contrast(*_xy(drive)),
        "c50": fit.c50,
        "contrast_exponent": fit.exponent,
        "rmax": fit.rmax,
        "contrast_r2": fit.r2,
    }


def _mei_contrast(table: pd.DataFrame, grey: float) -> dict[str, object]:
    fit = naka_rushton(*_xy(response_curve(table, "rms_contrast", grey)))
    return {"mei_c50_rms": fit.c50, "mei_contrast_exponent": fit.exponent, "mei_rmax": fit.rmax}


def _mei_scale(table: pd.DataFrame, grey: float) -> dict[str, object]:
    return {"mei_scale_octaves": _half_width(table, "size_octaves", grey)}


def _mei_rotation(table: pd.DataFrame, grey: float) -> dict[str, object]:
    return {"mei_rotation_deg": _half_width(table, "rotation_deg", grey)}


def _half_width(table: pd.DataFrame, axis: str, grey: float) -> float:
    """Width at half height of the range around the peak."""
    x, drive = _xy(response_curve(table, axis, grey))
    return width_above(x, np.maximum(drive, 0), _HALF)


def _mei_crop(table: pd.DataFrame, grey: float) -> dict[str, object]:
    return {"mei_crop_deg": half_contrast(*_xy(response_curve(table, "diameter_deg", grey)))}


def _surround(table: pd.DataFrame, grey: float) -> dict[str, object]:
    drive = response_curve(table, "surround", grey)
    return {
        f"surround_{kind}_index": suppression(drive["none"], drive[kind])
        for kind in ("iso", "cross")
    }


def _plaid(table: pd.DataFrame, grey: float) -> dict[str, object]:
    drive = response_curve(table, "mask_contrast", grey)
    return {"cross_orientation_index": suppression(drive.iloc[0], drive.iloc[-1])}


def _bars(table: pd.DataFrame, grey: float) -> dict[str, object]:
    drive = response_curve(table, ["orientation_deg", "polarity", "offset_deg"], grey)
    by_angle = drive.groupby("orientation_deg").max()
    by_polarity = drive.groupby("polarity").max()
    return {
        "bar_orientation_deg": orientation_tuning(*_xy(by_angle)).preferred_deg,
        "bar_on_off_index": opponency(by_polarity.loc[1], by_polarity.loc[-1]),
    }


def _shift(table: pd.DataFrame, grey: float) -> dict[str, object]:
    return {"shift_invariance": shift_invariance(response_curve(table, "shift_deg", grey))}


_MEASURES = {
    "orientation": _orientation,
    "frequency": _frequency,
    "phase": _phase,
    "size": _size,
    "contrast": _contrast,
    "mei_contrast": _mei_contrast,
    "mei_scale": _mei_scale,
    "mei_rotation": _mei_rotation,
    "mei_crop": _mei_crop,
    "surround": _surround,
    "plaid": _plaid,
    "bars": _bars,
    "shift": _shift,
}
