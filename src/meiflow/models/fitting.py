"""Fit the models of a population from arrays, and score them on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.config.config import parse_config
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Model, StimulusParameters
from meiflow.errors import MeiflowError, shorten
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import REGIONS, luminance
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_auxiliary
from meiflow.models.cross_validate import Fitted, TrainingMeans, fit_all
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.fit_cache import FitCache
from meiflow.models.fitted import FittedPopulation
from meiflow.models.front_end import FrontEnd
from meiflow.models.gaze import GazeViews
from meiflow.models.members import State
from meiflow.models.movie_stimuli import MovieStimuli
from meiflow.models.outcome import outcomes, sound
from meiflow.models.search import Places
from meiflow.models.table import Scorer, image_weights, predicted_responses
from meiflow.models.threads import one_torch_thread
from meiflow.response_type import ResponseType
from meiflow.tables.arrays import as_trials
from meiflow.tables.counts import mean_responses
from meiflow.tables.stack import BinnedMovie

# Keys of the section `model` that do not apply when arrays are fitted.
_OF_THE_WORKFLOW = {"custom", "custom_files", "gain", "gaze", "learning_curve", "curve_models"}


@dataclass(frozen=True)
class PopulationFit:
    """Models of a population, their scores, and which fits failed.

    Parameters
    ----------
    fitted : Fitted
    scores : DataFrame
        One row per neuron and model; see `meiflow.models.table.Scorer.row`.
    status : DataFrame
        neuron_id, fitted, reason; see `meiflow.models.outcome.outcomes`.
    """

    fitted: Fitted
    scores: pd.DataFrame
    status: pd.DataFrame

    @cached_property
    def models(self) -> dict[str, dict[str, Any]]:
        """Parameters of the model of each neuron whose fit succeeded."""
        n = len(self.fitted.fold_states)
        return {name: self._document(name, n, self.fitted.states) for name in self._columns}

    def fold_models(self, neuron: str) -> list[dict[str, Any]]:
        """Parameters of the fold models of a neuron."""
        folds = enumerate(self.fitted.fold_states)
        return [self._document(neuron, fold, states) for fold, states in folds]

    def without(self, neuron: str) -> dict[str, dict[str, Any]]:
        """Parameters of a neuron's models that were not fitted to one kind of stimulus, by kind.

        A kind without which one of the base models could not be fitted is left out.
        """
        column = self._columns[neuron]
        used = self.fitted.weights[column] > 0
        return {
            kind: self._document(neuron, 0, states, places)
            for kind, (places, states) in self.fitted.without.items()
            if all(sound(state) for state, own in zip(states[column], used, strict=True) if own)
        }

    @cached_property
    def _columns(self) -> dict[str, int]:
        pairs = zip(self.status["neuron_id"], self.status["fitted"], strict=True)
        return {neuron: column for column, (neuron, fine) in enumerate(pairs) if fine}

    def _document(
        self, neuron: str, subset: int, states: list[list[State]], places: Places | None = None
    ) -> dict[str, Any]:
        column, places = self._columns[neuron], places or self.fitted.places
        units = self.fitted.units
        return {
            "x_deg": float(places.x[subset, column]),
            "y_deg": float(places.y[subset, column]),
            "base_models": states[column],
            "weights": self.fitted.weights[column].tolist(),
        } | ({} if units is None else {"unit": float(units[column])})


def fit_population(
    images: NDArray,
    means: NDArray,
    neuron_ids: list[str],
    scorer: Scorer,
    geometry: Geometry,
    config: Model,
    seed: int,
    threads: int = 1,
    parts: FitCache | None = None,
    extra: AuxiliaryStimuli | None = None,
    movies: MovieStimuli | None = None,
    training_means: TrainingMeans | None = None,
    bins: Sequence[BinnedMovie] = (),
    real: bool = False,
    tests: NDArray[np.bool_] | None = None,
    drifting: Sequence[DriftingStimuli] = (),
    gaze: GazeViews | None = None,
) -> PopulationFit:
    """Fit every neuron's models and baselines and score them on held-out images.

    Parameters
    ----------
    images, means, geometry, config, seed, threads, parts, extra, movies, training_means, bins,
    real, tests, drifting, gaze
        As for `meiflow.models.cross_validate.fit_all`.
    neuron_ids : list of str
    scorer : Scorer
        Scorer for the trials from which `means` was computed; images are weighted by their number
        of repeats.

    Notes
    -----
    If the fit of a neuron fails, the reason is recorded, and the other neurons are not affected.
    """
    weights = image_weights(scorer.repeats)
    given = images, means, weights, geometry, config, seed, threads
    fitted = fit_all(
        *given, parts, extra, movies, training_means, bins, real, tests, drifting, gaze
    )
    status = outcomes(neuron_ids, means, fitted)
    folds = len(fitted.held_out)
    sizes = _sizes(config, images, fitted)
    rows = []
    for column, neuron in enumerate(neuron_ids):
        for model, predicted in fitted.predictions.items():
            target = predicted_responses(model, means, fitted.shuffled_means)
            own = predicted[:, column], target[:, column]
            row = scorer.row(column, model, *own, folds, sizes[model])
            rows.append({"neuron_id": neuron} | row)
    return PopulationFit(fitted, pd.DataFrame(rows), status)


def _sizes(config: Model, images: NDArray, fitted: Fitted) -> dict[str, int]:
    """Number of parameters of every model."""
    own = {
        # including bias, RF position and penalty; for ln, also rectifier and width
        "v1": FrontEnd.from_config(config).n_channels + 4,
        "ln": images[0].size + 6,
        "gabor_energy": 14,
    }
    fine = next((state for state in fitted.states if all(state)), None)
    own |= {
        name: _state_size(fine[i]) if fine else 0
        for i, name in enumerate(fitted.members)
        if name not in own
    }
    whole = sum(own[name] for name in config.members)
    return own | {
        "model": whole,
        "model_shuffled": whole,
        "pixel_ridge": images[0].size + 2,
        "luminance": REGIONS[0] * REGIONS[1] + 2,
        "mean": 1,
    }


def _state_size(state: dict[str, Any]) -> int:
    if "maps" in state:  # including bias, position, width and penalty
        learned = sum(tensor.numel() for tensor in state["maps"].get("layer", {}).values())
        return int(state["positions"].numel() + state["channels"].numel() + learned + 5)
    return sum(
        tensor.numel()
        for network in state["networks"]
        for part in ("core", "readout")
        for name, tensor in network[part].items()
        if "running" not in name and "batches" not in name
    )


def fit(
    images: ArrayLike,
    counts: Any,
    screen: Geometry,
    *,
    neurons: Sequence[object] | None = None,
    image_ids: ArrayLike | None = None,
    trial_images: ArrayLike | None = None,
    response: str = "counts",
    average: str = "mean",
    base_models: Sequence[str] = ("v1", "v1_window", "cnn", "ln", "gabor_energy"),
    folds: int = 5,
    seed: int = 0,
    threads: int = 1,
    **settings: Any,
) -> FittedPopulation:
    """Fit a model to each neuron's responses to a set of images, and cross-validate it.

    A model is a stacked ensemble: ridge readouts of a bank of simple and complex cells, at one
    position (``v1``) and through a window (``v1_window``), a convolutional network trained on all
    neurons (``cnn``), a linear-nonlinear model (``ln``) and a Gabor-energy model with divisive
    normalisation (``gabor_energy``), weighted by how well they predict held-out images. RF
    position, penalties and weights are determined separately from the training images of each fold.
    What suits the other neurons of the call counts as prior knowledge, so that neurons recorded
    together are best fitted together.

    Parameters
    ----------
    images : array_like, shape (images, height, width)
        Luminance, 0 black to 1 white.
    counts : array_like, DataFrame or DataArray
        Spike counts or rates of the trials: an array (repeats, images, neurons), NaN where an
        image has fewer repeats; an array (trials, neurons) with `trial_images`; a DataFrame with
        the columns trial_id, neuron_id, image_id, spike_count, in which a missing pair of trial and
        neuron means zero spikes; or a DataArray with the dimensions (repeat, image, neuron) or
        (trial, neuron), the latter with a coordinate ``image_id`` along the trials. Mean counts
        are also accepted, as an array (images, neurons) or a DataArray (image, neuron), but
        without single trials the noise is unknown and ``cc_norm`` is NaN.
    screen : Geometry
        Size of the images in pixels and in degrees of visual angle.
    neurons : sequence of str, optional
        Ids for the columns of an array; default ``u0``, ``u1``, ... For counts with ids, the
        neurons to fit; default all.
    image_ids : array_like of int, shape (images,), optional
        Ids by which `counts` refers to `images`. Default: the coordinate ``image`` of a DataArray,
        otherwise the position in `images`, starting at 0.
    trial_images : array_like of int, shape (trials,), optional
        Image id of each trial. -1, here or in the column image_id, means a blank screen; blanks
        are used for fitting but not scored.
    response : {"counts", "real"}
        ``real`` for real numbers, which may be negative (dF/F, events, z scores): Gaussian noise
        and no rectifier. In a DataFrame, they are in the column response; no row may be missing.
    average : {"mean", "median"}
        Average over the trials of an image; medians, against outliers, of real numbers only.
    base_models : sequence of str
        Base models of the ensemble; the convolutional networks ``scratch`` and ``shared`` are
        also available.
    folds : int
        Number of cross-validation folds; images are split.
    seed : int
        Seed of folds, shuffled control and bootstrap.
    threads : int
        Number of threads; the result does not depend on it.
    **settings
        Other keys of the configuration section ``model``, such as ``stride=3``.

    Returns
    -------
    FittedPopulation

    Raises
    ------
    MeiflowError
        If images, counts or settings are invalid or inconsistent, or no neuron could be fitted.

    Examples
    --------
    Spike counts of a rectified linear neuron in four repeats of 60 noise images:

    >>> import meiflow as mf
    >>> from meiflow.images.patterns import gabor
    >>> screen = mf.Geometry(12, 20, width_deg=100.0, height_deg=60.0)
    >>> rng = np.random.default_rng(0)
    >>> images = rng.uniform(0, 1, (60, 12, 20))
    >>> field = gabor(screen, 10.0, 5.0, 40.0, 30.0, 0.0, 12.0)
    >>> rate = np.maximum(4 + 4 * ((images - 0.5) * field).sum((1, 2)), 0)
    >>> counts = rng.poisson(rate, (4, 60))[:, :, None]
    >>> fast = {"wavelengths_deg": [30.0, 45.0], "stride": 3, "ln": {"penalties": [0.01]}}
    >>> pop = mf.fit(images, counts, screen, folds=3, **fast)
    >>> pop.neurons
    ['u0']
    >>> scores = pop.score().set_index("model")["cc_abs"]
    >>> bool(scores["model"] > 0.8), bool(abs(scores["model_shuffled"]) < 0.2)
    (True, True)
    >>> pop.predict(images[:2]).sizes
    Frozen({'image': 2, 'neuron': 1})
    """
    config = _model_config(base_models, folds, settings)
    stack = luminance(images, screen)
    ids = _ids(images, counts, len(stack)) if image_ids is None else np.asarray(image_ids)
    if ids.shape != (len(stack),):
        raise MeiflowError(f"image_ids: shape {ids.shape} for {len(stack)} images")
    if len(stack) < folds:
        raise MeiflowError(f"folds: {folds} folds need at least as many images, got {len(stack)}")
    trials = as_trials(counts, ids, neurons, trial_images, _response(response, average))
    order = np.argsort(ids)
    image_order, means = mean_responses(trials.of_images())
    extra = gather_auxiliary(
        config.learn_from, screen, StimulusParameters(), trials, None, trials.neuron_ids
    )
    with one_torch_thread():
        found = fit_population(
            stack[order],
            means,
            trials.neuron_ids,
            Scorer.of(trials.of_images(), seed),
            screen,
            config,
            seed,
            threads,
            None,
            extra,
            real=trials.response.real,
        )
    return as_population(found, screen, image_order, float(stack.mean()))


def _response(response: str, average: str) -> ResponseType:
    if response not in ("counts", "real"):
        raise MeiflowError(f"response: {response!r} is neither counts nor real")
    if average not in ("mean", "median"):
        raise MeiflowError(f"average: {average!r} is neither mean nor median")
    if average == "median" and response == "counts":
        raise MeiflowError('average: medians are available with response="real" only')
    return ResponseType(response == "real", average)


def _model_config(base_models: Sequence[str], folds: int, settings: dict[str, Any]) -> Model:
    wrong = _OF_THE_WORKFLOW & settings.keys()
    if wrong:
        raise MeiflowError(f"fit: {min(wrong)} applies to the workflow only; remove it")
    section = settings | {"base_models": list(base_models), "folds": folds}
    config = parse_config({"model": section}, "fit").for_source().model
    for name in PARAMETRIC:
        if name in settings.get("learn_from", ()):
            raise MeiflowError(
                f"fit: learn_from: {name} are only available in the workflow; remove them"
            )
    return config


def _ids(images: Any, counts: Any, n: int) -> NDArray[np.int64]:
    """Default image ids: the coordinate ``image``, or else the positions."""
    for array in (images, counts):
        if "image" in getattr(array, "dims", ()) and "image" in array.coords:
            return np.asarray(array["image"])
    return np.arange(n)


def as_population(
    found: PopulationFit, screen: Geometry, image_ids: NDArray[np.int64], mean: float
) -> FittedPopulation:
    """Models and scores as the object that `fit` returns.

    Parameters
    ----------
    found : PopulationFit
    screen : Geometry
    image_ids : ndarray of int, shape (images,)
    mean : float
        Mean luminance of the images.

    Raises
    ------
    MeiflowError
        If no neuron could be fitted.
    """
    import xarray as xr

    status = found.status.set_index("neuron_id")
    failed = status.loc[~status["fitted"], "reason"].to_dict()
    if len(failed) == len(status):
        reasons = shorten((f"{neuron}: {reason}" for neuron, reason in failed.items()), 3)
        raise MeiflowError(f"no neuron could be fitted ({reasons})")
    coordinates = {"image": image_ids, "neuron": list(status.index)}
    held_out = xr.DataArray(
        found.fitted.predictions["model"], coordinates, ("image", "neuron"), name="response"
    )
    return FittedPopulation(screen, found.models, failed, found.scores, held_out, mean)
