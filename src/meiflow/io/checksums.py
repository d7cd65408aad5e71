"""Checksums of written files, so that a damaged file is never used as a result.

Each folder has a file ``SHA256SUMS``, which can also be checked with ``sha256sum --check``. Files
without a line there are not checked: inputs of the user, or files written by other software.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from meiflow.errors import MeiflowError

CHECKSUMS = "SHA256SUMS"
_SUFFIXES = (".csv", ".json", ".npy", ".npz", ".pt", ".zip")
# Format of coreutils: a backslash if the name is escaped, the sum, text or binary, the name.
_LINE = re.compile(r"(\\?)(\S+) [ *](.+)")
_ESCAPED = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
_PLAIN = {escaped: sign for sign, escaped in _ESCAPED.items()}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def bookkeeping(folder: Path) -> tuple[Path, Path, Path]:
    """Paths of a folder's checksums, of their temporary file, and of their lock.

    Examples
    --------
    >>> [path.name for path in bookkeeping(Path("tables"))]
    ['SHA256SUMS', '.SHA256SUMS.part', '.SHA256SUMS.lock']
    """
    return folder / CHECKSUMS, folder / f".{CHECKSUMS}.part", folder / f".{CHECKSUMS}.lock"


def publish_file(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, and record the checksum if other stages read the file."""
    if path.suffix not in _SUFFIXES:
        temporary.replace(path)
        return
    from filelock import FileLock

    folder, digest = path.parent, sha256_of(temporary)
    with FileLock(bookkeeping(folder)[2]).acquire(poll_interval=0.01):  # jobs share folders
        known = read_checksums(folder)
        if known.pop(path.name, None) is not None:
            # if killed in between, the line is missing rather than wrong
            _write(known, folder)
        temporary.replace(path)
        _write(known | {path.name: digest}, folder)


def verify_checksum(path: str | Path) -> None:
    """Check that a file has not changed since it was written.

    Raises
    ------
    MeiflowError
        If a checksum was recorded and differs.
    """
    path = Path(path)
    try:
        known = read_checksums(path.parent).get(path.name)
        same = known is None or sha256_of(path) == known
    except OSError:
        return  # unreadable; the reader of the file gives a better message
    if not same:
        raise MeiflowError(
            f"{path}: damaged, or changed after it was written; delete it and run again, or, if "
            f"you changed it on purpose, delete its line in {CHECKSUMS}"
        )


def read_checksums(folder: Path) -> dict[str, str]:
    """Recorded checksums of a folder by file name.

    Malformed lines are ignored; a damaged checksum matches no file.
    """
    try:
        text = bookkeeping(folder)[0].read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    lines = map(_LINE.fullmatch, text.split("\n"))
    return {_unescape(line[3]) if line[1] else line[3]: line[2] for line in lines if line}


def _write(known: dict[str, str], folder: Path) -> None:
    """Replace the checksums of a folder; files that no longer exist are omitted."""
    lines = [
        f"{'' if name == _escape(name) else chr(92)}{known[name]}  {_escape(name)}\n"
        for name in sorted(known)
        if (folder / name).exists()
    ]
    final, part, _ = bookkeeping(folder)
    try:
        part.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def _escape(name: str) -> str:
    return re.sub(r"[\\\n\r]", lambda sign: _ESCAPED[sign[0]], name)


def _unescape(name: str) -> str:
    return re.sub(r"\\.", lambda sign: _PLAIN.get(sign[0], sign[0]), name)
