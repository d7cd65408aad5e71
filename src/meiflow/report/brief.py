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
    >>> rows = {"trusted": [True, False], "mei_peak_frequency_cpd": [0.05, 0.1]}
    >>> rows |= {"mei_size_deg": [20.0, 9.0], "mei_over_best_gabor_low": [1.1, 2.0]}
    >>> for question, answer in answers(pd.DataFrame(rows)):
    ...     print(question, answer)
    Whom to believe? 1 of 2 neurons, marked ✓.
    What do they want? Their most exciting inputs (MEIs): in the median 0.050 cycles/deg, 20° wide.
    What does no Gabor explain? 1 of these 1: the MEI drives the model more than any Gabor.
    """
    trusted = trusted_rows(summary)
    chosen = summary if trusted is None else summary[trusted]
    if trusted is None:
        believed = (
            f"Not judged{' yet' if provisional else ''}; below are all {len(summary)} neurons."
        )
    elif len(chosen):
        believed = f"{len(chosen)} of {len(summary)} neurons, marked ✓."
    else:
        believed = f"None of the {len(summary)} neurons."
    wanted = explained = "Not known, because no neuron is trusted."
    if len(chosen):
        wanted = (
            "Their most exciting inputs (MEIs): in the median "
            f"{number(chosen['mei_peak_frequency_cpd'].median(), 3)} cycles/deg, "
            f"{number(chosen['mei_size_deg'].median(), 0)}° wide."
        )
        explained = _beyond(chosen.get("mei_over_best_gabor_low", pd.Series(dtype=float)).dropna())
    return [
        ("Whom to believe?", believed),
        ("What do they want?", wanted),
        ("What does no Gabor explain?", explained),
    ]


def _beyond(low: pd.Series) -> str:
    """In how many neurons the interval of MEI over best Gabor is above 1, from its lower ends."""
    if not len(low):
        return "Not known, because the ratios have no intervals."
    better = int((low > 1).sum())
    if not better:
        return (
            f"Nothing in these {len(low)}: the best Gabor may drive the model as much as the MEI."
        )
    return f"{better} of these {len(low)}: the MEI drives the model more than any Gabor."
