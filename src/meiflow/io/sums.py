"""Checksums beside what is written, so that a damaged file is never taken for a result.

The sum of ``folder/name`` lies in ``folder/.sums/name.sum``. A file without one is taken as it is:
a user's own input, or what was written by other software.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from meiflow.errors import MeiflowError

_SUMMED = (".csv", ".json", ".npy", ".npz", ".pt", ".zip")
_HEX_DIGITS = 32


def sum_path(path: Path) -> Path:
    """Where the sum of a file lies.

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
    """Rename `temporary` to `path`, and keep the sum of what other stages read."""
    if path.suffix not in _SUMMED:
        temporary.replace(path)
        return
    kept, digest = sum_path(path), _digest(temporary)
    kept.parent.mkdir(exist_ok=True)
    # A kill in between leaves no sum, rather than that of another file.
    kept.unlink(missing_ok=True)
    temporary.replace(path)
    kept.write_text(digest, encoding="ascii")


def verify(path: str | Path) -> None:
    """Make sure that a file is what was written there.

    Raises
    ------
    MeiflowError
        If its sum was kept and is another one.
    """
    path = Path(path)
    try:
        known = sum_path(path).read_text(encoding="ascii")
        same = len(known) != _HEX_DIGITS or _digest(path) == known
    except (OSError, UnicodeDecodeError):
        return  # no sum; or no file, which its reader says better
    if not same:
        raise MeiflowError(
            f"{path}: damaged, or changed after it was written; delete it and run again, which "
            "makes it anew"
        )
