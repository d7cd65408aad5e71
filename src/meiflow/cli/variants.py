"""Variants of a run: the same project with other settings, in a folder beside the results.

A variant is a folder in which the workflow runs as in the project. Inputs are links to those of the
project, so that every path is the same; results are shared as hard links, together with
Snakemake's records of how they were made. Snakemake then redoes only what the other settings
change. Results are replaced, never written in place, so that those of the project stay as they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from meiflow.config.config import read_yaml
from meiflow.errors import MeiflowError, closest, shorten
from meiflow.io.paths import is_name

VARIANTS = "variants"
_RESULTS, _RECORDS = "results", ".snakemake"
# Written in place by Snakemake and by the shell.
_COPIED = ("logs", "benchmarks")


def prepare(config: Path, name: str) -> Path:
    """Lay out the folder of a variant, or update its links and settings.

    Parameters
    ----------
    config : Path
        Configuration of the variant, in the project's folder.
    name : str

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MeiflowError
        If the name is not valid, or if the configuration has a path that leads out of the project.
    """
    if not is_name(name):
        raise MeiflowError(
            f"--as {name[:80]!r}: invalid name; use letters, digits, '_', '-' and '.'"
        )
    project = config.parent
    for path in (project / "config.yaml", config):
        if path.is_file():
            _require_inside(path)
    folder = project / VARIANTS / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_symlink() or (old.is_file() and old.suffix in (".yaml", ".yml")):
            old.unlink()
    for entry in sorted(project.iterdir()):
        if entry.name in (_RESULTS, VARIANTS) or entry.name.startswith("."):
            continue
        if entry.suffix in (".yaml", ".yml") and entry.is_file():
            shutil.copy2(entry, folder / entry.name)  # paths in it are relative to its folder
        else:
            link = folder / entry.name
            link.symlink_to(os.path.relpath(entry, folder))
            changed = entry.stat().st_mtime_ns if entry.exists() else 0
            with suppress(NotImplementedError):  # an input is not newer because of its link
                os.utime(link, ns=(changed, changed), follow_symlinks=False)
    return folder


def share(project: Path, folder: Path, sessions: tuple[str, ...]) -> int:
    """Share the results of a project with a new variant; one that has results is left alone.

    Returns
    -------
    int
        Number of shared files.

    Raises
    ------
    MeiflowError
        If a run is working on the project's results.
    """
    if (folder / _RESULTS).exists():
        return 0
    if any((project / _RECORDS / "locks").glob("*.lock")):
        raise MeiflowError(
            f"{project}: a run is working on the results to be shared, or was killed; wait for its "
            "end, or remove its lock with --unlock"
        )
    part = folder / f".{_RESULTS}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    count = 0
    for session in (*sessions, "combined"):
        root = project / _RESULTS / session
        for path in _files(root) if root.is_dir() else ():
            target = part / path.relative_to(project / _RESULTS)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.relative_to(root).parts[0] in _COPIED:
                shutil.copy2(path, target)
            else:
                _link(path, target)
            count += 1
    for records in ("metadata", "incomplete"):
        source = project / _RECORDS / records
        if source.is_dir():
            shutil.copytree(source, folder / _RECORDS / records, dirs_exist_ok=True)
    part.rename(folder / _RESULTS)
    return count


def results_of(name: str | Path) -> Path:
    """The results folder of a session, from its path, that of a project, or a variant's name.

    Raises
    ------
    MeiflowError
        If there is none, or more than one.
    """
    path = Path(name)
    for root in (path, Path(VARIANTS) / path):
        if (root / "models").is_dir():
            return root
        found = [p.parent for p in sorted(root.glob(f"{_RESULTS}/*/models"))]
        if len(found) == 1:
            return found[0]
        if found:
            raise MeiflowError(f"{root}: several sessions ({shorten(found)}); name one of them")
    known = [p.name for p in Path(VARIANTS).glob("*")] + [
        p.as_posix() for p in Path().glob("results/*")
    ]
    raise MeiflowError(
        f"{name}: neither a folder with results nor a variant{closest(str(name), known)}; found "
        f"here: {shorten(known) or 'none'}"
    )


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system without hard links
        shutil.copy2(path, target)


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            yield path


def _require_inside(config: Path) -> None:
    for name, text in _texts(read_yaml(config)):
        if Path(text).parts[:1] == ("..",):
            raise MeiflowError(
                f"{config}: {name}: {text} leads out of the folder, which a variant cannot share; "
                "write an absolute path"
            )


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
    elif isinstance(value, str):
        yield name, value
