"""Checks of a session file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from meiflow.errors import MeiflowError, shorten
from meiflow.io.paths import path_error

if TYPE_CHECKING:
    from meiflow.session.store import Table


ZARR = (".zgroup", "zarr.json")  # one of them is in an NWB-Zarr folder


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
    why, advice = _seems(path, text)
    return MeiflowError(f"{name} is not a readable {kind} file ({why}); {advice}")


# First bytes of files that were saved under the name of a session file.
_STARTS = (
    ((b"<!doctype", b"<html", b"<?xml"), "it is a web page, such as a server's message",
     "download the file itself, or give its address to meiflow session info"),
    ((b"version https://git-lfs",), "it is a pointer of Git LFS", "run git lfs pull"),
    ((b"pk\x03\x04", b"\x1f\x8b"), "it is a compressed file", "unpack it"),
)  # fmt: skip
_CUT = re.compile(r"truncated file: eof = (\d+),.*stored_eof = (\d+)")


def _seems(path: Path, reason: str) -> tuple[str, str]:
    """What is wrong with a file that cannot be opened, and what can help."""
    again = "download it again"
    cut = _CUT.search(reason)
    if cut is not None:
        return f"it ends after {int(cut[1]):,} of {int(cut[2]):,} bytes", again
    try:
        with open(path, "rb") as handle:
            start = handle.read(256).lstrip().lower()
            if not start and not handle.read(1):
                return "it is empty", again
    except OSError:  # a folder
        start = b""
    for signs, seems, advice in _STARTS:
        if start.startswith(signs):
            return seems, advice
    return reason[:200], f"if it is damaged, {again} or give another file"


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
        folder = path.is_dir()
        if folder and (path / "data" / "responses").is_dir():
            fault += "; it seems to be a scan in the layout of Sensorium: session.source sensorium"
        elif folder and any((path / name).is_file() for name in ZARR):
            fault = "is NWB-Zarr; here, give the HDF5 file of the same session"
        elif folder:
            fault += ", and not NWB-Zarr (neither .zgroup nor zarr.json)"
        raise MeiflowError(f"session.nwb: {path} {fault}")
    try:
        with h5py.File(path, "r") as file:
            require_no_links(file, path)
    except MeiflowError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise unreadable(path, "NWB (HDF5)", str(error)) from None


def require_no_links(file: Any, path: Path) -> None:
    """Check that an open HDF5 file does not refer to other files.

    Raises
    ------
    MeiflowError
        With the name of the object in the file.
    """
    import h5py

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

    file.visititems_links(look)
    if foreign:
        raise MeiflowError(
            f"session.nwb: {path} refers to data in other files ({shorten(foreign, 3)}), which are "
            "not read; write everything into one file"
        )


def _reason(error: Exception) -> str:
    """Text of an exception on one line, keeping its start and its end."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:60]} ... {text[-130:]}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Convert any error of the libraries on an odd file into one line."""
    try:
        yield
    except MeiflowError:
        raise
    except Exception as error:
        raise MeiflowError(
            f"session.nwb: {path} cannot be read as a session "
            f"({type(error).__name__}: {_reason(error)}); it may be damaged or have another layout"
        ) from error


def check_ids(table: Table) -> None:
    """Check that units or channels have unique, non-negative integer ids.

    Raises
    ------
    MeiflowError
        If an id is invalid.
    """
    ids = table.ids
    if ids.dtype.kind not in "iu" or (ids < 0).any():
        raise table.error("have ids that are not non-negative whole numbers (integers)")
    if len(set(ids.tolist())) < len(ids):
        raise table.error("have duplicate ids")


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
