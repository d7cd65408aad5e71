"""Which stimuli an NWB file contains, and the tables that hold their presentations."""

from __future__ import annotations

import re
from collections.abc import Mapping

from meiflow.config.columns import Columns
from meiflow.session.nwb_names import NUMERALS, PRESENTATIONS, STIMULI, first_of
from meiflow.session.store import Node, Table

SUFFIX = "_presentations"
_NOT_STIMULI = ("invalid_times", "epochs", "trials")
_MOVIE = re.compile(r"natural_movie_(\d|" + "|".join(NUMERALS) + ")")


def stimulus_tables(root: Node) -> dict[str, Table]:
    """Tables of presentations by name, in alphabetical order.

    In the layout of the Allen Brain Observatory their names end in ``_presentations``. If there are
    none, all other tables of intervals are used, and the trials if there is nothing else.
    """
    intervals = root.group("intervals")
    if intervals is None:
        return {}
    found = {name: intervals.table(name) for name, _ in intervals.groups()}
    tables = {name: table for name, table in found.items() if table is not None}
    for chosen in (
        [name for name in tables if name.endswith(SUFFIX)],
        [name for name in tables if name not in _NOT_STIMULI],
        [name for name in tables if name == "trials"],
    ):
        if chosen:
            return {name: tables[name] for name in chosen}
    return {}


def standard_name(name: str, own: Mapping[str, str]) -> str:
    """The name that meiflow uses for a stimulus, which is AllenSDK's.

    Parameters
    ----------
    name : str
        Name in the file.
    own : mapping of str to str
        Names given in ``session.columns.stimuli``.

    Examples
    --------
    >>> standard_name("natural_movie_1_more_repeats", {})
    'natural_movie_one_more_repeats'
    >>> standard_name("gabor_20_deg_250ms", {}), standard_name("RF", {"gabors": "RF"})
    ('gabors', 'gabors')
    """
    for theirs, given in own.items():
        if name == given:
            return theirs
    if _MOVIE.search(name):
        name = re.sub(r"[1-9](?!\d)", lambda digit: NUMERALS[int(digit[0]) - 1], name)
    return STIMULI.get(name, name)


def names_shown(root: Node, columns: Columns) -> set[str]:
    """Stimuli of which a file contains presentations, by their standard names."""
    found: set[str] = set()
    for name, table in stimulus_tables(root).items():
        own = columns.presentations.get("stimulus_name")
        column = first_of(PRESENTATIONS["stimulus_name"], table.columns, own)
        values = None if column is None else table.column(column)
        shown = [name.removesuffix(SUFFIX)] if values is None else map(str, set(values.tolist()))
        found |= {standard_name(text, columns.stimuli) for text in shown}
    return found
