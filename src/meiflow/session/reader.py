"""Read an NWB file of extracellular recordings: one interface for all layouts.

For the files of the Allen Brain Observatory every table equals that of AllenSDK's
``EcephysSession``. Other files are read by the names of `meiflow.session.nwb_names`, and by
those in ``session.columns``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.columns import Columns
from meiflow.errors import MeiflowError
from meiflow.progress import note
from meiflow.session.behaviour import read_gaze, read_pupil, read_running
from meiflow.session.nwb_checks import check_ids
from meiflow.session.nwb_names import FILTERED, METRICS, first_of
from meiflow.session.optogenetics import read_light
from meiflow.session.peaks import areas_of, judged_good, peak_rows, probes_of_units
from meiflow.session.presentations import presentations_of, read_presentations
from meiflow.session.store import Node, Table, open_store

_ECEPHYS = "general/extracellular_ephys"
_NO_AREA = (None, "", "None")
_POSITIONS = {
    "probe_channel_number": ("probe_channel_number", "local_index", "channel"),
    "probe_vertical_position": ("probe_vertical_position", "rel_y"),
    "probe_horizontal_position": ("probe_horizontal_position", "rel_x"),
    "anterior_posterior_ccf_coordinate": ("x",),
    "dorsal_ventral_ccf_coordinate": ("y",),
    "left_right_ccf_coordinate": ("z",),
    "filtering": ("filtering",),
}


class SessionReader:
    """The tables of an open NWB file, each read when it is first used.

    Parameters
    ----------
    root : Node
        Root of the file; see `open_reader`.
    columns : Columns
        Names of columns, tables and stimuli in this file, where they differ.
    """

    def __init__(self, root: Node, columns: Columns = Columns()) -> None:  # noqa: B008
        self.root, self.path, self.columns = root, root.path, columns

    @cached_property
    def _units(self) -> Table:
        table = self.root.table("units")
        if table is None or not len(table):
            rest = "its stimuli and behaviour are all that can be read (meiflow session info)"
            if self.root.group("processing/ophys") is not None:
                rest = "it is a two-photon recording: meiflow convert makes tables of Allen's"
            raise MeiflowError(
                f"session.nwb: {self.path} contains no sorted units (the table units is missing or "
                f"empty); {rest}"
            )
        kind = table.attribute("neurodata_type")
        if kind != "Units":
            raise table.error(f"is of type {kind}, not Units")
        table.require_columns()
        check_ids(table)
        return table

    @cached_property
    def _electrodes(self) -> Table | None:
        table = self.root.table(f"{_ECEPHYS}/electrodes")
        if table is None or not len(table):
            return None
        table.require_columns()
        check_ids(table)
        return table

    @cached_property
    def probes(self) -> pd.DataFrame:
        """Probes by id: description, location, sampling rates and has_lfp_data."""
        rows = []
        home = self.root.group(_ECEPHYS)
        for name, group in home.groups() if home is not None else ():
            if group.attribute("neurodata_type") in (None, "DynamicTable", "ElectrodesTable"):
                continue
            device = group.group("device")
            row = {
                "id": group.attribute("probe_id"),
                "description": name,
                "location": group.attribute("location"),
                "sampling_rate": device.attribute("sampling_rate") if device else None,
                "lfp_sampling_rate": group.attribute("lfp_sampling_rate"),
                "has_lfp_data": group.attribute("has_lfp_data"),
            }
            rows.append(row)
        table = pd.DataFrame(rows, columns=["id", "description", "location", *_RATES])
        if table["id"].isna().any():  # other laboratories have no numbers
            table["id"] = np.arange(len(table))
        return table.set_index("id")

    @cached_property
    def channels(self) -> pd.DataFrame:
        """Channels by id: probe, positions, validity and structure."""
        table = self._electrodes
        if table is None:
            return pd.DataFrame(columns=["ecephys_structure_acronym", "valid_data", "probe_id"])
        found: dict[str, Any] = {}
        probe = table.column("probe_id")
        if probe is None:
            groups = table.column("group_name")
            numbers = {name: i for i, name in self.probes["description"].items()}
            probe = pd.Series([None] * len(table) if groups is None else groups).map(numbers)
        found["probe_id"] = np.asarray(probe)
        valid = table.column("valid_data")
        found["valid_data"] = np.ones(len(table), bool) if valid is None else valid.astype(bool)
        for name, names in _POSITIONS.items():
            theirs = first_of(names, table.columns)
            values = None if theirs is None else table.column(theirs)
            found[name] = np.full(len(table), np.nan) if values is None else values
        areas = areas_of(table, self.columns)
        whole = [None if a in _NO_AREA else a for a in areas]
        found["structure_acronym"] = [None if a is None else a.split("-")[0] for a in whole]
        found["ecephys_structure_acronym"] = whole
        return pd.DataFrame(found, index=pd.Index(table.ids, name="id"))

    @cached_property
    def all_units(self) -> pd.DataFrame:
        """Every unit with its metrics, channel and probe.

        The column `good` tells whether a unit has a good label, and a valid channel in a known
        structure.
        """
        table = self._units
        found: dict[str, Any] = {}
        for name, names in METRICS.items():
            theirs = first_of(names, table.columns, self.columns.units.get(name))
            values = None if theirs is None else table.column(theirs)
            if values is not None:
                found[name] = _numbers(values, name, table)
            elif name in FILTERED:
                found[name] = np.full(len(table), np.nan)
        units = pd.DataFrame(found, index=pd.Index(table.ids, name="unit_id"))
        rows = peak_rows(table, self._electrodes, self.columns)
        nowhere = (rows < 0).all()
        channels = self.channels.rename_axis("peak_channel_id").reset_index()
        here = channels.reindex(rows).set_index(units.index)
        if nowhere:
            areas = areas_of(table, self.columns, "unknown")
            here["ecephys_structure_acronym"] = [None if a in _NO_AREA else a for a in areas]
            here["structure_acronym"] = here["ecephys_structure_acronym"]
            here["valid_data"] = True
        units = pd.concat([units, here], axis=1)
        described = self.probes.rename(
            columns={"description": "probe_description"} | {c: f"probe_{c}" for c in _RATES}
        ).rename(columns={"probe_location": "location"})
        units = units.join(described, on="probe_id")
        if units["probe_description"].isna().all():
            units["probe_description"] = probes_of_units(table, self.columns)
        known = units["ecephys_structure_acronym"].notna()
        valid = units.pop("valid_data").eq(True)
        units["good"] = judged_good(table, self.columns) & known & valid
        return units

    @cached_property
    def units(self) -> pd.DataFrame:
        """Units with a good label, and a valid channel in a known structure.

        Unlike AllenSDK's table it is not filtered by metrics, which
        `meiflow.session.unit_filters` does.
        """
        units = self.all_units[self.all_units["good"]].drop(columns="good")
        units = _as_integers(units, ("peak_channel_id", "probe_id", *_INTEGERS))
        order = ["probe_description", "probe_vertical_position", "probe_horizontal_position"]
        return units.sort_values([c for c in order if c in units])

    def spike_times(self, unit_ids: Iterable[int]) -> list[NDArray[np.float64]]:
        """Sorted spike times of these units only, in seconds.

        Raises
        ------
        MeiflowError
            If a time is not finite, or if the index does not match the spike times.
        """
        ids = list(unit_ids)
        row = {unit: i for i, unit in enumerate(self._units.ids.tolist())}
        if self.root.data("units/spike_times") is None:
            raise self._units.error(
                "has no column spike_times, so that nothing can be counted; give counts as "
                "session.source tables"
            )
        trains = self._units.pieces("spike_times", (row[unit] for unit in ids))
        for unit, train in zip(ids, trains, strict=True):
            if train.dtype.kind not in "fiu" or not np.isfinite(train).all():
                raise MeiflowError(
                    f"session.nwb: unit {unit} in {self.path} has spike times that are not finite "
                    "numbers"
                )
        return [np.sort(train) for train in trains]

    @cached_property
    def invalid_times(self) -> pd.DataFrame:
        """Intervals in which data are invalid: start_time, stop_time and tags."""
        table = self.root.table("intervals/invalid_times")
        if table is None or not len(table):
            return pd.DataFrame({"start_time": [], "stop_time": [], "tags": []})
        found: dict[str, Any] = {}
        for name in ("start_time", "stop_time"):
            found[name] = table.column(name)
            if found[name] is None:
                raise table.error(f"has no {name}")
        if table.is_ragged("tags"):
            found["tags"] = [piece.tolist() for piece in table.pieces("tags", range(len(table)))]
        else:
            note("invalid_times have no tags; they are taken to apply to all probes")
            found["tags"] = [["all_probes"]] * len(table)
        return pd.DataFrame(found, index=pd.Index(table.ids, name="id"))

    @cached_property
    def presentations(self) -> pd.DataFrame:
        """Presentations of all stimuli; see `meiflow.session.presentations`."""
        failed = self.invalid_times["tags"].map(lambda tags: "stimulus" in tags).astype(bool)
        return read_presentations(self.root, self.columns, self.invalid_times[failed])

    def stimulus(self, name: str) -> pd.DataFrame:
        """Presentations of one stimulus, with the columns that have a value in any of them."""
        return presentations_of(self.presentations, name)

    @property
    def stimulus_names(self) -> list[str]:
        """Stimuli in the order in which they were first shown."""
        return [str(name) for name in self.presentations["stimulus_name"].unique()]

    @cached_property
    def running(self) -> pd.DataFrame | None:
        """Running speed: start_time, end_time, velocity (cm/s); None if it was not recorded."""
        return read_running(self.root)

    @cached_property
    def pupil(self) -> pd.DataFrame | None:
        """Ellipses of pupil, eye and corneal reflection by time; None without eye tracking."""
        return read_pupil(self.root)

    @cached_property
    def gaze(self) -> pd.DataFrame | None:
        """Position of gaze on the screen by time; None if it was not recorded."""
        return read_gaze(self.root)

    @cached_property
    def light(self) -> pd.DataFrame | None:
        """Epochs of optogenetic stimulation; None if there were none."""
        return read_light(self.root)

    @property
    def genotype(self) -> str | None:
        """Genotype of the animal; None if the file does not name it."""
        return self.root.text("general/subject/genotype") or None


_RATES = ("sampling_rate", "lfp_sampling_rate", "has_lfp_data")
_INTEGERS = ("probe_channel_number", "probe_vertical_position", "probe_horizontal_position")


def _numbers(values: NDArray, name: str, table: Table) -> NDArray:
    """A metric as numbers; a column of text is refused."""
    if values.dtype.kind in "biuf":
        return values
    numbers = pd.to_numeric(pd.Series(values).replace({"": None, "nan": None}), errors="coerce")
    wrong = numbers.isna() & pd.Series(values).notna() & ~pd.Series(values).isin(["", "nan"])
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise table.error(f"has {name} {str(values[row])[:40]!r} in row {row}; expected a number")
    return numbers.to_numpy(float)


def _as_integers(units: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Whole numbers, which units without a channel had turned into floats."""
    whole = {}
    for name in names:
        if name in units and units[name].notna().all():
            values = pd.to_numeric(units[name])
            if (values == values.round()).all():
                whole[name] = "int64"
    return units.astype(whole)


@contextmanager
def open_reader(path: str | Path, columns: Columns = Columns()) -> Iterator[SessionReader]:  # noqa: B008
    """Open a session file of any layout.

    Parameters
    ----------
    path : path
        NWB file (HDF5) or NWB-Zarr folder.
    columns : Columns
        Names of columns, tables and stimuli in this file, where they differ.

    Raises
    ------
    MeiflowError
        If the file is not a readable NWB 2 file.
    """
    with open_store(Path(path)) as root:
        yield SessionReader(root, columns)
