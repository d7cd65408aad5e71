"""Run cells of the benchmark and store them, so that a killed run can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from meiflow import __version__
from meiflow.benchmark.design import VERSION, Cell, full_design, quick_design
from meiflow.benchmark.recording import BenchmarkSession
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv, write_text
from meiflow.progress import logger

PARTS = ("loop", "confidence")


def cell_file(folder: Path, part: str, cell: Cell) -> Path:
    """Path of a part of a cell's results."""
    return folder / "cells" / f"{cell.name}_{part}.csv"


def is_done(folder: Path, cell: Cell) -> bool:
    """Whether all parts of a cell exist."""
    return all(cell_file(folder, part, cell).exists() for part in PARTS)


def listed(folder: Path, quick: bool) -> str:
    """One line per cell with its name and status."""
    cells = quick_design() if quick else full_design()
    return "\n".join(f"{c.name}  {'done' if is_done(folder, c) else 'to do'}" for c in cells)


def _check_version(folder: Path) -> None:
    """Reject a folder with cells of another version; mark a new one with this version."""
    own = f"meiflow {__version__}, benchmark {VERSION}\n"
    path = folder / "cells" / "version.txt"
    if not path.exists():
        write_text(own, path)
    elif (found := path.read_text(encoding="utf-8")) != own:
        raise MeiflowError(
            f"{path.parent}: made by {found.strip()}, but this is {own.strip()}; use another "
            "--output"
        )


def run_cells(cells: Sequence[Cell], folder: Path, threads: int) -> None:
    """Run the cells that are not done; each writes two files to the folder ``cells``.

    Raises
    ------
    MeiflowError
        If the folder contains cells of another version.
    """
    from meiflow.benchmark.cell import run_cell, true_optima

    _check_version(folder)
    session: BenchmarkSession | None = None
    for number, cell in enumerate(cells, 1):
        if is_done(folder, cell):
            continue
        logger.info(f"benchmark: cell {number} of {len(cells)}, {cell.name}")
        if session is None or session.seed != cell.session:
            session = BenchmarkSession(cell.session)
        best = folder / "cells" / f"session{cell.session:02d}_optima.csv"
        if not best.exists():
            found = true_optima(session)
            write_csv(pd.DataFrame({"neuron_id": list(found), "drive": found.values()}), best)
        optima = read_csv(best).set_index("neuron_id")["drive"]
        done = run_cell(cell, session, optima.to_dict(), threads)
        for part, table in zip(PARTS, done, strict=True):
            write_csv(table, cell_file(folder, part, cell))


def read_cells(cells: Sequence[Cell], folder: Path, part: str) -> pd.DataFrame:
    """A part of all cells as one table, beginning with session, images, repeats and noise."""
    tables = []
    for cell in cells:
        table = read_csv(cell_file(folder, part, cell), ("neuron_id",))
        keys = {"session": cell.session, "images": cell.images, "repeats": cell.repeats}
        for place, (name, value) in enumerate((keys | {"noise": cell.noise}).items()):
            table.insert(place, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
