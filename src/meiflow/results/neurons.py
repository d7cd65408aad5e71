"""Read which neurons are selected and have a model."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from meiflow.errors import MeiflowError, closest
from meiflow.io.checksums import verify_checksum
from meiflow.io.paths import stays_inside


def _rows(path: Path) -> dict[str, bool] | None:
    """Whether each neuron is selected and has a model; None if the table is invalid."""
    found = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name, selected = row.get("neuron_id"), row.get("selected")
                if not name or selected not in ("True", "False") or not stays_inside(name):
                    return None
                found[name] = selected == "True"
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return found


def fitted_neurons(path: str | Path) -> list[str]:
    """The neurons that are selected and have a model, from models/neurons.csv.

    Snakemake calls this many times; the table is only read again if it has changed.

    Raises
    ------
    MeiflowError
        As `selected_neurons`.
    """
    path = Path(path)
    verify_checksum(path)
    rows = _read(path, path.stat().st_mtime_ns)
    if rows is not None:
        return [name for name, selected in rows.items() if selected]
    return selected_neurons(path)


@lru_cache(maxsize=1000)
def _read(path: Path, changed: int) -> dict[str, bool] | None:
    return _rows(path)


def first_neurons(neurons: Sequence[str]) -> list[str]:
    """The neurons whose stimuli are made first, of which the provisional report is made.

    As many as the square root of their number, at even steps through the list.

    Examples
    --------
    >>> first_neurons([str(n) for n in range(10)])
    ['0', '2', '5', '7']
    """
    count = math.ceil(math.sqrt(len(neurons)))
    return [neurons[n * len(neurons) // count] for n in range(count)]


def selected_neurons(path: str | Path) -> list[str]:
    """Ids of the selected neurons in neurons.csv of the selection or of the models."""
    import pandas as pd

    from meiflow.io.files import read_csv

    table = read_csv(path, ("neuron_id", "selected"))
    if not pd.api.types.is_bool_dtype(table["selected"]):
        raise MeiflowError(
            f"{path}: column selected must be True or False in every row; delete the file and run "
            "again"
        )
    names = [str(i) for i in table.loc[table["selected"], "neuron_id"]]
    for name in names:
        if not stays_inside(name):  # ids are used as folder names
            raise MeiflowError(
                f"{path}: invalid neuron_id {name[:80]!r} (leads outside its folder)"
            )
    return names


def failed_fits(path: str | Path) -> dict[str, str]:
    """The selected neurons in models/neurons.csv without a model, and why."""
    from meiflow.io.files import read_csv

    table = read_csv(path, ("neuron_id", "status", "reason"))
    failed = table[table["status"] == "fit failed"]
    return dict(zip(failed["neuron_id"].astype(str), failed["reason"].astype(str), strict=True))


def require_selected(path: str | Path, neuron: str) -> None:
    """Check in the table of the selection or of the models that `neuron` may be modelled.

    Raises
    ------
    MeiflowError
        If there is no such neuron, it was not selected (and why), or its fit failed.
    """
    from meiflow.io.files import read_csv

    table = read_csv(path, ("neuron_id", "selected", "reason"))
    ids = table["neuron_id"].astype(str)
    if neuron not in set(ids):
        raise MeiflowError(
            f"neuron {neuron!r} is not in this session{closest(neuron, ids)}; "
            f"{path} lists all neurons"
        )
    row = table[ids == neuron].iloc[0]
    if row.get("status") == "fit failed":
        raise MeiflowError(f"neuron {neuron} has no model: {row['reason']}")
    if not row["selected"]:
        raise MeiflowError(
            f"neuron {neuron} is not selected ({row['reason']}); to include it anyway, "
            f'add "{neuron}" to selection.include'
        )
