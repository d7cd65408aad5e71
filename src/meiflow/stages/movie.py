"""The movie stage: optimal movies for a custom spatio-temporal model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.figures.stimuli import film_strip
from meiflow.figures.style import save_figure
from meiflow.io.files import write_array, write_csv
from meiflow.models.custom import call_function
from meiflow.models.device import chosen_device
from meiflow.models.soundness import check_repeatable
from meiflow.results.layout import Layout
from meiflow.stimuli.movie import most_exciting_movie
from meiflow.stimuli.objectives import IncreaseObjective, LastReducer

# What a user's module may raise.
_OF_USERS = (ValueError, RuntimeError, TypeError, IndexError)


def load_movie_model(spec: str, geometry: Any) -> nn.Module:
    """Call a custom ``module:function`` with the geometry of the frames.

    Raises
    ------
    MeiflowError
        If it cannot be imported or called, or does not return a module.
    """
    name = f"movie.model {spec}"
    module = call_function(spec, name, geometry, what="(geometry)")
    if not isinstance(module, nn.Module):
        raise MeiflowError(
            f"{name}: is a {type(module).__name__}, not a torch.nn.Module; it must map movies "
            "(batch, channels, frames, height, width) to responses (batch, [frames,] neurons)"
        )
    return module


def make_movies(config: Config, results: Layout) -> None:
    """Make optimal movies for the custom spatio-temporal model (movie.model)."""
    options = config.movie
    if options.model is None:
        raise MeiflowError(
            "movie.model: null; to make movies, give the module:function of a spatio-temporal model"
        )
    geometry = config.image.geometry
    model = load_movie_model(options.model, geometry).to(chosen_device())
    shape = (options.channels, options.frames, *geometry.shape)
    name = f"movie.model {options.model}"
    generator = torch.Generator().manual_seed(config.seed)
    probe = torch.rand((3, *shape), generator=generator).to(chosen_device())
    try:
        check_repeatable(model.eval(), model, probe, name)
    except _OF_USERS as error:
        raise MeiflowError(f"{name}: fails on movies of shape {(3, *shape)}: {error}") from None
    movies, rows = [], []
    for neuron in options.neurons:
        reduce = LastReducer() if options.response == "last" else None
        try:
            found = most_exciting_movie(
                model,
                shape,
                options.mean,
                options.contrast,
                IncreaseObjective(neuron, reduce),
                options.restarts,
                options.steps,
                exponent=options.smoothing_exponent,
                temporal_sigma=options.temporal_sigma,
                seed=config.seed,
                label=f"movie of neuron {neuron}",
            )
        except _OF_USERS as error:
            raise MeiflowError(f"{name}: fails on movies of shape {(1, *shape)}: {error}") from None
        if float(np.ptp(found.trace.objective)) == 0:
            raise MeiflowError(
                f"{name}: the response of neuron {neuron} is {found.scores.max():.4g} at every "
                f"step from all {options.restarts} starts; movies are luminance in 0..1"
            )
        movies.append(found.images[found.best])
        rows.append(
            {
                "neuron_id": neuron,
                "predicted_response": found.scores[found.best],
                "lowest_restart": found.scores.min(),
                "mean": movies[-1].mean(),
                "rms_contrast": movies[-1].std(),
                "steps": options.steps,
                "best_step": int(found.best_steps[found.best]),
            }
        )
    stack = np.stack(movies)
    files = results.procedure("movies")
    write_array(stack, files.images)
    write_csv(pd.DataFrame(rows), files.table)
    names = [f"neuron {n}" for n in options.neurons]
    save_figure(film_strip(stack, names), files.picture)
