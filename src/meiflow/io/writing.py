"""Write files so that a partially written file never has its final name."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meiflow.errors import MeiflowError
from meiflow.io.checksums import bookkeeping, publish_file

_HOST = re.sub(r"\W", "_", socket.gethostname())
_LEFT_AFTER_S = 86400.0
_UNFINISHED: set[Path] = set()
_ADVICE = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.EROFS: "make the folder writable, or run in a different one",
    errno.EACCES: "make the folder writable, or run in a different one",
}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path next to `path`, renamed to it when the block ends without error.

    Leftovers of killed processes are removed.

    Raises
    ------
    MeiflowError
        If the disk is full or the file cannot be written for another reason.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.stem}.{_mark()}.part{path.suffix}")
    _UNFINISHED.add(temporary)
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        publish_file(temporary, path)
    except MeiflowError:
        raise
    except Exception as error:
        ours = (temporary, path, *bookkeeping(path.parent))
        reason = _refused(error, {str(p) for p in ours})
        if reason is None:
            raise
        raise _unwritable(path, reason) from None
    finally:
        temporary.unlink(missing_ok=True)
        _UNFINISHED.discard(temporary)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A path next to `path` for a new folder, renamed to it when the block ends without error.

    Neither of them may exist; a folder that is not finished is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_mark()}.part")
    _UNFINISHED.add(temporary)
    try:
        yield temporary
        temporary.rename(path)
    finally:
        _discard(temporary)
        _UNFINISHED.discard(temporary)


def require_writable(folder: Path) -> None:
    """Check that results can be written, before any job is run.

    Raises
    ------
    MeiflowError
        If the folder is not writable or its disk is full.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    for place in (there, *(sub for sub in there.glob("*/") if there == folder)):
        if not os.access(place, os.W_OK):
            read_only = os.statvfs(place).f_flag & os.ST_RDONLY
            raise _unwritable(place, OSError(errno.EROFS if read_only else errno.EACCES, None))
    if shutil.disk_usage(there).free == 0:
        raise _unwritable(there, OSError(errno.ENOSPC, None))


def _unwritable(path: Path, reason: OSError) -> MeiflowError:
    number = _number_in(reason) or reason.errno or 0
    text = os.strerror(number) if number else str(reason)
    advice = _ADVICE.get(number, "fix this and run again")
    return MeiflowError(f"{path}: cannot be written: {text}; {advice}")


def _number_in(error: BaseException) -> int:
    """Error number within the message of HDF5; 0 without one."""
    match = re.search(r"errno = (\d+)", str(error))
    return int(match[1]) if match else 0


def discard_unfinished() -> None:
    """Remove the unfinished files and folders of this process, before it exits at once."""
    for temporary in list(_UNFINISHED):
        _discard(temporary)


def _discard(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)


def _mark() -> str:
    return f"{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _refused(error: BaseException | None, names: set[str]) -> OSError | None:
    """The system error on writing one of `names`, even if a library has wrapped it."""
    while error is not None:
        if isinstance(error, OSError):
            unnamed = error.filename is None and error.errno in _ADVICE
            if unnamed or str(error.filename) in names:
                return error
        elif isinstance(error, RuntimeError) and (number := _number_in(error)) in _ADVICE:
            return OSError(number, None)  # of HDF5, when it writes what is left on closing
        error = error.__cause__ or error.__context__
    return None


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` whose process no longer exists."""
    form = re.compile(
        rf"\.{re.escape(path.stem)}\.(\w+)-(\d+)-[0-9a-f]{{8}}\.part{re.escape(path.suffix)}"
    )
    for name in os.listdir(path.parent):
        found = form.fullmatch(name)
        if found is None:
            continue
        left = path.with_name(name)
        try:
            # for other machines only the age is known
            old = time.time() - left.stat().st_mtime > _LEFT_AFTER_S
            if not _runs(int(found[2])) if found[1] == _HOST else old:
                left.unlink()
        except FileNotFoundError:
            continue  # its process has just renamed it


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
