"""Shared by the themes of bad input: how a case is described, tried and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError

Builder = Callable[[Path], Any]


@dataclass(frozen=True)
class Case:
    """One bad input.

    ``content`` is the text or the bytes of a file, or a function that creates it at a path (or
    breaks the good file there); ``says`` are texts that the message must contain.
    """

    name: str
    content: str | bytes | Builder
    says: tuple[str, ...] = ()

    def write(self, path: Path) -> Path:
        """Write it to `path`."""
        if callable(self.content):
            self.content(path)
        elif isinstance(self.content, str):
            path.write_text(self.content, encoding="utf-8", newline="")
        else:
            path.write_bytes(self.content)
        return path


def named(cases: list[Case]) -> Any:
    """Parametrise a test with named cases."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def refused(action: Callable[[], Any], *says: str) -> str:
    """The message with which `action` fails: one printable line that contains all of `says`."""
    with pytest.raises(MeiflowError) as caught:
        action()
    message = str(caught.value)
    assert message.isprintable(), message
    assert len(message) <= 2000
    for text in says:
        assert text in message, message
    return message


def digest(content: str | bytes) -> str:
    """A short name of a random input, so that repeats are counted once."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]


# Twelve trials of six images, two neurons: the smallest session that can be made into tables.
HEADER = ["trial_id", "neuron_id", "spike_count", "image_id"]
ROWS = [
    [str(t), n, str((3 * t + k) % 5), str(t % 6)] for t in range(12) for k, n in enumerate("ab")
]


def csv(header: list[str], rows: list[list[str]], mark: str = ",", end: str = "\n") -> str:
    """A CSV of the cells as they are, without quoting."""
    return "".join(mark.join(line) + end for line in [header, *rows])


def changed(row: int, column: str, value: str) -> str:
    """The good trial CSV with one cell changed; `row` counts as in messages, the header being 1."""
    rows = [list(cells) for cells in ROWS]
    rows[row - 2][HEADER.index(column)] = value
    return csv(HEADER, rows)


def tables_config(folder: Path, **session: Any) -> Config:
    """Configuration of the session in `folder`: trials.csv and images.npy."""
    given = {"source": "tables", "trials": str(folder / "trials.csv")}
    given |= {"images": str(folder / "images.npy")} | session
    return parse_config(
        {
            "session": given,
            "image": {"height": 8, "width": 12, "width_deg": 121.24, "height_deg": 94.8},
        }
    )


def tables_session(folder: Path) -> Path:
    """Write the good session into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trials.csv").write_text(csv(HEADER, ROWS))
    stack = np.random.default_rng(0).integers(0, 256, (6, 8, 12), dtype=np.uint8)
    np.save(folder / "images.npy", stack)
    return folder
