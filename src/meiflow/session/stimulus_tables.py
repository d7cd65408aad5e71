"""Stimulus tables of a session file: numbers in place of text, and blocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError

# How files write that a presentation does not have a parameter.
_NOTHING = ("", "null", "n/a", "nan", "none")


def parameters(
    table: pd.DataFrame, columns: list[str], name: str, origin: str
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Numeric columns of a stimulus table, and which presentations have a value in all of them.

    Parameters
    ----------
    table : DataFrame
        Presentations of one stimulus; numbers may be text.
    columns : list of str
    name, origin : str
        Names of the stimulus and of the file, used in messages.

    Returns
    -------
    numbers : DataFrame
    complete : ndarray of bool, shape (presentations,)
        False for blanks, which have empty cells, NaN or ``null``.

    Raises
    ------
    MeiflowError
        If a column is missing, a value is other text, or no presentation is complete.

    Examples
    --------
    >>> table = pd.DataFrame({"orientation": ["30.0", "null"]})
    >>> numbers, complete = parameters(table, ["orientation"], "gabors", "a.nwb")
    >>> numbers["orientation"].tolist(), complete.tolist()
    ([30.0, nan], [True, False])
    >>> table = pd.DataFrame({"frame": [0, "im065_r"]})
    >>> try:
    ...     parameters(table, ["frame"], "natural_scenes", "a.nwb")
    ... except MeiflowError as error:
    ...     print(error)
    session.nwb: presentation 1 of natural_scenes in a.nwb has frame 'im065_r'; expected a number
    """
    lacks = [c for c in columns if c not in table]
    if lacks:
        raise MeiflowError(
            f"session.nwb: {name} in {origin} has no value of {', '.join(lacks)} in any "
            "presentation, or no such column; name its column in session.columns.presentations"
        )
    numbers = pd.DataFrame(index=table.index)
    for column in columns:
        values = table[column].map(_text_of_bytes)
        numeric = pd.to_numeric(values, errors="coerce").astype(float)
        empty = values.isna() | values.astype(str).str.strip().str.lower().isin(_NOTHING)
        wrong = (numeric.isna() & ~empty).to_numpy()
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise MeiflowError(
                f"session.nwb: presentation {table.index[row]} of {name} in {origin} has {column} "
                f"{str(values.iloc[row])[:60]!r}; expected a number"
            )
        numbers[column] = numeric
    complete = numbers.notna().all(axis=1).to_numpy()
    if len(numbers) and not complete.any():
        empty_columns = [c for c in columns if numbers[c].isna().all()] or columns
        raise MeiflowError(
            f"session.nwb: none of the {len(numbers)} presentations of {name} in {origin} has "
            f"a value of {', '.join(empty_columns)}"
        )
    return numbers, complete


def _text_of_bytes(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def runs(names: ArrayLike) -> NDArray[np.int64]:
    """Number of the run of consecutive presentations of the same stimulus.

    Parameters
    ----------
    names : array_like of str, shape (presentations,)
        Stimuli in the order in which they were shown.

    Examples
    --------
    >>> runs(["scenes", "scenes", "gabors", "scenes"])
    array([0, 0, 1, 2])
    """
    shown = np.asarray(names, dtype=object)
    return np.cumsum(np.append(False, shown[1:] != shown[:-1]))[: len(shown)].astype(np.int64)


def blocks(recorded: pd.Series | None, run: NDArray[np.int64]) -> NDArray[np.float64]:
    """Block of every presentation, completed where the file does not give it.

    Parameters
    ----------
    recorded : Series or None
        ``stimulus_block`` in the file, NaN or text where it is unknown.
    run : ndarray of int, shape (presentations,)
        Output of `runs`. A presentation without a block belongs to that of its run; a run without
        any block becomes one.

    Examples
    --------
    >>> blocks(pd.Series([2.0, None, None]), np.array([0, 0, 3]))
    array([2., 2., 3.])
    """
    if recorded is None:
        return run.astype(float)
    given = pd.to_numeric(recorded, errors="coerce").astype(float).reset_index(drop=True)
    of_run = given.groupby(run).transform("first")
    if of_run.isna().any() and given.notna().any():
        new = given.max() + 1 + run - run[of_run.isna()].min()
    else:
        new = run
    return given.fillna(of_run).fillna(pd.Series(new, dtype=float)).to_numpy()
