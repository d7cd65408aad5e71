"""Recorded tuning of each neuron to the Gabors, gratings and flashes of the session.

Definitions follow AllenSDK's ``ReceptiveFieldMapping`` and ``StaticGratings``
(``tests/tables/test_tuning.py`` compares them); those of drifting gratings and flashes are in
`meiflow.tables.drifting`. Positions are screen coordinates; AllenSDK adds 50 degrees to the azimuth
and 10 to the elevation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.tables import drifting

if TYPE_CHECKING:
    import xarray as xr

COLUMNS = (
    "rf_x_deg",
    "rf_y_deg",
    "rf_area_deg2",
    "pref_orientation_deg",
    "pref_spatial_frequency_cpd",
    "pref_phase_cycles",
    "orientation_selectivity",
    *drifting.COLUMNS,
    "on_off_ratio",
)
_FEWEST_SPIKES = 10


def receptive_fields(gabors: pd.DataFrame, neuron_ids: list[str]) -> xr.DataArray:
    """Mean count at every Gabor position, averaged over orientations.

    Parameters
    ----------
    gabors : DataFrame
        The table gabor_responses.csv.
    neuron_ids : list of str

    Returns
    -------
    DataArray, dims (neuron_id, y_deg, x_deg)
        ``y_deg`` decreases, as in the rows of an image; NaN for positions that were not shown.

    Examples
    --------
    >>> gabors = pd.DataFrame({"x_position": [0, 10, 0], "y_position": [0, 0, 10], "a": [1, 2, 3]})
    >>> fields = receptive_fields(gabors, ["a"])
    >>> fields.sel(neuron_id="a", y_deg=0).to_series().to_dict()
    {0: 1.0, 10: 2.0}
    """
    import xarray as xr

    at = gabors.groupby(["y_position", "x_position"])[neuron_ids].mean()
    y = np.sort(gabors["y_position"].unique())[::-1]
    x = np.sort(gabors["x_position"].unique())
    full = at.reindex(pd.MultiIndex.from_product([y, x])).to_numpy()
    fields = full.T.reshape(len(neuron_ids), len(y), len(x))
    axes = {"neuron_id": neuron_ids, "y_deg": y, "x_deg": x}
    return xr.DataArray(fields, axes, list(axes))


def field_centre(field: xr.DataArray, threshold_stds: float = 1.0) -> tuple[float, float, float]:
    """Centre (degrees) and area (square degrees) of a receptive field.

    The field is smoothed with a Gaussian of one grid step; the centre is the centre of mass of the
    connected region around the peak that is within `threshold_stds` standard deviations of it
    (Siegle et al. 2021). NaN for a flat or incomplete field.

    Parameters
    ----------
    field : DataArray, dims (y_deg, x_deg)
        Output of `receptive_fields` for one neuron.
    threshold_stds : float

    Notes
    -----
    Allen's released table used one standard deviation; AllenSDK 2.16 uses half of one. Both smooth
    integers, which SciPy rounds down again; for integer counts this function returns the same
    values, and for means the exact ones.
    """
    from scipy import ndimage

    counts, x, y = field.to_numpy(), field["x_deg"].to_numpy(), field["y_deg"].to_numpy()
    if not np.isfinite(counts).all() or np.ptp(counts) == 0 or min(counts.shape) < 2:
        return np.nan, np.nan, np.nan
    smooth = ndimage.gaussian_filter(counts, 1)
    regions, _ = ndimage.label(smooth > smooth.max() - threshold_stds * smooth.std())
    peak = regions[np.unravel_index(smooth.argmax(), smooth.shape)]
    if not peak:  # smoothing integers can result in a flat field
        return np.nan, np.nan, np.nan
    region = regions == peak
    row, column = ndimage.center_of_mass(region)
    step_x, step_y = x[1] - x[0], y[1] - y[0]
    area = region.sum() * abs(step_x * step_y)
    return x[0] + column * step_x, y[0] + row * step_y, float(area)


def grating_preferences(
    gratings: pd.DataFrame, neuron_ids: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Preferred orientation, spatial frequency and phase, and orientation selectivity.

    Each preference is the value with the highest mean over all conditions that share it.
    Selectivity is one minus the circular variance (Ringach et al. 2002) over orientations at the
    preferred frequency and phase, 0 to 1. All are NaN for a neuron that never fired.

    Parameters
    ----------
    gratings : DataFrame
        The table grating_responses.csv.
    neuron_ids : list of str
    """
    silent = (gratings[neuron_ids] == 0).all().to_numpy()
    preferred = {
        key: np.where(silent, np.nan, gratings.groupby(key)[neuron_ids].mean().idxmax())
        for key in ("orientation", "spatial_frequency", "phase")
    }
    angle = np.exp(2j * np.deg2rad(gratings["orientation"].to_numpy()))
    chosen = (
        gratings["spatial_frequency"].to_numpy()[:, None] == preferred["spatial_frequency"]
    ) & (gratings["phase"].to_numpy()[:, None] == preferred["phase"])
    curve = np.where(chosen, gratings[neuron_ids].to_numpy(), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        selectivity = np.abs((angle[:, None] * curve).sum(axis=0)) / curve.sum(axis=0)
    return {
        "pref_orientation_deg": preferred["orientation"],
        "pref_spatial_frequency_cpd": preferred["spatial_frequency"],
        "pref_phase_cycles": preferred["phase"],
        "orientation_selectivity": selectivity,
    }


def tuning_table(
    neuron_ids: list[str],
    gabors: pd.DataFrame | None,
    gratings: pd.DataFrame | None,
    moving: pd.DataFrame | None = None,
    flashes: pd.DataFrame | None = None,
    f1_f0: NDArray[np.float64] | None = None,
    real: bool = False,
) -> pd.DataFrame:
    """Table of `COLUMNS`, one row per neuron; empty if the stimulus was not shown.

    Receptive fields are given for neurons with at least 10 spikes during the Gabors, or for all
    neurons with real-valued responses. Of the latter, mean responses below zero count as zero for
    preferences and selectivities to gratings and flashes.

    Parameters
    ----------
    neuron_ids : list of str
    gabors, gratings, moving, flashes : DataFrame or None
        The tables gabor_responses.csv, grating_responses.csv, drifting_responses.csv and
        flash_responses.csv; None if the stimulus was not shown.
    f1_f0 : ndarray, shape (neurons,), optional
        Output of `meiflow.tables.drifting.modulation_ratios`, which requires spike times.
    real : bool
        Whether responses are real numbers, which may be negative.
    """
    table = pd.DataFrame(np.nan, index=range(len(neuron_ids)), columns=list(COLUMNS))
    if gabors is not None:
        centres = np.array([field_centre(field) for field in receptive_fields(gabors, neuron_ids)])
        spikes = gabors[neuron_ids].mul(gabors["repeats"], axis=0).sum().to_numpy()
        enough = real | (spikes.round() >= _FEWEST_SPIKES)
        table.loc[enough, list(COLUMNS[:3])] = centres[enough]
    if real:
        gratings, moving, flashes = (
            None if shown is None else shown.assign(**shown[neuron_ids].clip(lower=0))
            for shown in (gratings, moving, flashes)
        )
    if gratings is not None:
        table = table.assign(**grating_preferences(gratings, neuron_ids))
    if moving is not None and len(moving):
        table = table.assign(**drifting.drifting_preferences(moving, neuron_ids))
    if f1_f0 is not None:
        table["f1_f0"] = f1_f0
    if flashes is not None:
        table["on_off_ratio"] = drifting.on_off_ratio(flashes, neuron_ids)
    table.insert(0, "neuron_id", neuron_ids)
    return table
