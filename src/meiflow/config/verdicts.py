"""Neurons rejected in a report, from the CSV that its page saves."""

from __future__ import annotations

import csv

from meiflow.io.paths import is_name, path_error

_VERDICTS = ("believe", "unsure", "reject")
_LONGEST = 1_000_000


def rejected_ids(path: str) -> list[str]:
    """Ids of the neurons that a CSV of verdicts rejects.

    Parameters
    ----------
    path : str
        CSV with a column ``neuron_id``. If it has a column ``verdict`` (believe, unsure, reject or
        empty), only neurons with the verdict reject are taken, otherwise all. Other columns, such
        as ``note``, are ignored.

    Raises
    ------
    ValueError
        If the file is missing, not a CSV of this form, or names a neuron twice.
    """
    fault = path_error(path)
    if fault is not None:
        raise ValueError(
            f"{path}: {fault}; give a list of ids, or the CSV of verdicts that a report saves"
        )
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            text = handle.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"more than {_LONGEST:,} characters")
        rows = list(csv.reader(text.splitlines(), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable CSV ({error})") from None
    header = rows[0] if rows else []
    if "neuron_id" not in header:
        raise ValueError(f"{path}: no column neuron_id; the columns are {', '.join(header)[:200]}")
    seen: dict[str, str] = {}
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"{path}: line {line} has {len(row)} cells, not {len(header)}")
        cells = dict(zip(header, row, strict=True))
        neuron, verdict = cells["neuron_id"], cells.get("verdict", "reject")
        if not is_name(neuron):
            raise ValueError(f"{path}: invalid neuron id {neuron!r} (line {line})")
        if verdict not in ("", *_VERDICTS):
            raise ValueError(
                f"{path}: verdict {verdict!r} (line {line}); allowed: {', '.join(_VERDICTS)}"
            )
        if neuron in seen:
            raise ValueError(f"{path}: duplicate neuron {neuron!r} (line {line}); remove one")
        seen[neuron] = verdict
    return [neuron for neuron, verdict in seen.items() if verdict == "reject"]
