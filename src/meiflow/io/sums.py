"""Checksums of written files, so that a damaged file is never used as a result.

The checksum of ``folder/name`` is stored in ``folder/.sums/name.sum``. Files without one, such as
user input or files written by other software, are not checked.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from meiflow.errors import MeiflowError

_SUMMED = (".csv", ".json", ".npy", ".npz", ".pt", ".zip")
_HEX_DIGITS = 32


def sum_path(path: Path) -> Path:
    """Path of the checksum of a file.

    Examples
    --------
    >>> sum_path(Path("tables/trials.csv")).as_posix()
    'tables/.sums/trials.csv.sum'
    """
    return path.parent / ".sums" / f"{path.name}.sum"


def _digest(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(
            handle, lambda: hashlib.blake2b(digest_size=_HEX_DIGITS // 2)
        ).hexdigest()


def publish(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, and store the checksum of files read by other stages."""
    if path.suffix not in _SUMMED:
        temporary.replace(path)
        return
    kept, digest = sum_path(path), _digest(temporary)
    kept.parent.mkdir(exist_ok=True)
    # if killed in between, there is no checksum rather than that of another file
    kept.unlink(missing_ok=True)
    temporary.replace(path)
    kept.write_text(digest, encoding="ascii")


def verify(path: str | Path) -> None:
    """Check that a file has not changed since it was written.

    Raises
    ------
    MeiflowError
        If its checksum was stored and differs.
    """
    path = Path(path)
    try:
        known = sum_path(path).read_text(encoding="ascii")
        same = len(known) != _HEX_DIGITS or _digest(path) == known
    except (OSError, UnicodeDecodeError):
        return  # no checksum; or no file, which its reader reports better
    if not same:
        raise MeiflowError(
            f"{path}: damaged, or changed after it was written; delete it and run again to "
            "recreate it"
        )
