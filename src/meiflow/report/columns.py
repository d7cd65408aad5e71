"""Headings and explanations of the columns of summary.csv."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from meiflow.response_type import COUNTS, ResponseType

# Shown first, in this order, if the summary contains them; the others on request.
_FIRST = {
    "neuron_id": ("neuron", "id of the neuron"),
    "trusted": ("trust", "whether the MEI can be trusted"),
    "expected_fraction": (
        "expected drive (of maximum)",
        "expected drive of the MEI divided by the maximal drive",
    ),
    "model_above_chance": ("above chance", "held-out correlation above the shuffled controls"),
    "cc_norm_model": (
        "CC_norm",
        "noise-corrected correlation of the model on held-out images; above 1 where the noise "
        "ceiling was underestimated by chance",
    ),
    "cc_norm_low": ("CC_norm, lower end", "lower end of the 95 % interval of CC_norm"),
    "fold_agreement": (
        "agreement",
        "fraction of their own optimum that fold models reach with the MEI",
    ),
    "peak_ratio": (
        "peak",
        "highest predicted response to an image shown, divided by the highest measured one",
    ),
    "oracle": ("oracle", "reliability: jackknife oracle correlation"),
    "mei_over_best_gabor": (
        "MEI / Gabor (ratio)",
        "predicted count for the MEI divided by that for the best Gabor",
    ),
    "mei_over_windowed_natural": (
        "MEI / natural, windowed (ratio)",
        "predicted count for the MEI divided by that for the best natural image in the MEI's mask",
    ),
    "mei_over_best_natural": (
        "MEI / natural, whole (ratio)",
        "predicted count for the MEI divided by that for the best whole image at equal contrast",
    ),
    "mei_orientation_deg": ("orientation (deg)", "orientation of the MEI: direction of modulation"),
    "mei_peak_frequency_cpd": ("frequency (c/deg)", "spatial frequency of the MEI"),
    "mei_size_deg": ("size (deg)", "diameter of a disc with the area of the MEI's mask"),
    "area": ("area", "area of the brain"),
    "layer": ("layer", "cortical layer, where it is known"),
    "spiking": (
        "spiking",
        "fast or regular: trough to peak of the waveform below 0.4 ms or longer",
    ),
    "optotagged": (
        "optotagged",
        "gene of the class that light drives, if this neuron responds to it directly",
    ),
    "cluster": ("cluster", "functional cluster: neurons that respond in the same way"),
    "cell_type": ("cell type", "simple or complex, by F1/F0 of the model"),
    "invariance_deg": (
        "invariance (deg)",
        "angle from the MEI within which an image can drive the neuron nearly as much; 180: even "
        "the MEI's negative",
    ),
    "kind": ("simulated as", "kind of the simulated neuron"),
    "mei_true_fraction": (
        "true drive (of maximum)",
        "closed loop: true drive of the MEI divided by the maximal drive",
    ),
}
_UNITS = {"_deg2": " (deg²)", "_deg": " (deg)", "_cpd": " (c/deg)", "_hz": " (Hz)"}
_UNITS |= {"_octaves": " (octaves)", "_um": " (µm)", "_low": ", lower end", "_high": ", upper end"}
_WORDS = {"mei": "MEI", "gabor": "Gabor", "gabors": "Gabors", "cc": "CC"}
KINDS = ("kind", "cell_type")
# Columns by which the table is filtered, if they have several values.
CLASSES = ("area", "layer", "spiking", "optotagged")


@dataclass(frozen=True)
class Column:
    """A column of the table: its name in summary.csv, heading and meaning."""

    name: str
    label: str
    meaning: str
    first: bool


@dataclass(frozen=True)
class TableCell:
    """A cell of the table: the text shown, and the value used for sorting."""

    text: str
    value: str


def columns_of(summary: pd.DataFrame, response: ResponseType = COUNTS) -> list[Column]:
    """The columns to show first, then all others in the order of the summary."""
    names = [n for n in _FIRST if n in summary.columns]
    first = [Column(n, _FIRST[n][0], response.words(_FIRST[n][1]), first=True) for n in names]
    rest = [Column(str(n), heading(str(n)), "", first=False) for n in summary if n not in _FIRST]
    return first + rest


def heading(name: str) -> str:
    """Words and unit of a column that has no heading of its own.

    Examples
    --------
    >>> heading("mean_rate_hz"), heading("mei_over_best_gabor_low"), heading("cc_norm_v1")
    ('mean rate (Hz)', 'MEI over best Gabor, lower end', 'CC_norm v1')
    """
    end = next((end for end in _UNITS if name.endswith(end)), "")
    words = [_WORDS.get(word, word) for word in name.removesuffix(end).split("_")]
    return " ".join(words).replace("CC ", "CC_") + _UNITS.get(end, "")


def choices_of(
    summary: pd.DataFrame, further: tuple[str, ...] = ()
) -> list[tuple[str, str, list[str]]]:
    """Name, heading and values of each column of `CLASSES` and `further` with several values.

    Examples
    --------
    >>> choices_of(pd.DataFrame({"area": ["VISp", "VISam"], "spiking": ["fast", None]}))
    [('area', 'area', ['VISam', 'VISp'])]
    """
    found = [
        (name, _FIRST.get(name, ("session",))[0], _in_order(summary[name]))
        for name in (*CLASSES, *further)
        if name in summary
    ]
    return [choice for choice in found if len(choice[2]) > 1]


def _in_order(values: pd.Series) -> list[str]:
    """Different values as text; numbers by value."""
    found = set(values.dropna().astype(str))
    return sorted(found, key=lambda text: (int(text) if text.isdigit() else -1, text))


def number(value: object, digits: int = 2) -> str:
    """A value as text: a dash if missing, yes or no, numbers with few digits and no exponent.

    Examples
    --------
    >>> number(0.826), number(0.000497), number(12345.6), number(None), number(True)
    ('0.83', '0.0005', '12346', '–', 'yes')
    """
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        if 0 < abs(float(value)) < 0.5 * 10**-digits:
            return np.format_float_positional(float(f"{value:.1g}"), trim="-")
        return f"{value:.0f}" if abs(float(value)) >= 1000 else f"{value:.{digits}f}"
    return str(value)


def corrected(value: object) -> str:
    """A noise-corrected correlation as text; above 1 it is marked, because no model is that good.

    Examples
    --------
    >>> corrected(0.93), corrected(1.04)
    ('0.93', '1.04 (> 1)')
    """
    text = number(value)
    return f"{text} (> 1)" if isinstance(value, float) and value > 1.005 else text


def cell(name: str, value: object) -> TableCell:
    """One cell: the text shown, and the value used for sorting."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return TableCell("–", "")
    if isinstance(value, bool | np.bool_):
        return TableCell("yes" if value else "no", str(int(value)))
    if name.endswith("_um"):
        return TableCell(f"{value:.0f}", str(value))
    if name.endswith("_deg"):  # an angle of 0.004 degrees is 0.0
        return TableCell(f"{value:.1f}", str(value))
    if name.startswith("cc_norm"):
        return TableCell(corrected(value), str(value))
    digits = 3 if name.endswith("_cpd") else 2
    return TableCell(number(value, digits), str(value))
