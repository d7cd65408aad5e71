"""Descriptions of result files, and folders of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import overload

PICTURE_SUFFIXES = ("png", "svg")


class ResultFile:
    """A result file; accessed on an instance of its folder, it gives the path.

    Parameters
    ----------
    path : str
        Path relative to the folder.
    stage : str
        Name of the stage that writes the file.
    about : str
        Short description of the content.
    when : str
        Condition under which the file is written; empty if always.
    """

    def __init__(self, path: str, stage: str, about: str, when: str = "") -> None:
        self.path, self.stage, self.about, self.when = path, stage, about, when

    @overload
    def __get__(self, owner: None, kind: type) -> ResultFile: ...
    @overload
    def __get__(self, owner: Folder, kind: type) -> Path: ...
    def __get__(self, owner: Folder | None, kind: type) -> ResultFile | Path:
        return self if owner is None else owner.root / self.path


class Folder:
    """Paths in a folder.

    Parameters
    ----------
    root : path
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"

    @classmethod
    def files(cls) -> dict[str, ResultFile]:
        """All files by name, in the order in which the stages write them."""
        return {name: f for name, f in vars(cls).items() if isinstance(f, ResultFile)}

    def named(self, *names: str) -> list[Path]:
        """Paths of files by name."""
        return [getattr(self, name) for name in names]


@dataclass(frozen=True)
class StimulusFiles:
    """Images of all neurons made by a procedure, with table and picture."""

    images: Path
    table: Path
    picture: Path

    def __iter__(self) -> Iterator[Path]:
        return iter((self.images, self.table, self.picture))


def figures(folder: str, stage: str, shown: dict[str, tuple[str, str]]) -> dict[str, ResultFile]:
    """Figures by name, from description and condition; the paths are stems."""
    return {n: ResultFile(f"{folder}/{n}", stage, *words) for n, words in shown.items()}


def pictures(root: Path, known: dict[str, ResultFile], names: tuple[str, ...]) -> list[Path]:
    """Figures by name, each as picture and as vector graphics."""
    stems = [root / known[name].path for name in names]
    return [Path(f"{stem}.{suffix}") for stem in stems for suffix in PICTURE_SUFFIXES]
