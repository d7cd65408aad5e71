"""The only module that imports AllenSDK.

AllenSDK 2.16.2 was written for NumPy 1; the NumPy names that it needs are restored before
it is imported. All other modules use AllenSDK through the functions here, so that none of them
pays for its import or depends on the shim.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from functools import cache
from inspect import signature
from types import SimpleNamespace
from typing import Any

from meiflow.progress import note

# AllenSDK requires these to build a unit.
UNIT_COLUMNS_NEEDED = (
    "peak_channel_id",
    "local_index",
    "cluster_id",
    "quality",
    "firing_rate",
    "isi_violations",
    "presence_ratio",
    "amplitude_cutoff",
)
FILTERED = ("isi_violations", "amplitude_cutoff", "presence_ratio")


def _restore_numpy_names() -> None:
    import numpy as np

    names = {
        "VisibleDeprecationWarning": np.exceptions.VisibleDeprecationWarning,
        "NaN": np.nan,
        "NAN": np.nan,
        "Inf": np.inf,
        "in1d": np.isin,
        "product": np.prod,
        "string_": np.bytes_,
        "float_": np.float64,
    }
    for name, value in names.items():
        if name not in np.__dict__:
            setattr(np, name, value)


def ecephys_nwb_classes() -> Any:
    """AllenSDK's NWB extension module (probe, electrode group and specimen classes)."""
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys import nwb
    return nwb


@cache
def _session_api_class() -> Any:
    """AllenSDK's session API on an open file, which reads only the requested data.

    The original loads all spikes, amplitudes and waveforms of all units once per probe for any
    request about a unit: 5 GB and half a minute for a released session.
    """
    from allensdk.brain_observatory.ecephys._channels import Channels
    from allensdk.brain_observatory.ecephys._probe import Probe
    from allensdk.brain_observatory.ecephys._unit import Unit
    from allensdk.brain_observatory.ecephys._units import Units
    from allensdk.brain_observatory.ecephys.ecephys_session_api import EcephysNwbSessionApi
    from allensdk.brain_observatory.ecephys.probes import Probes

    ragged = {"spike_times": None, "spike_amplitudes": None, "mean_waveforms": None}
    metrics = set(signature(Unit).parameters) - set(ragged)

    class LeanSessionApi(EcephysNwbSessionApi):
        _nwbfile: Any

        def get_stimulus_presentations(self) -> Any:
            # AllenSDK would read the trials of a behavioural task, of which it requires the
            # parameters
            whole = self._nwbfile
            tables = {k: SimpleNamespace(columns=_known(v)) for k, v in whole.intervals.items()}
            self._nwbfile = SimpleNamespace(intervals=tables, trials=None)
            try:
                return super().get_stimulus_presentations()
            finally:
                self._nwbfile = whole

        def get_invalid_times(self) -> Any:
            table = super().get_invalid_times()
            if len(table) and "tags" not in table:
                note("invalid_times have no tags; they are taken to apply to all probes")
                table["tags"] = [["all_probes"]] * len(table)
            return table

        def get_units(self) -> Any:
            table = self.nwbfile.units
            known = [c for c in table.colnames if c in metrics]
            rows = table.to_dataframe(exclude=set(table.colnames) - set(known)).reset_index()
            # AllenSDK would exclude units without a value, whatever the limits
            values = rows.set_index("id")[list(FILTERED)]
            rows[list(FILTERED)] = 0.0
            probes = []
            for group in self.nwbfile.electrode_groups.values():
                channels = Channels.from_nwb(nwbfile=self.nwbfile, probe_id=group.probe_id)
                here = rows["peak_channel_id"].isin([c.id for c in channels.value])
                units = [
                    Unit(**row, **ragged, filter_and_sort_spikes=False)
                    for row in rows[here].to_dict(orient="records")
                ]
                if units:  # AllenSDK fails on a probe without units
                    probes.append(Probe(group.probe_id, group.name, channels, Units(units)))
            valid = Probes(probes).get_units_table(
                filter_by_validity=self.filter_by_validity,
                filter_out_of_brain_units=self.filter_out_of_brain_units,
            )
            return valid.assign(**values.reindex(valid.index))

        def spike_times_of(self, unit_ids: Iterable[int]) -> list[Any]:
            """Sorted spike times of these units only, in seconds."""
            import numpy as np

            table = self.nwbfile.units
            row = {unit: i for i, unit in enumerate(table.id[:])}
            return [np.sort(table.get_unit_spike_times(row[unit])) for unit in unit_ids]

    return LeanSessionApi


def _known(table: Any) -> list[Any]:
    """Columns of a stimulus table without colours that AllenSDK cannot read, such as names."""
    return [c for c in table.columns if c.name != "color" or all(map(_is_literal, c.data[:]))]


def _is_literal(value: Any) -> bool:
    text = value.decode() if isinstance(value, bytes) else str(value)
    if text in ("", "N/A", "nan"):
        return True
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def open_session(nwbfile: Any) -> Any:
    """AllenSDK ``EcephysSession`` for an NWB file that is already open.

    Its units are not filtered by their metrics. Its ``api`` has an additional method
    ``spike_times_of(unit_ids)``, which reads only the spike trains of those units.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    """
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        api = _session_api_class().from_nwbfile(
            nwbfile, external_channel_columns=lambda: _structures(nwbfile)
        )
        return EcephysSession(api=api)


def _structures(nwbfile: Any) -> Any:
    """Channel table with the column added by AllenSDK's project cache."""
    import pandas as pd

    electrodes = nwbfile.electrodes
    acronyms = [None if a in ("", "None") else a for a in electrodes["location"][:]]
    return pd.DataFrame({"ecephys_structure_acronym": acronyms}, index=electrodes.id[:])


def ecephys_project() -> Any:
    """AllenSDK's project classes: EcephysProjectCache, EcephysProjectWarehouseApi, RmaEngine."""
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys import ecephys_project_api, ecephys_project_cache
        from allensdk.brain_observatory.ecephys.ecephys_project_api import rma_engine
    return SimpleNamespace(
        EcephysProjectCache=ecephys_project_cache.EcephysProjectCache,
        EcephysProjectWarehouseApi=ecephys_project_api.EcephysProjectWarehouseApi,
        RmaEngine=rma_engine.RmaEngine,
    )
