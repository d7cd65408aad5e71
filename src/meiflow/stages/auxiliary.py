"""Additional stimuli to which models are fitted, from the tables of a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, read_arrays, read_csv
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_auxiliary, gather_drifting
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.movie_stimuli import MovieStimuli, effective_number, thin_movies
from meiflow.progress import logger
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.tables.counts import Responses, Trials
from meiflow.tables.movies import BIN_COLUMNS, MovieWindows


def auxiliary_stimuli(
    config: Config, results: Layout, has: SessionHas, trials: Trials, neurons: list[str]
) -> AuxiliaryStimuli:
    """The stimuli of ``model.learn_from`` that were shown, with the responses of some neurons."""
    gratings = None
    if "static_gratings" in config.model.learn_from and has.gratings:
        gratings = _conditions(results.grating_responses, "static_gratings", neurons)
    return gather_auxiliary(
        config.model.learn_from,
        config.image.geometry,
        config.session.stimulus_parameters,
        trials,
        gratings if gratings is not None and len(gratings) else None,
        neurons,
    )


def movie_stimuli(
    config: Config, results: Layout, has: SessionHas, scenes: Responses, scene_repeats: float
) -> MovieStimuli | None:
    """Images from natural movies, with the responses of all neurons; None if there are none.

    None also if the session has no natural scenes, so that the movies already are its images.

    Parameters
    ----------
    scenes : Responses
        Images of the session, and its neurons.
    scene_repeats : float
        Mean number of trials of an image.
    """
    if not has.movies or "movies" not in config.model.learn_from or scenes.movies:
        return None
    neurons = scenes.neuron_ids
    table = read_csv(results.movie_responses, (*BIN_COLUMNS, *neurons))
    images = read_array(results.movie_images)
    if images.shape != (len(table), *config.image.geometry.shape):
        raise MeiflowError(
            f"{results.movie_images}: shape {images.shape} does not match "
            f"{results.movie_responses.name}; make the tables again"
        )
    windows = None
    if config.session.movies.windows:
        windows = read_windows(results).means
        shape = len(config.session.movies.windows), len(table), len(neurons)
        if windows.shape != shape:
            raise MeiflowError(
                f"{results.movie_windows}: shape {windows.shape} instead of {shape}; make the "
                "tables again"
            )
    found = thin_movies(
        images,
        table[neurons].to_numpy(float),
        table["repeats"].to_numpy(float),
        scenes.images,
        scene_repeats,
        config.model.movie_images,
        windows,
    )
    logger.info(
        f"movies: {len(found)} images that differ, of {len(table)} (effective number "
        f"{effective_number(images):.0f}; that of the {len(scenes.images)} scenes "
        f"{effective_number(scenes.images):.0f})"
    )
    return found


def read_windows(results: Layout) -> MovieWindows:
    """Read movie_windows.npz."""
    arrays = read_arrays(results.movie_windows)
    try:
        return MovieWindows(**arrays)
    except TypeError:
        raise MeiflowError(
            f"{results.movie_windows}: holds other arrays; make the tables again"
        ) from None


def movie_windows_table(
    windows: MovieWindows, chosen: NDArray[np.int64], neurons: list[str]
) -> pd.DataFrame:
    """One row per neuron and fold: the table ``models/movie_windows.csv``.

    Parameters
    ----------
    windows : MovieWindows
    chosen : ndarray of int, shape (folds + 1, neurons)
        See `meiflow.models.cross_validate.Fitted`.
    neurons : list of str
    """
    folds = [*map(str, range(1, len(chosen))), "all"]
    return pd.DataFrame(
        {
            "neuron_id": np.repeat(neurons, len(folds)),
            "fold": folds * len(neurons),
            "lag_s": windows.lag_s[chosen.T[: len(neurons)].ravel()],
            "width_s": windows.width_s[chosen.T[: len(neurons)].ravel()],
        }
    )


def drifting_stimuli(
    config: Config, results: Layout, has: SessionHas, scene_repeats: float, neurons: list[str]
) -> list[DriftingStimuli]:
    """Gabors and drifting gratings of ``model.learn_from``, with the responses of some neurons.

    Parameters
    ----------
    scene_repeats : float
        Mean number of trials of an image.
    """
    tables: dict[str, pd.DataFrame] = {}
    kinds: list[str] = list(config.model.learn_from)
    for kind, shown, path in (
        ("gabors", has.gabors, results.gabor_responses),
        ("drifting_gratings", has.drifting, results.drifting_responses),
    ):
        if shown and kind in kinds:
            table = _conditions(path, kind, neurons)
            if len(table):  # downloaded sessions have a table of every stimulus
                tables[kind] = table
    given = config.image.geometry, config.session.stimulus_parameters
    return gather_drifting(tables, *given, scene_repeats, neurons)


def _conditions(path: Path, kind: str, neurons: list[str]) -> pd.DataFrame:
    keys = PARAMETRIC[kind]
    table = read_csv(path, (*keys, "repeats", *neurons))
    return table.dropna(subset=[*keys, *neurons])
