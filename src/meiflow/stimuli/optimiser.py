"""Optimiser of stimuli for any objective and any differentiable model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.projection import statistics
from meiflow.progress import track
from meiflow.stimuli.objectives import (
    IncreaseObjective,
    Objective,
    ResponseModel,
    check_depends,
    evaluated,
)
from meiflow.stimuli.parameterisation import Parameterisation
from meiflow.stimuli.postprocessors import Postprocessor, apply_all
from meiflow.stimuli.preconditioning import Preconditioner
from meiflow.stimuli.regularisers import Regulariser
from meiflow.stimuli.stoppers import Iterations, Stopper, as_stoppers
from meiflow.stimuli.transforms import Transform
from meiflow.stimuli.updates import Ascent, Update


@dataclass(frozen=True)
class OptimisationTrace:
    """Values at every step, beginning with the start; each (steps + 1, batch).

    Parameters
    ----------
    objective : ndarray
        Objective of the stimulus at that step, as seen by the model.
    penalty : ndarray
        Sum of the regularisers.
    mean, rms_contrast : ndarray
        Mean and RMS contrast over all pixels of the stimulus.
    """

    objective: NDArray[np.float64]
    penalty: NDArray[np.float64]
    mean: NDArray[np.float64]
    rms_contrast: NDArray[np.float64]


@dataclass(frozen=True)
class Optimised:
    """Best stimuli of a batch, and the course of the optimisation.

    Parameters
    ----------
    stimuli : Tensor, shape (batch, [channels, time,] height, width)
        The best iterate of each start, not the last one. With a transform, the best of three
        candidates without it: the best iterate under the transform, the start and the end.
    scores : ndarray, shape (batch,)
        Objective of these stimuli, re-evaluated without the transform.
    best_steps : ndarray of int, shape (batch,)
        Steps at which they were found.
    trace : Trace
    stopped : tuple of str
        Why each start stopped: 'iterations', or the name of a stopper.
    seed : int or None
        Seed passed by the caller, which drew the starts.
    last : Tensor, shape of `stimuli`
        The last iterate of each start, which some procedures use.
    """

    stimuli: Tensor
    scores: NDArray[np.float64]
    best_steps: NDArray[np.int64]
    trace: OptimisationTrace
    stopped: tuple[str, ...]
    seed: int | None
    last: Tensor

    @property
    def best(self) -> int:
        """Index of the start with the highest score."""
        return int(self.scores.argmax())

    @property
    def images(self) -> NDArray[np.float32]:
        """The stimuli as a NumPy array."""
        return self.stimuli.cpu().numpy()


def _check_starts(starts: Tensor) -> None:
    if not isinstance(starts, Tensor):
        raise ValueError(
            f"starts must be a torch tensor, got {type(starts).__name__}; convert it with "
            "torch.as_tensor"
        )
    if starts.ndim < 3 or not starts.is_floating_point() or not len(starts):
        raise ValueError(
            "starts must be a batch of images (batch, ..., height, width) in floating point, got "
            f"{tuple(starts.shape)} of {starts.dtype}"
        )


def _check(
    value: Tensor, stimuli: Tensor, step: int, who: str = "the objective", what: str = "response"
) -> None:
    if not isinstance(value, Tensor) or value.shape != (len(stimuli),):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"{who} returned {shape} for a batch of {len(stimuli)} stimuli; expected one number "
            "per stimulus"
        )
    # the sum is not finite if any number is not
    if not isfinite(float(value.detach().sum())) and not bool(torch.isfinite(value).all()):
        raise ValueError(f"the {what} is not finite at step {step}")


def optimise(
    model: ResponseModel,
    starts: Tensor,
    objective: Objective | None = None,
    *,
    regularisers: Sequence[Regulariser] = (),
    preconditioners: Sequence[Preconditioner] = (),
    update: Update | None = None,
    postprocessors: Sequence[Postprocessor] = (),
    transform: Transform | None = None,
    parameterisation: Parameterisation | None = None,
    stop: Stopper | int | Sequence[Stopper] | None = None,
    project_start: bool = True,
    seed: int | None = None,
    label: str = "",
) -> Optimised:
    """Maximise an objective of a model's responses over a batch of stimuli.

    Each step calls the model once for both value and gradient; the gradient is then preconditioned,
    the stimulus updated and postprocessed.

    Parameters
    ----------
    model : callable
        Differentiable map from stimuli to responses, batch first; see `meiflow.stimuli.objectives`.
        Modules are temporarily put in evaluation mode; they and their gradients are not changed.
    starts : Tensor, shape (batch, [channels, [time,]] height, width)
        Floating-point starts on any device; not modified.
    objective : Objective
        By default the mean response.
    regularisers, preconditioners, postprocessors : sequences
        See the modules of these names.
    update : Update
        By default gradient ascent with a step size of 0.1.
    transform : callable, optional
        Transform before the model, such as `RandomAffine`; scores are computed without it.
    parameterisation : Parameterisation, optional
        By default pixels.
    stop : Stopper, number of steps, or sequence of stoppers
        By default 100 steps. The lowest `maximum` applies, and the first stopper to stop a
        stimulus. Stopped stimuli are not changed any further, so that a batch gives the same
        results as one stimulus at a time.
    project_start : bool
        Whether the starts are also postprocessed.
    seed : int, optional
        Seed, stored in the result.
    label : str
        Label of the progress display; empty for none.

    Returns
    -------
    Optimised

    Raises
    ------
    ValueError
        If starts are not a batch of images, or if the objective does not return one finite number
        per stimulus or does not depend on the stimuli.

    Examples
    --------
    >>> from meiflow import stimuli as st
    >>> light = lambda images: images.mean((1, 2))[:, None]
    >>> dark = torch.full((2, 6, 8), 0.2)
    >>> found = optimise(light, dark, postprocessors=[st.ClipRange()], stop=100)
    >>> found.stimuli.shape, round(float(found.scores[found.best]), 2)
    (torch.Size([2, 6, 8]), 0.41)
    """
    _check_starts(starts)
    objective = IncreaseObjective() if objective is None else objective
    stop = Iterations(100) if stop is None else stop
    stoppers = as_stoppers(stop)
    if update is not None and not hasattr(update, "begin"):
        raise ValueError(
            f"update must be an Ascent or a TorchOptimiser, got {type(update).__name__}"
        )
    steps = min(stopper.maximum for stopper in stoppers)
    with evaluated(model), torch.no_grad():
        stimuli = starts.detach().clone()
        if project_start:
            stimuli = apply_all(postprocessors, stimuli, 0, steps)
        parameters = stimuli if parameterisation is None else parameterisation.encode(stimuli)
        move = (Ascent(0.1) if update is None else update).begin(parameters)
        first = stimuli
        best, stopping = _Best(stimuli), _Stopping(stoppers, len(starts), starts.device)
        before: Tensor | None = None
        history: list[Tensor] = []
        for step in track(range(steps + 1), label, steps + 1) if label else range(steps + 1):
            value, penalty, gradient = _evaluate(
                model, stimuli, objective, regularisers, transform, step, step < steps
            )
            history.append(torch.stack([value, penalty, *statistics(stimuli)]))
            total = value - penalty if regularisers else value
            best.keep(total, stimuli, step, stopping.active)
            stopping.look(total, stimuli, before)
            if stopping.all_stopped:
                break
            if gradient is None:
                continue  # the last
            for part in preconditioners:
                gradient = part(gradient, stimuli)
            if parameterisation is None:
                parameters = move(stimuli, gradient, step, steps)
                changed = parameters
            else:
                gradient = _pulled_back(gradient, parameters, parameterisation)
                parameters = move(parameters, gradient, step, steps)
                changed = parameterisation.decode(parameters)
            changed = stopping.hold(apply_all(postprocessors, changed, step, steps), stimuli)
            if parameterisation is not None:
                parameters = parameterisation.encode(changed)
            before, stimuli = stimuli, changed
        if transform is not None:
            # chosen under random transforms; decide between it, start and end without them
            found, best = best, _Best(first)
            for seen, steps_of in ((first, 0), (found.stimuli, found.steps), (stimuli, step)):
                values = _evaluate(model, seen, objective, regularisers, None, step, False)
                best.keep(values[0] - values[1], seen, steps_of, torch.ones_like(stopping.active))
        scores = objective(model(best.stimuli), best.stimuli)
        _check(scores, best.stimuli, len(history) - 1)
    table = torch.stack(history).cpu().numpy().astype(float)
    return Optimised(
        stimuli=best.stimuli,
        scores=scores.cpu().numpy().astype(float),
        best_steps=best.steps.cpu().numpy(),
        trace=OptimisationTrace(*(table[:, i] for i in range(4))),
        stopped=tuple(stopping.reasons),
        seed=seed,
        last=stimuli,
    )


def _as_rows(values: Tensor, stimuli: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (stimuli.ndim - 1))


class _Best:
    """The best iterate of every stimulus."""

    def __init__(self, stimuli: Tensor) -> None:
        self.stimuli = stimuli
        self.value = stimuli.new_full((len(stimuli),), -torch.inf)
        self.steps = torch.zeros(len(stimuli), dtype=torch.long, device=stimuli.device)

    def keep(self, value: Tensor, stimuli: Tensor, step: int | Tensor, active: Tensor) -> None:
        better = (value > self.value) & active
        if bool(better.all()):  # no copy, because stimuli are never changed in place
            self.value, self.stimuli = value, stimuli
            self.steps = torch.zeros_like(self.steps) + step
            return
        self.value = torch.where(better, value, self.value)
        self.steps = torch.where(better, step, self.steps)
        self.stimuli = torch.where(_as_rows(better, stimuli), stimuli, self.stimuli)


class _Stopping:
    """Which stimuli are still optimised, and why the others have stopped."""

    def __init__(self, stoppers: Sequence[Stopper], n: int, device: torch.device) -> None:
        early = [stopper for stopper in stoppers if not isinstance(stopper, Iterations)]
        self._checks = [(stopper.name, stopper.begin()) for stopper in early]
        self.active = torch.ones(n, dtype=torch.bool, device=device)
        self.reasons = ["iterations"] * n
        self._everyone = True

    @property
    def all_stopped(self) -> bool:
        return not self._everyone and not bool(self.active.any())

    def look(self, value: Tensor, stimuli: Tensor, before: Tensor | None) -> None:
        for name, check in self._checks:
            done = check(value, stimuli, before) & self.active
            if bool(done.any()):
                self._everyone = False
                self.active = self.active & ~done
                for i in done.nonzero()[:, 0].tolist():
                    self.reasons[i] = name

    def hold(self, changed: Tensor, stimuli: Tensor) -> Tensor:
        """Keep stopped stimuli unchanged."""
        if self._everyone:
            return changed
        return torch.where(_as_rows(self.active, stimuli), changed, stimuli)


def _evaluate(
    model: ResponseModel,
    stimuli: Tensor,
    objective: Objective,
    regularisers: Sequence[Regulariser],
    transform: Transform | None,
    step: int,
    differentiate: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Objective and penalty (batch,) of the stimuli, and the gradient of their difference."""
    with torch.set_grad_enabled(differentiate):
        free = stimuli.detach().requires_grad_(differentiate)
        shown = free if transform is None else transform(free, step)
        value = objective(model(shown), shown)
        _check(value, stimuli, step)
        penalty: Tensor | None = None
        if differentiate and step == 0:
            check_depends(value, free)
        for part in regularisers:
            more = part(free)
            _check(more, stimuli, step, "a regulariser", "penalty")
            penalty = more if penalty is None else penalty + more
        total = value if penalty is None else value - penalty
        gradient = None
        if differentiate:
            (gradient,) = torch.autograd.grad(total, free, torch.ones_like(total))
    priced = torch.zeros_like(value) if penalty is None else penalty.detach()
    return value.detach(), priced, gradient


def _pulled_back(gradient: Tensor, parameters: Tensor, how: Parameterisation) -> Tensor:
    with torch.enable_grad():
        free = parameters.detach().requires_grad_(True)
        (pulled,) = torch.autograd.grad(how.decode(free), free, gradient)
    return pulled
