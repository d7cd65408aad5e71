"""Methods that stand in the benchmark: ours, published ones, and references.

All but ``best-natural`` make their stimuli with the same models, which are fitted once per
recording (`shared_models`). Nothing here knows the neurons themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.benchmark.entry import Answer, Method, NotInstalledError, Recording
from meiflow.config.sections import Gabor, Model
from meiflow.errors import MeiflowError, closest
from meiflow.models.custom import load_function
from meiflow.models.fitted import FittedPopulation
from meiflow.models.fitting import PopulationFit, as_population, fit_population
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.models.table import Scorer
from meiflow.stimuli.gabor_search import best_gabors
from meiflow.stimuli.of_model import mei
from meiflow.stimuli.optimiser import Optimised
from meiflow.stimuli.published import notebook_mei, walker_mei
from meiflow.tables.arrays import as_trials
from meiflow.validation.confidence import Evidence
from meiflow.validation.trust import calibration

# Of openretina's own scripts and its tutorial.
_SGD_RATE, _SGD_STEPS, _RANGE_PENALTY = 100.0, 50, 0.1
_PUBLISHED_STEPS = 1000


@dataclass(frozen=True)
class SharedModels:
    """Models of a recording.

    Parameters
    ----------
    population : FittedPopulation
    fit : PopulationFit
        The same with the models of single folds.
    columns : list of int
        The neurons that have a model, in its order.
    cpu_s : float
        CPU time of the fit in seconds.
    """

    population: FittedPopulation
    fit: PopulationFit
    columns: list[int]
    cpu_s: float

    def spread(self, values: NDArray, neurons: int) -> NDArray:
        """Values of all neurons from those with a model; NaN for the others."""
        found = np.full((neurons, *values.shape[1:]), np.nan, np.float32)
        found[self.columns] = values
        return found


@lru_cache(maxsize=1)
def shared_models(recording: Recording) -> SharedModels:
    """Our default models, fitted once per recording, for methods that optimise a model.

    ``shared_models(recording).population`` is what `meiflow.fit` returns; its neurons are called
    ``u0``, ``u1``, ... A fit takes minutes.
    """
    began = time.process_time()
    images = np.arange(len(recording.images))
    trials = as_trials(recording.counts, images)
    found = fit_population(
        recording.images.copy(),  # torch warns of arrays that are read-only
        recording.mean_counts,
        trials.neuron_ids,
        Scorer.of(trials, recording.seed),
        recording.screen,
        Model(),
        recording.seed,
    )
    population = as_population(found, recording.screen, images, float(recording.images.mean()))
    columns = [trials.neuron_ids.index(name) for name in population.neurons]
    return SharedModels(population, found, columns, time.process_time() - began)


def _on_shared_models(
    make: Callable[[Recording, FittedPopulation], NDArray],
) -> Callable[[Recording], Answer]:
    """A method from stimuli (neurons with a model, height, width) of shared models."""

    def method(recording: Recording) -> Answer:
        known = shared_models.cache_info().misses
        shared = shared_models(recording)
        again = shared_models.cache_info().misses == known
        stimuli = shared.spread(make(recording, shared.population), recording.neurons)
        return Answer(stimuli, shared_cpu_s=shared.cpu_s if again else 0.0)

    return method


def _our_stimuli(recording: Recording, population: FittedPopulation) -> NDArray:
    found = mei(population, mean=recording.mean, contrast=recording.contrast, seed=recording.seed)
    return np.asarray(found.values)


def _meiflow(recording: Recording) -> Answer:
    """MEIs of our models, and whether to trust them."""
    answer = _on_shared_models(_our_stimuli)(recording)
    shared = shared_models(recording)
    scores = shared.fit.scores.set_index(["neuron_id", "model"])
    rows = []
    for column, name in zip(shared.columns, shared.population, strict=True):
        folds = [
            NeuronModel.of(recording.screen, document).eval()
            for document in shared.fit.fold_models(name)
        ]
        evidence = Evidence.of(
            shared.population[name],
            folds,
            answer.stimuli[column],
            recording.images,
            recording.mean_counts[:, column],
            recording.mean,
            recording.contrast,
        )
        own = scores.loc[(name, "model")]
        names = ["cc_abs", "cc_norm", "cc_norm_low", "ceiling_error"]
        rows.append(own[names].to_dict() | asdict(evidence))
    table = pd.DataFrame(rows, index=shared.columns, dtype=float)
    table = table.reindex(range(recording.neurons))
    judged = calibration().judge(table)
    table["expected_fraction"], trusted = judged["expected_fraction"], judged["trusted"].to_numpy()
    details = {name: table[name].to_numpy() for name in table}
    return Answer(answer.stimuli, trusted, details, answer.shared_cpu_s)


def _best_gabor(recording: Recording, population: FittedPopulation) -> NDArray:
    found = best_gabors(
        population.models, recording.screen, recording.mean, recording.contrast, Gabor()
    )
    return np.stack([gabor.image for gabor in found])


def _best_natural(recording: Recording) -> NDArray:
    """The image with the highest mean count of each neuron, at the required contrast."""
    return recording.matched(recording.images[recording.mean_counts.argmax(axis=0)])


def _as_published(procedure: Callable[..., Optimised]) -> Method:
    """A published procedure, brought to the required mean and contrast afterwards."""

    def make(recording: Recording, population: FittedPopulation) -> NDArray:
        n = len(population)
        found = procedure(
            PairedModel(population.models).eval(),
            recording.screen,
            recording.images,
            recording.seed,
            _PUBLISHED_STEPS,
            n=n,
        )
        return recording.matched(found.stimuli.numpy())

    return _on_shared_models(make)


class _OneFrame(nn.Module):
    """A model as openretina expects it: contrast (batch, 1, height, width) to (batch, 1, 1)."""

    def __init__(self, model: NeuronModel, mean: float) -> None:
        super().__init__()
        self.model, self.mean = model, mean

    def forward(self, contrast: Tensor) -> Tensor:
        responses: Tensor = self.model(contrast[:, 0] + self.mean)
        return responses[:, None, None]


def _openretina(recording: Recording, population: FittedPopulation) -> NDArray:
    """Openretina's loop from white noise, with its norm and limits; one neuron at a time."""
    from openretina.insilico.stimulus_optimization.objective import IncreaseObjective, MeanReducer
    from openretina.insilico.stimulus_optimization.optimization_stopper import OptimizationStopper
    from openretina.insilico.stimulus_optimization.optimizer import optimize_stimulus
    from openretina.insilico.stimulus_optimization.regularizer import (
        ChangeNormJointlyClipRangeSeparately,
        RangeRegularizationLoss,
    )

    generator = torch.Generator().manual_seed(recording.seed)
    norm = recording.contrast * (recording.screen.height * recording.screen.width) ** 0.5
    limits = [(-recording.mean, 1 - recording.mean)]
    stimuli = []
    for model in population.models:
        noise = torch.randn((1, 1, *recording.screen.shape), generator=generator)
        stimulus = (noise * norm / torch.linalg.vector_norm(noise)).requires_grad_(True)
        optimize_stimulus(
            stimulus,
            lambda parameters: torch.optim.SGD(parameters, lr=_SGD_RATE),
            IncreaseObjective(_OneFrame(model, recording.mean), 0, None, MeanReducer()),
            OptimizationStopper(_SGD_STEPS),
            RangeRegularizationLoss(limits, norm, _RANGE_PENALTY),
            ChangeNormJointlyClipRangeSeparately(limits, norm),
        )
        stimuli.append(stimulus.detach()[0, 0].numpy() + recording.mean)
    return recording.matched(np.stack(stimuli))


def _require_openretina(recording: Recording) -> Answer:
    from importlib.util import find_spec

    if find_spec("openretina") is None:
        raise NotInstalledError("openretina is not installed (pip install openretina)")
    return _on_shared_models(_openretina)(recording)


METHODS: dict[str, Method] = {
    "meiflow": _meiflow,
    "best-gabor": _on_shared_models(_best_gabor),
    "best-natural": _best_natural,
    "notebook": _as_published(notebook_mei),
    "walker": _as_published(walker_mei),
    "openretina": _require_openretina,
}
REFERENCE = "best-natural"


def load_method(name: str) -> Method:
    """A method by its name, or a custom one by ``module:function``.

    Raises
    ------
    MeiflowError
        If there is none.

    Examples
    --------
    >>> try:
    ...     load_method("walkr")
    ... except MeiflowError as error:
    ...     print(str(error)[:46])
    walkr: no such method (did you mean 'walker'?)
    """
    if name in METHODS:
        return METHODS[name]
    if ":" not in name:
        raise MeiflowError(
            f"{name}: no such method{closest(name, METHODS)}; known: {', '.join(METHODS)}; custom "
            "methods are given as module:function"
        )
    return load_function(name, name, "(recording)")
