"""Where units are: channel, area and probe, and which of them are labelled good."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.columns import Columns
from meiflow.progress import note
from meiflow.session.nwb_names import AREA, EXTREMUM, LABEL, PEAK, PROBE, VERDICTS, first_of
from meiflow.session.store import Table


def peak_rows(units: Table, electrodes: Table | None, columns: Columns) -> NDArray[np.int64]:
    """Row of each unit's peak channel in the table of electrodes, -1 where it is not known.

    The channel is given by its id (``peak_channel_id``), or as one of the ``electrodes`` of the
    unit, which ``extremum_channel_index`` chooses. Without a choice, several electrodes count only
    if they are all in the same area.

    Raises
    ------
    MeiflowError
        If units refer to electrodes that are not there.
    """
    nowhere = np.full(len(units), -1)
    peak = first_of(PEAK, units.columns, columns.units.get("peak_channel_id"))
    if electrodes is None:
        if peak is None and "electrodes" not in units.columns:
            return nowhere
        raise units.error(
            "refer to electrodes, but the file has no table of electrodes; without it the areas of "
            "units are unknown"
        )
    ids = None if peak is None else units.column(peak)
    if ids is not None:
        rows = pd.Index(electrodes.ids).get_indexer(pd.Index(ids)).astype(np.int64)
        if (rows < 0).all():
            raise units.error(
                f"have a {peak} that is not among the {len(electrodes)} electrodes for any unit"
            )
        return rows
    chosen = first_of(EXTREMUM, units.columns)
    number = None if chosen is None else units.column(chosen)
    if "electrodes" in units.columns and units.is_ragged("electrodes"):
        own = units.pieces("electrodes", range(len(units)))
        areas = areas_of(electrodes, columns)
        rows = [
            _one_of(electrode.astype(int), None if number is None else number[i], areas)
            for i, electrode in enumerate(own)
        ]
        several = sum(row < 0 for row in rows)
        if several:
            note(f"units: {several} of {len(rows)} have electrodes in several areas and no peak")
        return np.array(rows, np.int64)
    single = units.column("electrodes")
    if single is not None:
        return single.astype(np.int64)
    if number is None:
        return nowhere
    probe = first_of(PROBE, units.columns, columns.units.get("probe"))
    names = None if probe is None else units.column(probe)
    groups = electrodes.column("group_name")
    if names is None or groups is None:
        if groups is not None and len(set(groups.tolist())) > 1:
            return nowhere
        return np.where(number < len(electrodes), number, -1).astype(np.int64)
    of_probe = {name: np.flatnonzero(groups == name) for name in set(groups.tolist())}
    empty = np.empty(0, np.int64)
    found = [
        _one_of(of_probe.get(name, empty), n, None) for name, n in zip(names, number, strict=True)
    ]
    return np.array(found, np.int64)


def _one_of(rows: NDArray, number: float | None, areas: NDArray | None) -> int:
    if number is not None:
        return int(rows[int(number)]) if 0 <= number < len(rows) else -1
    one = len(rows) == 1 or (areas is not None and len(set(areas[rows])) == 1)
    return int(rows[0]) if one else -1


def areas_of(table: Table, columns: Columns, otherwise: str = "") -> NDArray:
    """Area of every unit or electrode, `otherwise` if the table has no column of areas.

    Raises
    ------
    MeiflowError
        If areas are not text.
    """
    names = AREA if table.name == "units" else ("location", *AREA)
    own = columns.units.get("area")
    name = first_of(names, table.columns, own if own in table.columns else None)
    values = None if name is None else table.column(name)
    if values is None:
        return np.full(len(table), otherwise, dtype=object)
    if values.dtype.kind != "O":
        raise table.error(f"has a {name} that is not text; expected structure acronyms")
    return values


def probes_of_units(table: Table, columns: Columns) -> NDArray:
    """Name of the probe of every unit, if the units give it."""
    name = first_of(PROBE, table.columns, columns.units.get("probe"))
    values = None if name is None else table.column(name)
    return np.full(len(table), "unknown", dtype=object) if values is None else values.astype(str)


def judged_good(table: Table, columns: Columns) -> NDArray[np.bool_]:
    """Whether each unit has a good label.

    ``quality`` must be ``good``. Files without it have ``default_qc``, which must pass, and
    ``decoder_label``, which must not be ``noise``; without any of these, all units are good.
    """
    label = first_of(LABEL, table.columns, columns.units.get("quality"))
    values = None if label is None else table.column(label)
    if values is not None:
        return values.astype(str) == "good"
    good = np.ones(len(table), bool)
    judged = False
    for name, bad in VERDICTS.items():
        values = table.column(name)
        if values is not None:
            judged = True
            good &= ~np.isin(np.char.lower(values.astype(str)), bad)
    if not judged:
        note("units have no labels (quality, default_qc or decoder_label); all count as good")
    return good
