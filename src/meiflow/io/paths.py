"""Check names that become paths, and paths before anything is opened there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from meiflow.errors import MeiflowError

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
LONGEST_NAME = 64


def is_name(text: str) -> bool:
    """Whether a name is valid for a session, area or neuron, i.e. for a folder or a column.

    Examples
    --------
    >>> is_name("951097947"), is_name("../up"), is_name("a b")
    (True, False, False)
    """
    return len(text) <= LONGEST_NAME and re.fullmatch(NAME, text) is not None


def stays_inside(name: str) -> bool:
    """Whether a file or folder of this name stays inside its parent folder.

    Examples
    --------
    >>> stays_inside("7"), stays_inside("../7"), stays_inside("/etc"), stays_inside(".")
    (True, False, False, False)
    """
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def path_error(path: str | Path, *, folder: bool = False) -> str | None:
    """Reason why `path` cannot be read as a file, to follow its name; None if it can.

    Parameters
    ----------
    path : path
    folder : bool
        Whether a folder is also accepted.

    Examples
    --------
    >>> path_error("/"), path_error("/", folder=True), path_error("/none")
    ('is a folder, not a file', None, 'does not exist')
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError as error:  # a NUL in the name
        return f"cannot be read ({error})"
    if stat.S_ISDIR(mode):
        return None if folder else "is a folder, not a file"
    # reading a pipe without a writer would block for ever
    return None if stat.S_ISREG(mode) else "is not a file (a pipe, a socket or a device)"


def require_file(path: str | Path) -> None:
    """Check that `path` is a file.

    Raises
    ------
    MeiflowError
        If it is missing, a folder, a pipe or a device.
    """
    fault = path_error(path)
    if fault is not None:
        raise MeiflowError(f"{path}: {fault.replace('does not exist', 'no such file')}")


def require_new(*paths: Path) -> None:
    """Check that none of some files exists, so that nothing is overwritten.

    Raises
    ------
    MeiflowError
        If one exists.
    """
    for path in paths:
        if path.exists():
            raise MeiflowError(f"{path}: already exists; choose another folder, or remove the file")


def require_path(key: str, path: str | None, *, folder: bool = False, kind: str = "file") -> None:
    """Check a path that a configuration key gives.

    Raises
    ------
    MeiflowError
        If it does not exist or cannot be read.
    """
    fault = path_error(path, folder=folder) if path is not None else None
    if fault is not None:
        raise MeiflowError(f"{key}: {path} {fault}; give the path of an existing {kind}")
