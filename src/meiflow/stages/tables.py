"""The tables stage: CSVs and image stack of a session, from which all other stages start."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config
from meiflow.io.files import write_array, write_arrays, write_csv, write_text
from meiflow.progress import collect_notes, logger
from meiflow.results.layout import Layout
from meiflow.stages.read_tables import SessionTables, movie_images, read_tables
from meiflow.tables.conditions import (
    STEMS,
    Conditions,
)
from meiflow.tables.counts import (
    BLANK,
    mean_responses,
    responses_table,
)
from meiflow.tables.movies import (
    movie_table,
)
from meiflow.tables.stack import StackInfo
from meiflow.tables.tuning import tuning_table

# Tables that only some sessions have, by their names in the layout.
_OPTIONAL = (
    "presentations",
    *(f"{stem}_{kind}" for stem in STEMS.values() for kind in ("responses", "trials")),
    "tuning",
)


def build_tables(
    config: Config,
    results: Layout,
    images: Path | None,
    nwb: Path | None,
    any_area: bool = False,
    movies: Path | None = None,
) -> None:
    """Count spikes per trial and write the tables and the image stack.

    Parameters
    ----------
    config : Config
    results : Layout
    images : path or None
        Folder of frame images or ``.npy`` stack; not used if no natural scenes were shown, so that
        the bins of the movies are the images.
    nwb : path or None
        Session file; None for the trial CSV in ``session.trials``.
    any_area : bool
        Whether units in one of the areas are sufficient.
    movies : path, optional
        Folder with the frames of the natural movies; without it, movies are not used.
    """
    with collect_notes() as notes:
        session, stack = read_tables(config, images, nwb, any_area, movies)
    trials = session.trials
    given = session.conditions, trials.neuron_ids, session.f1_f0, trials.response.real
    further = session.further | _condition_tables(*given)
    image_ids, means = mean_responses(trials)
    seen = image_ids != BLANK
    shown = image_ids[seen], config.image.geometry, session.binned, trials.response, session.tests
    info = StackInfo.of(stack, *shown)
    of_movies = None
    if movies is not None:
        of_movies = stack if session.binned else movie_images(config, session, movies)
    names = trials.neuron_ids
    write_csv(trials.to_frame(), results.trials)
    write_csv(responses_table(image_ids[seen], means[seen], names), results.responses)
    write_csv(responses_table(image_ids[~seen], means[~seen], names), results.blank_responses)
    write_csv(session.units, results.units)
    write_text(info.to_json(), results.image_info)
    write_array(stack, results.images)
    write_text(json.dumps(session.found, indent=1) + "\n", results.unit_counts)
    write_text(json.dumps(notes, indent=1) + "\n", results.notes)
    write_arrays(session.raster.arrays(), results.raster)
    _write_movies(session, results, of_movies)
    if session.spikes is not None:
        write_arrays(session.spikes.arrays(), results.image_spikes)
    else:  # left by another session in this folder
        results.image_spikes.unlink(missing_ok=True)
    for name in _OPTIONAL:
        path = getattr(results, name)
        if name in further:
            write_csv(further[name], path)
        else:
            path.unlink(missing_ok=True)
    repeats = np.unique(trials.image_ids[trials.image_ids != BLANK], return_counts=True)[1]
    logger.info(
        f"tables: {len(trials.neuron_ids)} neurons, {len(trials.trial_ids)} trials of "
        f"{int(seen.sum())} images ({repeats.min()} to {repeats.max()} repeats)"
    )


def _write_movies(session: SessionTables, results: Layout, stack: NDArray | None) -> None:
    """Write counts and images of the movies, or remove those of another session."""
    if stack is None:
        for path in results.named(
            "movie_responses", "movie_errors", "movie_counts", "movie_images", "movie_windows"
        ):
            path.unlink(missing_ok=True)
        return
    if session.movie_windows is None:
        results.movie_windows.unlink(missing_ok=True)
    else:
        write_arrays(vars(session.movie_windows), results.movie_windows)
    names = session.trials.neuron_ids
    write_csv(movie_table(session.movies, names), results.movie_responses)
    write_csv(movie_table(session.movies, names, errors=True), results.movie_errors)
    write_arrays({m.name: m.counts for m in session.movies}, results.movie_counts)
    write_array(stack, results.movie_images)
    for movie in session.movies:
        passes, bins, _ = movie.counts.shape
        logger.info(f"{movie.name}: {bins} bins of {movie.per_bin} frames, {passes} passes")


def _condition_tables(
    conditions: dict[str, Conditions],
    neuron_ids: list[str],
    f1_f0: NDArray[np.float64] | None,
    real: bool,
) -> dict[str, pd.DataFrame]:
    tables: dict[str, pd.DataFrame] = {}
    for name, recorded in conditions.items():
        tables[f"{STEMS[name]}_responses"] = recorded.mean_table()
        tables[f"{STEMS[name]}_trials"] = recorded.trial_table()
    if conditions:
        responses = [tables.get(f"{STEMS[name]}_responses") for name in PARAMETRIC]
        gabors, gratings, moving, flashes = (
            None if table is None or table.empty else table for table in responses
        )
        shown = gabors, gratings, moving, flashes
        tables["tuning"] = tuning_table(neuron_ids, *shown, f1_f0, real)
    return tables
