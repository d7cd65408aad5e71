"""Whether a neuron may be modelled, told without importing pandas where it may."""

from __future__ import annotations

import csv
from pathlib import Path


def require_modelled(path: Path, neuron: str) -> None:
    """Make sure that a neuron is selected and has a model, by the table models/neurons.csv.

    Raises
    ------
    MeiflowError
        As `meiflow.selection.select.require_selected`.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get("neuron_id") == neuron and row.get("selected") == "True":
                    return
    except (OSError, UnicodeDecodeError, csv.Error):
        pass  # what follows reads the table again, and tells
    from meiflow.selection.select import require_selected

    require_selected(path, neuron)
