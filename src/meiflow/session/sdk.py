"""The only module that imports AllenSDK.

AllenSDK 2.16.2 was written for NumPy 1; the NumPy names that it needs are restored before
it is imported. All other modules use AllenSDK through the functions here, so that none of them
pays for its import or depends on the shim.
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
