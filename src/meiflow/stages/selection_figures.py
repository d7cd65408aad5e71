"""Draw the figures of the selection stage."""

from __future__ import annotations

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
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_raster, read_stack_info
from meiflow.selection.raster import leaf_order


def draw_selection(results: Layout, has: SessionHas) -> None:
    """Draw the figures of the selection, as PNG and SVG."""
    table = read_csv(results.selection)
    pairs = read_arrays(results.correlations)
    raster = read_raster(results)
    units = read_csv(results.units)
    response = read_stack_info(results).response
    for name, ids in (("raster.npz", raster.neuron_ids), ("correlations.npz", pairs["neuron_ids"])):
        if list(ids) != list(table["neuron_id"]):
            raise MeiflowError(
                f"{results.selection} and {name} contain different neurons; run the selection "
                "again on these tables"
            )
    if has.spike_times and "probe" not in units:
        raise MeiflowError(f"{results.units}: missing column probe; rebuild the tables")
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
    if has.spike_times:
        figures["probes"] = probe_places(table, units)
    for name, figure in figures.items():
        save_both(figure, results.selection.parent, name, response)
