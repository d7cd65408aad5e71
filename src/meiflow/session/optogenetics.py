"""Epochs of optogenetic stimulation in an NWB file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.progress import note
from meiflow.session.presentations import IGNORED
from meiflow.session.store import Node

_TABLE = "processing/optotagging/optogenetic_stimulation"


def read_light(root: Node) -> pd.DataFrame | None:
    """Epochs in which light was delivered to the brain; None if there are none.

    Parameters
    ----------
    root : Node

    Returns
    -------
    DataFrame or None
        start_time, stop_time and duration (seconds), and what else the table has: in the files of
        the Allen Brain Observatory ``condition``, ``level`` (volts to the light source) and
        ``stimulus_name``. If one of stop_time and duration is missing, it follows from the other.
    """
    table = root.table(_TABLE)
    if table is None or not len(table):
        return None
    columns = ((name, table.column(name)) for name in table.columns if name not in IGNORED)
    found = {name: values for name, values in columns if values is not None}
    epochs = pd.DataFrame(found, index=pd.Index(table.ids, name="id"))
    for name in ("start_time", "stop_time", "duration"):
        if name in epochs:
            epochs[name] = pd.to_numeric(epochs[name], errors="coerce")
    if "duration" not in epochs and {"start_time", "stop_time"} <= set(epochs):
        epochs["duration"] = epochs["stop_time"] - epochs["start_time"]
    if "stop_time" not in epochs and {"start_time", "duration"} <= set(epochs):
        epochs["stop_time"] = epochs["start_time"] + epochs["duration"]
    missing = [c for c in ("start_time", "stop_time", "duration") if c not in epochs]
    if missing:
        note(f"{_TABLE} has no {' and no '.join(missing)}; no unit is tested for optotagging")
        return None
    return epochs[np.isfinite(epochs[["start_time", "stop_time", "duration"]]).all(axis=1)]
