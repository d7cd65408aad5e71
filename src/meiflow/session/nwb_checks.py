"""Checks of a session file beyond those of pynwb and AllenSDK."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.io.paths import path_error


class UnavailableError(MeiflowError):
    """A session file that cannot be opened now, although it may be whole."""


def unreadable(path: Path, kind: str, reason: str) -> MeiflowError:
    """The error for a session file that cannot be opened, with what can help.

    Examples
    --------
    >>> str(unreadable(Path("a.nwb"), "NWB", "file is already open for write"))[:63]
    'session.nwb: a.nwb is open for writing in another program, or w'
    """
    text = " ".join(reason.split())
    lower, name = text.lower(), f"session.nwb: {path}"
    if "already open for" in lower:
        return UnavailableError(
            f"{name} is open for writing in another program, or was when that program ended "
            f"without closing it; close it there, or clear the mark with h5clear -s {path}"
        )
    if "unable to lock file" in lower and "errno = 11" in lower:
        return UnavailableError(
            f"{name} is open for writing in another program; close it there, and run again"
        )
    if "unable to lock file" in lower:
        return UnavailableError(
            f"{name} is on a file system without locks ({text[:200]}); set the environment "
            "variable HDF5_USE_FILE_LOCKING=FALSE, or copy the file to another disk"
        )
    for sign, advice in _OTHER_REASONS.items():
        if sign in lower:
            return UnavailableError(f"{name} cannot be read ({sign}); {advice}")
    return MeiflowError(
        f"{name} is not a readable {kind} file ({text[:200]}); if it is damaged, download it "
        "again or give another file"
    )


_OTHER_REASONS = {
    "permission denied": "change its permissions",
    "too many open files": "close some, or raise the limit of the shell (ulimit -n)",
    "input/output error": "the disk or the network may have failed; run again",
    "stale file handle": "the network file system has changed; run again",
    "cannot allocate memory": "give the job more memory",
}


def require_self_contained(path: Path) -> None:
    """Check that a file is HDF5 and does not refer to other files.

    Any reader would follow links to other files, external data and virtual datasets; Allen sessions
    contain none.

    Raises
    ------
    MeiflowError
        With the name of the object in the file.
    """
    import h5py

    fault = path_error(path)
    if fault is not None:
        raise MeiflowError(f"session.nwb: {path} {fault}")
    foreign: list[str] = []

    def look(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            foreign.append(f"{name} in {link.filename}")
        elif isinstance(link, h5py.HardLink):
            thing = file[name]
            if isinstance(thing, h5py.Dataset):
                away = [str(source[0]) for source in thing.external or ()]
                away += [s.file_name for s in thing.virtual_sources()] if thing.is_virtual else []
                if away:
                    foreign.append(f"{name} in {shorten(away, 2)}")

    try:
        with h5py.File(path, "r") as file:
            file.visititems_links(look)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise unreadable(path, "NWB (HDF5)", str(error)) from None
    if foreign:
        raise MeiflowError(
            f"session.nwb: {path} refers to data in other files ({shorten(foreign, 3)}), which are "
            "not read; write everything into one file"
        )


def check_ids(nwbfile: Any, path: Path) -> None:
    """Check that units and channels have unique, non-negative integer ids.

    Raises
    ------
    MeiflowError
        If an id is invalid, or if a column of units differs in length from the ids.
    """
    for table, name in ((nwbfile.units, "units"), (nwbfile.electrodes, "electrodes")):
        ids = np.asarray(table.id[:])
        if ids.dtype.kind not in "iu" or (ids < 0).any():
            raise MeiflowError(
                f"session.nwb: {name} in {path} have ids that are not non-negative whole numbers"
            )
        if len(set(ids.tolist())) < len(ids):
            raise MeiflowError(f"session.nwb: {name} in {path} have duplicate ids")
        for column in table.colnames:
            values = len(table[column])
            if values != len(ids):
                raise MeiflowError(
                    f"session.nwb: {path} has {len(ids)} {name} but {values} values of {column}"
                )


def check_presentations(shown: pd.DataFrame, name: str, path: Path) -> None:
    """Check that presentations of a stimulus have a duration and do not overlap.

    Parameters
    ----------
    shown : DataFrame
        Presentations with start_time and stop_time, in any order.
    name : str
        Name of the stimulus, used in messages.

    Raises
    ------
    MeiflowError
        If one has no duration, or extends beyond the middle of another.
    """
    where = f"of {name} in {path.name}"
    times = shown[["start_time", "stop_time"]]
    wrong = ~np.isfinite(times).all(axis=1) | (times["stop_time"] <= times["start_time"])
    if wrong.any():
        first = times.index[wrong][0]
        raise MeiflowError(
            f"session.nwb: presentation {first} {where} starts at "
            f"{times.loc[first, 'start_time']:g} s and ends at {times.loc[first, 'stop_time']:g} "
            "s; it must start before it ends"
        )
    times = times.sort_values("start_time", kind="stable")
    middle = times.mean(axis=1).to_numpy()
    over = np.flatnonzero(times["stop_time"].to_numpy()[:-1] > middle[1:])
    if len(over):
        one, two = times.index[over[0]], times.index[over[0] + 1]
        raise MeiflowError(
            f"session.nwb: presentations {one} and {two} {where} overlap; only one stimulus can be "
            "shown at a time"
        )


def check_trains(
    nwbfile: Any, unit_ids: Iterable[int], trains: Sequence[NDArray], path: Path
) -> None:
    """Check that spike times are finite and that each is assigned to one unit.

    Raises
    ------
    MeiflowError
        If a time is not finite, or if the index does not match the spike times.
    """
    index = nwbfile.units["spike_times"]
    ends = np.asarray(index.data[:]).astype(float)
    if (np.diff(ends, prepend=0.0) < 0).any() or (len(ends) and ends[-1] != len(index.target)):
        raise MeiflowError(
            f"session.nwb: spike_times_index does not match the {len(index.target)} spike_times in "
            f"{path}"
        )
    for unit, train in zip(unit_ids, trains, strict=True):
        if train.dtype.kind not in "fiu" or not np.isfinite(train).all():
            raise MeiflowError(
                f"session.nwb: unit {unit} in {path} has spike times that are not finite numbers"
            )
