"""The selection stage: measures of every neuron, and the selection rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_arrays, read_csv, write_arrays, write_csv
from meiflow.progress import logger
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_raster, read_trials, window_length
from meiflow.selection.measures import measure_neurons, measure_session
from meiflow.selection.notebook import notebook_measures, notebook_raster_place
from meiflow.selection.raster import raster_order
from meiflow.selection.reliability import movie_oracle
from meiflow.selection.rule import apply_rule, require_somebody


def select(config: Config, results: Layout, has: SessionHas, allow_empty: bool = False) -> None:
    """Measure all neurons, and select those that respond reliably.

    Parameters
    ----------
    config : Config
    results : Layout
    has : SessionHas
    allow_empty : bool
        Do not raise an error if no neuron is left, as in one of many sessions.
    """
    with threadpool_limits(1):  # the last bits of sums depend on the number of threads
        trials = read_trials(results)
        shown = None
        if has.spike_times:
            shown = read_csv(results.presentations, ("trial_id", "block", "start_s"))
        images = trials.of_images()
        if trials.response.real and config.selection.notebook_measures:
            raise MeiflowError(
                "selection.notebook_measures: they are defined for spike counts only, not with "
                "session.response: real; remove the key"
            )
        table, pairs = measure_neurons(
            images,
            window_length(config.session.window_s, results),
            config.selection.shuffles,
            config.seed,
        )
        table = pd.concat([table, measure_session(images, shown)], axis=1)
        if has.movies:
            table["movie_oracle"] = movie_oracle(read_arrays(results.movie_counts))
        raster = read_raster(results)
        place = np.empty(len(table), dtype=np.int64)
        order = raster_order(raster.counts, config.selection.raster, config.seed)
        place[order] = np.arange(len(table))
        table["raster_place"] = place
        if config.selection.notebook_measures:
            table = pd.concat([table, notebook_measures(trials, config.seed)], axis=1)
            table["notebook_raster_place"] = notebook_raster_place(raster)
        table = apply_rule(table, config.selection)
    if not allow_empty:
        require_somebody(table)
    write_arrays(pairs | {"neuron_ids": np.array(trials.neuron_ids)}, results.correlations)
    write_csv(table, results.selection)
    logger.info(f"selection: {int(table['selected'].sum())} of {len(table)} neurons are selected")
