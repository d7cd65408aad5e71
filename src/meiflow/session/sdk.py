"""The one door to AllenSDK.

allensdk 2.16.2 was written for NumPy 1; the names it still asks for are put back before
it is imported. Everything that needs AllenSDK goes through the functions here, so that no
other module pays for its import or sees the shim.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any


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


def open_session(nwbfile: Any, **quality: float) -> Any:
    """An AllenSDK ``EcephysSession`` on an NWB file that is already open.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    **quality : float
        AllenSDK's unit filters: amplitude_cutoff_maximum, presence_ratio_minimum,
        isi_violations_maximum.
    """
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
        from allensdk.brain_observatory.ecephys.ecephys_session_api import EcephysNwbSessionApi

        api = EcephysNwbSessionApi.from_nwbfile(
            nwbfile, external_channel_columns=lambda: _structures(nwbfile), **quality
        )
        return EcephysSession(api=api)


def _structures(nwbfile: Any) -> Any:
    """Channel table with the column that AllenSDK's project cache would add."""
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
