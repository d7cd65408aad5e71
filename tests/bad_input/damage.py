"""Random damage to good files, and its permitted outcomes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from meiflow.errors import MeiflowError

Damage = list[tuple[str, int, bytes]]

# Kind of damage, position (in millionths of the file), and the bytes used.
damages: st.SearchStrategy[Damage] = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "overwrite", "delete"]),
        st.integers(0, 999_999),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, damage: Damage) -> bytes:
    """`data` after some flips, cuts, insertions, overwritings and deletions."""
    out = bytearray(data)
    for kind, share, junk in damage:
        at = share * len(out) // 1_000_000
        if kind == "flip" and out:
            out[at] ^= 1 << (junk[0] % 8)
        elif kind == "cut":
            del out[at:]
        elif kind == "insert":
            out[at:at] = junk
        elif kind == "overwrite":
            out[at : at + len(junk)] = junk
        elif kind == "delete":
            del out[at : at + junk[0]]
    return bytes(out)


def counts_of(text: str, columns: Sequence[str]) -> dict[tuple[str, str], tuple[int, int]]:
    """Read a trial CSV independently: (trial, neuron) to (count, image), valid rows only.

    Raises
    ------
    ValueError, KeyError
        For anything that is not clearly valid.
    """
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    header = next(rows)
    places = [header.index(column) for column in columns]
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        trial, neuron, count, image = (cells[place].strip() for place in places)
        key = trial.removesuffix(".0"), neuron.removesuffix(".0")
        if key in found:
            raise ValueError(f"{key} twice")
        found[key] = int(float(count)), int(float(image))
    return found


FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def often(times: int) -> Any:
    """The same examples in every run, so a failure can be reproduced."""
    return settings(
        max_examples=times, deadline=None, derandomize=True, suppress_health_check=FIXTURE
    )


def explained(error: MeiflowError, name: str) -> None:
    message = str(error)
    assert message.isprintable()
    assert name in message
    assert len(message) <= 2000
