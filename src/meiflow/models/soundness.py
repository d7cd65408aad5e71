"""Checks that a user's module answers the same whatever was asked before, and responds at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.errors import MeiflowError
from meiflow.progress import note

Response = Callable[[Tensor], Tensor]

_SAME = 1e-4  # relative to the largest response: rounding differs with the size of a batch
_MOST_IMAGES = 24
_HARDLY = 1e-5
_FLAT = 0.02
_BYTES = 255


def check_repeatable(respond: Response, module: nn.Module, inputs: Tensor, name: str) -> None:
    """Check that responses depend on the stimulus only.

    Parameters
    ----------
    respond : callable
        Stimuli (batch, ...) to responses (batch, ...).
    module : Module
        The module that it calls, whose buffers must not change.
    inputs : Tensor
        Two or more stimuli.
    name : str
        Name of the module, used in messages.

    Raises
    ------
    MeiflowError
        If the same stimuli evoke other responses when they are shown again or alone, or if a
        buffer changes.

    Examples
    --------
    >>> noisy = nn.Module()
    >>> noisy.forward = lambda images: images.mean((1, 2)) + torch.rand(len(images))
    >>> try:
    ...     check_repeatable(noisy, noisy, torch.rand(3, 6, 8), "noisy")
    ... except MeiflowError as error:
    ...     print(str(error)[:57])
    noisy: returns other responses when the same images are s
    """
    with torch.no_grad():
        before = {key: value.clone() for key, value in module.named_buffers()}
        first = respond(inputs).detach().clone()
        again = respond(inputs).detach().clone()
        alone = torch.cat([respond(inputs[i : i + 1]) for i in range(len(inputs))])
    for key, value in module.named_buffers():
        if key in before and not torch.equal(before[key], value):
            raise MeiflowError(
                f"{name}: changes its buffer {key} when it is called, so that responses depend on "
                "earlier calls; remove the counter or the running mean"
            )
    tolerance = _SAME * float(first.abs().max()) + 1e-12
    if not torch.allclose(first, again, rtol=0, atol=tolerance):
        raise MeiflowError(
            f"{name}: returns other responses when the same images are shown again; remove noise "
            "and dropout, and anything that counts calls"
        )
    if not torch.allclose(first, alone.reshape(first.shape), rtol=0, atol=tolerance):
        raise MeiflowError(
            f"{name}: returns other responses to images shown alone than in a batch; remove "
            "normalisation across the batch"
        )


def check_on_images(module: nn.Module, images: NDArray, name: str) -> None:
    """Check that a module responds to the images of the session.

    Parameters
    ----------
    module : Module
        Images (batch, height, width), luminance in [0, 1], to responses (batch,).
    images : ndarray, shape (images, height, width)
        Some of them are used.
    name : str
        Name of the module, used in messages.

    Raises
    ------
    MeiflowError
        If the response is the same for all images, or has no gradient.

    Notes
    -----
    A response that hardly varies is only noted.

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(5, 6, 8)).astype(np.float32)
    >>> silent = nn.Module()
    >>> silent.forward = lambda images: torch.relu(images - 100).mean((1, 2))
    >>> try:
    ...     check_on_images(silent, images, "silent")
    ... except MeiflowError as error:
    ...     print(str(error)[:73])
    silent: the response is 0 for all 5 images of the session that were tried
    """
    chosen = images[np.unique(np.linspace(0, len(images) - 1, _MOST_IMAGES).astype(int))]
    shown = torch.as_tensor(np.ascontiguousarray(chosen), dtype=torch.float32)
    shown.requires_grad_(True)
    responses = module(shown).reshape(-1)
    if not bool(torch.isfinite(responses).all()):
        raise MeiflowError(
            f"{name}: returns responses to images of the session that are not finite"
        )
    values = responses.detach().double()
    spread, size = float(values.max() - values.min()), float(values.abs().max())
    in_bytes = _relative_spread(module, _BYTES * shown.detach())
    hint = (
        f", but not if their luminance is multiplied by {_BYTES}; images are passed in 0..1: "
        "multiply them in forward"
        if in_bytes > _FLAT
        else "; images are luminance in 0..1"
    )
    if spread <= _HARDLY * size:
        raise MeiflowError(
            f"{name}: the response is {float(values[0]):.4g} for all {len(chosen)} images of the "
            f"session that were tried{hint}, or leave the neuron out with selection.exclude"
        )
    (gradient,) = torch.autograd.grad(responses.sum(), shown, allow_unused=True)
    if gradient is None or not bool((gradient != 0).any()):
        raise MeiflowError(
            f"{name}: the gradient is zero at all {len(chosen)} images of the session that were "
            "tried; avoid rounding and thresholds, which have none"
        )
    if spread < _FLAT * size and in_bytes > 5 * spread / size:
        note(
            f"{name}: responses to the images of the session hardly vary (from "
            f"{float(values.min()):.4g} to {float(values.max()):.4g}), but more if their luminance "
            f"is multiplied by {_BYTES}; images are passed in 0..1"
        )


def _relative_spread(module: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        values = module(images).reshape(-1).double()
    size = float(values.abs().max())
    spread = float(values.max() - values.min()) / size if size > 0 else 0.0
    return spread if np.isfinite(spread) else 0.0


def check_scale(predicted: NDArray, most: float, name: str, spread: float | None = None) -> None:
    """Note predictions that are impossibly high compared with the recorded responses.

    Parameters
    ----------
    predicted : ndarray
        Predicted responses to the images of the session.
    most, spread : float
        As for `too_high`.
    name : str

    Examples
    --------
    >>> from meiflow.progress import collect_notes
    >>> with collect_notes() as notes:
    ...     check_scale(np.array([1.0, 1e17]), 12.0, "model")
    >>> notes[0]
    'model: predicts 1e+17 spikes for an image of the session, but the highest mean count is 12'
    """
    highest = float(np.abs(predicted).max())
    if highest > too_high(most, spread):
        note(f"{name}: {too_high_text(highest, most, spread is not None)}")


def too_high(most: float, spread: float | None = None) -> float:
    """Predictions above this are those of a fit that diverged.

    Parameters
    ----------
    most : float
        Highest mean count that was recorded, or highest absolute value of real-valued responses.
    spread : float, optional
        Standard deviation over images of real-valued responses.
    """
    return 100 * max(most, 1.0) if spread is None else most + 100 * spread


def too_high_text(highest: float, most: float, real: bool) -> str:
    """Words on a prediction that is impossibly high, and on what was recorded."""
    what = f"a response of {highest:.3g}" if real else f"{highest:.3g} spikes"
    noun = "absolute mean response" if real else "mean count"
    return f"predicts {what} for an image of the session, but the highest {noun} is {most:.3g}"
