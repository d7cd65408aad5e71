"""Draw the figures of the selection stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meiflow.errors import MeiflowError
from meiflow.figures.selection import (
    correlation_maps,
    measure_scatters,
    oracle_ranked,
    probe_places,
    rastermap,
    rastermap_blocks,
)
from meiflow.figures.style import save_both
from meiflow.io.files import read_arrays, read_csv
from meiflow.selection.raster import leaf_order
from meiflow.tables.raster import read_raster


def draw_selection(tables: Path, selection: Path, probes: bool, output: Path) -> None:
    """Write every figure of the selection as PNG and SVG.

    Parameters
    ----------
    tables, selection : path
        Folders of the two stages.
    probes : bool
        Whether units.csv tells where the units sit.
    output : path
        Folder of the figures.
    """
    table = read_csv(selection / "neurons.csv")
    pairs = read_arrays(selection / "correlations.npz")
    raster = read_raster(tables / "raster.npz")
    units = read_csv(tables / "units.csv")
    for name, ids in (("raster.npz", raster.neuron_ids), ("correlations.npz", pairs["neuron_ids"])):
        if list(ids) != list(table["neuron_id"]):
            raise MeiflowError(
                f"{selection / 'neurons.csv'} and {name} are not of the same neurons; run the "
                "selection again on these tables"
            )
    if probes and "probe" not in units:
        raise MeiflowError(f"{tables / 'units.csv'}: tells no probes; draw with --no-probes")
    varies = np.flatnonzero(np.isfinite(np.diag(pairs["signal"])))
    order = varies[leaf_order(pairs["signal"][np.ix_(varies, varies)])]
    figures = {
        "rastermap": rastermap(raster, table),
        "rastermap_blocks": rastermap_blocks(raster, table),
        "correlations": correlation_maps(
            pairs["signal"], pairs["noise"], order, table["selected"].to_numpy()
        ),
        "measures": measure_scatters(table),
        "oracle": oracle_ranked(table),
    }
    if probes:
        figures["probes"] = probe_places(table, units)
    for name, figure in figures.items():
        save_both(figure, output, name)
