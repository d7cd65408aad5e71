"""The three questions of somebody who sees a report for the first time, answered in a line each."""

from __future__ import annotations

import pandas as pd

from meiflow.report.columns import number
from meiflow.report.session_data import SessionData
from meiflow.report.trust import trusted_rows


def brief(data: SessionData) -> list[tuple[str, str]]:
    """Whom to believe, what they want, and what no Gabor explains: question and answer.

    Parameters
    ----------
    data : SessionData
    """
    return answers(data.summary, data.provisional)


def answers(summary: pd.DataFrame, provisional: bool = False) -> list[tuple[str, str]]:
    """The same from summary.csv.

    Examples
    --------
    >>> rows = {"neuron_id": [7, 8], "trusted": [True, False]}
    >>> rows |= {"mei_peak_frequency_cpd": [0.05, 0.1]}
    >>> rows |= {"mei_size_deg": [20.0, 9.0], "mei_over_best_gabor_low": [1.1, 2.0]}
    >>> for question, answer in answers(pd.DataFrame(rows)):
    ...     print(question, answer)
    Whom to believe? 1 of 2 neurons, marked ✓: 7.
    What do they want? Their most exciting inputs (MEIs): in the median 0.050 cycles/deg, 20° wide.
    What does no Gabor explain? 1 of these 1, where the MEI drives the model more than any Gabor: 7.
    """
    trusted = trusted_rows(summary)
    chosen = summary if trusted is None else summary[trusted]
    if trusted is None:
        believed = (
            f"Not judged{' yet' if provisional else ''}; below are all {len(summary)} neurons."
        )
    elif len(chosen):
        believed = f"{len(chosen)} of {len(summary)} neurons, marked ✓: {_named(chosen)}."
    else:
        believed = f"None of the {len(summary)} neurons."
    wanted = explained = "Not known, because no neuron is trusted."
    if len(chosen):
        wanted = (
            "Their most exciting inputs (MEIs): in the median "
            f"{number(chosen['mei_peak_frequency_cpd'].median(), 3)} cycles/deg, "
            f"{number(chosen['mei_size_deg'].median(), 0)}° wide."
        )
        explained = _beyond(chosen)
    return [
        ("Whom to believe?", believed),
        ("What do they want?", wanted),
        ("What does no Gabor explain?", explained),
    ]


def _named(neurons: pd.DataFrame, most: int = 6) -> str:
    """The first ids, and how many more there are."""
    ids = neurons["neuron_id"].astype(str).tolist()
    more = len(ids) - most
    return ", ".join(ids[:most]) + (f" and {more} more" if more > 0 else "")


def _beyond(chosen: pd.DataFrame) -> str:
    """In which neurons the interval of MEI over best Gabor is above 1."""
    low = "mei_over_best_gabor_low"
    known = chosen.dropna(subset=low) if low in chosen else chosen.iloc[:0]
    if not len(known):
        return "Not known, because the ratios have no intervals."
    better = known[known[low] > 1]
    if not len(better):
        return (
            f"Nothing in these {len(known)}: the best Gabor may drive the model as much as the MEI."
        )
    return (
        f"{len(better)} of these {len(known)}, where the MEI drives the model more than any Gabor: "
        f"{_named(better)}."
    )
