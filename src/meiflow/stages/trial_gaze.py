"""Views of the images by gaze, from the tables of a session."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.models.gaze import VIEWS, GazeViews, centred_gaze
from meiflow.progress import logger
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.trial_gain import presentations_of
from meiflow.tables.counts import Responses, Trials

_COLUMNS = ["gaze_x_deg", "gaze_y_deg"]  # as in `tables/presentations.csv`
_LEAST = 0.5  # of the trials, whose gaze must be known


def gaze_views(
    config: Config, results: Layout, has: SessionHas, trials: Trials, responses: Responses
) -> GazeViews | None:
    """Views of the images for ``model.gaze``; None if none are wanted or, with auto, possible.

    Parameters
    ----------
    trials : Trials
        All trials of the session.
    responses : Responses
        Images of the session.

    Raises
    ------
    MeiflowError
        If the shift is requested but gaze was not recorded, or what is requested besides excludes
        it.
    """
    kind = config.model.gaze
    if kind == "none":
        return None
    for key, other, allowed in (
        ("model.gain", config.model.gain, "none"),
        ("session.average", trials.response.average, "mean"),
    ):
        if other != allowed:
            raise MeiflowError(
                f"model.gaze: {kind} cannot be combined with {key}: {other}; use {key}: {allowed}, "
                "or model.gaze: none"
            )
    reason, gaze = _recorded(results, has, trials, responses)
    if gaze is None:
        if kind == "shift":
            raise MeiflowError(
                f"model.gaze: shift was requested, but {reason}; use auto (which then does "
                "without) or none"
            )
        logger.info(f"gaze is not used: {reason}")
        return None
    shown = trials.of_images()
    _, codes = np.unique(shown.image_ids, return_inverse=True)
    known = np.asarray(np.isfinite(gaze).all(axis=1))
    x, y = np.std(centred_gaze(gaze)[known], axis=0)
    views = GazeViews.of(
        responses.images, shown.counts, codes, gaze, config.image.geometry, kind == "shift"
    )
    logger.info(
        f"gaze: standard deviation {x:.1f} degrees in azimuth and {y:.1f} in elevation, known in "
        f"{known.sum()} of {len(known)} trials; {views.means.shape[1]} views of every image"
    )
    return views


def gaze_of(shown: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Recorded gaze during presentations in degrees, by name."""
    found = {name: shown[name].to_numpy(float) for name in _COLUMNS if name in shown}
    return {
        name.removesuffix("_deg"): angle
        for name, angle in found.items()
        if np.isfinite(angle).any()
    }


def _recorded(
    results: Layout, has: SessionHas, trials: Trials, responses: Responses
) -> tuple[str, NDArray[np.float64] | None]:
    """Why gaze cannot be used, or gaze during the trials of images (trials, 2)."""
    if responses.movies:
        return "the images of this session are bins of movies", None
    if not has.spike_times:
        return "gaze is only known from a session file", None
    if not set(_COLUMNS) <= set(read_csv(results.presentations).columns):
        return "this session has no recorded gaze", None
    shown = trials.of_images()
    gaze = presentations_of(results, shown)[_COLUMNS].to_numpy(float)
    known = np.isfinite(gaze).all(axis=1).mean()
    if known < _LEAST:
        return f"gaze is known in only {100 * known:.0f} % of the trials", None
    fewest = np.unique(shown.image_ids, return_counts=True)[1].min()
    if fewest < VIEWS:
        return f"an image has only {fewest} trials, fewer than {VIEWS}", None
    return "", gaze
