"""What a run will read, do and leave out, before it starts: the command ``meiflow check``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, closest, shorten
from meiflow.images.projection import contrast_targets, require_reachable
from meiflow.models.custom import load_custom
from meiflow.models.soundness import check_on_images
from meiflow.progress import collect_notes, note
from meiflow.session.available import available_images
from meiflow.session.source import SessionFiles
from meiflow.stages.read_tables import (
    SessionTables,
    movie_images,
    read_tables,
    trial_length_s,
)
from meiflow.tables.checks import image_line, neuron_line, trial_line
from meiflow.tables.counts import BLANK

_USED = {"natural_scenes", "spontaneous", "invalid_presentation", *PARAMETRIC}
_NAMES = {"gabors": "Gabors"}


def describe_inputs(
    config: Config, files: SessionFiles, any_area: bool = False, run_code: bool = False
) -> list[str]:
    """Open the inputs of a session, and describe them in lines.

    Parameters
    ----------
    config : Config
        Configuration of the session.
    files : SessionFiles
        Paths of its inputs.
    any_area : bool
        Whether units in one of the areas are sufficient.
    run_code : bool
        Whether to import ``model.custom`` and to try the module of the first neuron.

    Raises
    ------
    MeiflowError
        For everything at which the tables stage would stop, for an ``mei.contrast`` that the images
        do not allow, and for a custom module that does not respond to them.
    """
    with collect_notes(silent=True) as notes:
        session, stack = read_tables(config, files.images, files.nwb, any_area, files.movies)
        lines = list(_lines(config, files, session, stack))
        _check_later(config, files, session, stack)
        if config.model.custom is not None and run_code:
            _try_custom(config.model.custom, config, session, stack)
    return [*lines, *(f"skipped: {text}" for text in _skipped(config, session)), *_marked(notes)]


def _marked(notes: list[str]) -> Iterator[str]:
    for text in notes:
        yield f"note: {text}"


def _lines(
    config: Config, files: SessionFiles, session: SessionTables, stack: NDArray
) -> Iterator[str]:
    trials, image = session.trials, config.image
    ids = np.unique(trials.image_ids[trials.image_ids != BLANK])
    if session.stack is not None:
        available, what = ids, f"{len(stack)} of the folder, {len(session.tests)} for testing only"
    elif session.binned or files.images is None:
        available, what = ids.tolist(), f"{len(stack)} bins of movies"
    else:
        available, what = available_images(files.images)
    yield f"images: {what}, used at {image.height} x {image.width}: " + image_line(
        stack, ids, available
    )
    yield f"trials: {trial_line(trials)}"
    if "units" in session.about:
        yield f"units: {session.about['units']}"
    yield f"neurons: {neuron_line(trials, trial_length_s(config, session))}"
    for name, shown in session.conditions.items():
        number = len(shown.parameters)
        if number:
            yield f"{name}: {len(shown.trial_ids)} presentations of {number} conditions"
    for movie in session.movies:
        passes, bins, _ = movie.counts.shape
        yield f"{movie.name}: {passes} passes, {bins} bins of {movie.per_bin} frames"


def _skipped(config: Config, session: SessionTables) -> Iterator[str]:
    """What a run leaves out, and why."""
    movies = {movie.name for movie in session.movies}
    for name, number in session.shown.items():
        if name in _USED | movies:
            continue
        wanted = name in config.session.movies.shown
        why = (
            "no usable pass, or no frames: session.movies.stacks"
            if wanted
            else "not used by meiflow; movies are named in session.movies.shown"
        )
        yield f"{name} ({number} presentations; {why})"
    tables = config.session.custom_tables
    for name in PARAMETRIC:
        shown = session.conditions.get(name)
        if shown is None or not len(shown.parameters):
            why = f"no table: session.{name}" if tables else "none were shown"
            yield f"tuning to {_NAMES.get(name, name.replace('_', ' '))} ({why})"
    if config.session.source != "simulated":
        yield "closed loop (the ground truth is known for simulated sessions only)"
    if config.model.custom is not None:
        yield "confidence in the MEIs (model.custom has no fold models)"


def _check_later(
    config: Config, files: SessionFiles, session: SessionTables, stack: NDArray
) -> None:
    """What the rest of the tables stage and later stages require of these inputs."""
    if files.movies is not None and not session.binned:
        movie_images(config, session, files.movies)
    neurons = session.trials.neuron_ids
    for key in ("include", "exclude"):
        for neuron in getattr(config.selection, key):
            if neuron not in neurons:
                text = f"selection.{key}: no neuron {neuron!r}{closest(neuron, neurons)}"
                if key == "include":
                    raise MeiflowError(f"{text}; the neurons are {shorten(neurons, 4)}")
                note(text)
    mean, contrast = contrast_targets(
        config.mei.mean,
        config.mei.contrast,
        float(stack.mean()),
        float(stack.std(axis=(1, 2)).mean()),
    )
    require_reachable(mean, contrast, "mei.contrast")


def _try_custom(spec: str, config: Config, session: SessionTables, stack: NDArray) -> None:
    neuron = session.trials.neuron_ids[0]
    module = load_custom(spec, neuron, config.image.geometry)
    check_on_images(module, stack[:, None], f"model.custom {spec} (neuron {neuron})")
