"""The four numbers at the top of the report, and the neurons that no Gabor explains."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.headline import tuned_rows
from meiflow.report.session_data import SessionData
from meiflow.report.trust import Trust, TrustCalibration, is_doubted, trusted_rows

_CURVES = {
    "orientation": "orientation tuning",
    "position": "RF position tuning",
    "spatial_frequency": "spatial-frequency tuning",
}
_NONE = "–"


@dataclass(frozen=True)
class KeyNumber:
    """A number with its label; ``of`` follows it in smaller type, ``note`` explains it."""

    value: str
    of: str
    label: str
    note: str


def key_numbers(data: SessionData, calibration: TrustCalibration | None) -> list[KeyNumber]:
    """Trusted neurons, their prediction, MEI over best Gabor, and recorded tuning.

    A number that does not exist is a dash, and its note says why. Where the confidence in the
    MEIs was judged, all but the first are of the trusted neurons.
    """
    summary, trusted = data.summary, trusted_rows(data.summary)
    whose = "these neurons" if data.provisional else "all neurons"
    whose = "trusted neurons" if trusted is not None else whose
    chosen = summary if trusted is None else summary[trusted]
    return [
        _trusted(data, trusted, calibration),
        _predicted(data, chosen, whose),
        _over_gabor(chosen, whose),
        _tuning(data, chosen, whose),
    ]


def _trusted(
    data: SessionData, trusted: pd.Series | None, calibration: TrustCalibration | None
) -> KeyNumber:
    if trusted is None:
        custom = ": a custom module has no fold models" if data.config.model.custom else ""
        yet = " yet" if data.provisional and not custom else ""
        note = f"the confidence in the MEIs was not judged{yet}{custom}"
        return KeyNumber(_NONE, "", "whom to trust", note)
    note = ""
    if calibration is not None:
        what = " of spike counts" if data.response.real else ""
        note = (
            f"in simulations{what} {100 * calibration.precision:.0f} % of such MEIs reached "
            f"{100 * calibration.level:.0f} % of the maximal drive"
        )
    return KeyNumber(
        str(int(trusted.sum())), f"of {data.selected} selected", "MEIs can be trusted", note
    )


def _predicted(data: SessionData, chosen: pd.DataFrame, whose: str) -> KeyNumber:
    label = f"median CC_norm of {whose}"
    values = chosen["cc_norm_model"].dropna()
    if not len(values):
        return KeyNumber(_NONE, "", label, _without(chosen, whose, "has a noise ceiling"))
    scores = data.scores[data.scores["model"] == "model"]
    own = scores[scores["neuron_id"].astype(str).isin(chosen["neuron_id"].astype(str))]
    note = (
        f"held-out images; uncorrected {number(own['cc_abs'].median())}, noise ceiling "
        f"{number(chosen['cc_max'].median())}"
    )
    return KeyNumber(number(values.median()), "of a ceiling of 1", label, note)


def _without(chosen: pd.DataFrame, whose: str, what: str) -> str:
    if not len(chosen):
        return "no neuron is trusted"
    return f"none of the {whose} {what}"


def _over_gabor(chosen: pd.DataFrame, whose: str) -> KeyNumber:
    label = f"MEI over best Gabor, median of {whose}"
    values = chosen.get("mei_over_best_gabor", pd.Series(dtype=float)).dropna()
    if not len(values):
        return KeyNumber(_NONE, "", label, _without(chosen, whose, "has this ratio"))
    ends = median_interval(values)
    if ends is not None:
        of = f"({number(ends[0])} to {number(ends[1])})"
    else:
        of = f"({number(values.min())} to {number(values.max())}, n = {len(values)})"
        of = of if len(values) > 1 else ""
    note = "predicted; 95 % interval over neurons" if ends is not None else "predicted; too few "
    note += "" if ends is not None else "neurons for an interval"
    if "mei_over_best_gabor_low" in chosen:
        low = chosen["mei_over_best_gabor_low"].dropna()
        note += f"; clearly above 1 in {int((low > 1).sum())} of {len(low)}"
    return KeyNumber(number(values.median()), of, label, note)


def median_interval(values: ArrayLike) -> tuple[float, float] | None:
    """Distribution-free 95 % interval of a median, from the ranks of the values.

    The ends are the k-th lowest and the k-th highest value, with the highest k for which the
    binomial distribution leaves at most 2.5 % on either side (Hahn & Meeker 1991, Statistical
    Intervals, section 5.2).

    Parameters
    ----------
    values : array_like
        Without missing values.

    Returns
    -------
    tuple of float or None
        None for fewer than six values, of which there is no such interval.

    Examples
    --------
    >>> median_interval([5, 1, 4, 2, 3, 6])
    (1.0, 6.0)
    >>> median_interval(range(1, 21))
    (6.0, 15.0)
    >>> median_interval([1, 2, 3]) is None
    True
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=float))
    k = int(binom.ppf(0.025, len(ordered), 0.5)) if len(ordered) else 0
    if len(ordered) and binom.cdf(k, len(ordered), 0.5) <= 0.025:
        k += 1
    return (float(ordered[k - 1]), float(ordered[-k])) if k else None


def _tuning(data: SessionData, chosen: pd.DataFrame, whose: str) -> KeyNumber:
    label = "recorded tuning predicted"
    if not data.tuning:
        missing = "no stimuli with recorded tuning were shown"
        missing = "not compared yet" if data.provisional and data.has.conditions else missing
        return KeyNumber(_NONE, "", label, missing)
    table = read_csv(data.results.recorded_tuning)
    table = table[table["neuron_id"].astype(str).isin(chosen["neuron_id"].astype(str))]
    found = {curve: tuned_rows(table, curve) for curve in _CURVES}
    found = {curve: rows for curve, rows in found.items() if len(rows)}
    if not found:
        missing = _without(chosen, whose, "has significant recorded tuning")
        return KeyNumber(_NONE, "", label, missing)
    (curve, rows), *others = sorted(found.items(), key=lambda item: -len(item[1]))
    note = f"mean correlation, n = {len(rows)} {whose}"
    for other, more in others:
        note += (
            f"; {_CURVES[other].removesuffix(' tuning')} {number(more['cc_abs'].mean())} of "
            f"{number(more['cc_max'].mean())} (n = {len(more)})"
        )
    if any(own["learned"].any() for own in found.values()):
        note += "; models were fitted to some of these stimuli, so not all are predictions"
    return KeyNumber(
        number(rows["cc_abs"].mean()),
        f"of a ceiling of {number(rows['cc_max'].mean())}",
        f"recorded {_CURVES[curve]} predicted",
        note,
    )


@dataclass(frozen=True)
class Beyond:
    """MEI over best Gabor of a neuron, with its interval.

    ``at`` are the lower end, the ratio and the upper end on a logarithmic axis from 1, in per cent.
    """

    id: str
    trust: Trust | None
    value: float
    low: float
    high: float
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def doubted(self) -> bool:
        """Whether the MEI was judged, and is not trusted."""
        return is_doubted(self.trust)

    @property
    def text(self) -> str:
        """The ratio and its interval."""
        return f"{number(self.value)} ({number(self.low)} to {number(self.high)})"


def beyond_gabor(neurons: Iterable[Beyond]) -> list[Beyond]:
    """Neurons whose MEI drives the model more than any Gabor: lower end of the interval above 1.

    Trusted neurons come first, then those with the highest lower end.

    Examples
    --------
    >>> ratios = [Beyond("a", None, 1.1, 0.9, 1.3), Beyond("b", None, 1.2, 1.1, 1.21)]
    >>> [(one.id, one.at) for one in beyond_gabor(ratios)]
    [('b', (50.0, 95.6, 100.0))]
    """
    rows = [one for one in neurons if one.low > 1]
    rows.sort(key=lambda one: (one.doubted, -one.low))
    longest = math.log(max((one.high for one in rows), default=math.e))

    def place(value: float) -> float:
        return round(100 * math.log(value) / longest, 1)

    return [replace(one, at=(place(one.low), place(one.value), place(one.high))) for one in rows]
