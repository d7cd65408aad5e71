"""Columns of numbers in the tables of a user, checked row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError

_MOST = 1_000_000  # limit for spikes per trial, responses and image ids


def whole_numbers(
    table: pd.DataFrame, column: str, origin: str, lowest: int = 0
) -> NDArray[np.int64]:
    """Values of a column, which must be whole numbers from `lowest` to a million."""
    numbers = pd.to_numeric(table[column], errors="coerce")
    wrong = numbers.isna() | ~np.isfinite(numbers) | (numbers != numbers.round())
    wrong |= (numbers < lowest) | (numbers > _MOST)
    if wrong.any():
        value = str(table[column].iloc[int(np.flatnonzero(wrong)[0])])
        raise MeiflowError(
            f"{origin}: {column} is {value[:60]!r} in row {line_of(table, wrong)}; "
            f"expected a whole number from {lowest} to {_MOST}{_hint(column)}"
        )
    return numbers.astype(np.int64).to_numpy()


def _hint(column: str) -> str:
    if column != "spike_count":
        return ""
    return " (for dF/F and other real numbers: session.response: real, and a column response)"


def real_numbers(table: pd.DataFrame, column: str, origin: str) -> NDArray[np.float64]:
    """Values of a column, which must be finite numbers."""
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    wrong = ~(np.abs(numbers) <= _MOST)
    if wrong.any():
        value = str(table[column].iloc[int(np.flatnonzero(wrong)[0])])
        raise MeiflowError(
            f"{origin}: {column} is {value[:60]!r} in row {line_of(table, wrong)}; expected a "
            f"number from -{_MOST} to {_MOST}"
        )
    return numbers


def line_of(table: pd.DataFrame, wrong: ArrayLike) -> int:
    """Line number in the file of the first row that is wrong."""
    return int(table.index[int(np.flatnonzero(wrong)[0])]) + 2
