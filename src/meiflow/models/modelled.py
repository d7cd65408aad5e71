"""Which neurons have a model, told without importing pandas where all is well."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from meiflow.io.checksums import verify_checksum
from meiflow.io.paths import stays_inside


def _rows(path: Path) -> dict[str, bool] | None:
    """Whether each neuron is selected and has a model; None if the table is not as we write it."""
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


def require_modelled(path: Path, neuron: str) -> None:
    """Make sure that a neuron is selected and has a model, by the table models/neurons.csv.

    Raises
    ------
    MeiflowError
        As `meiflow.selection.select.require_selected`.
    """
    if (_rows(path) or {}).get(neuron):
        return
    from meiflow.selection.select import require_selected

    require_selected(path, neuron)


def modelled_neurons(path: str | Path) -> list[str]:
    """The neurons that are selected and have a model, by the table models/neurons.csv.

    Snakemake asks for them many times; the table is read again when it has changed.

    Raises
    ------
    MeiflowError
        As `meiflow.selection.select.selected_neurons`.
    """
    path = Path(path)
    verify_checksum(path)
    rows = _read(path, path.stat().st_mtime_ns)
    if rows is not None:
        return [name for name, selected in rows.items() if selected]
    from meiflow.selection.select import selected_neurons

    return selected_neurons(path)


@lru_cache(maxsize=1000)
def _read(path: Path, changed: int) -> dict[str, bool] | None:
    return _rows(path)
