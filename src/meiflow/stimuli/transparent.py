"""Transparent MEIs: which pixels of an MEI matter, as an alpha channel made together with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.geometry import Geometry
from meiflow.images.masks import densest
from meiflow.images.projection import statistics
from meiflow.stimuli.blur import gaussian_blur
from meiflow.stimuli.mei import noise_starts
from meiflow.stimuli.objectives import ResponseModel, evaluated
from meiflow.stimuli.optimiser import optimise
from meiflow.stimuli.preconditioning import (
    Preconditioner,
    Tangent,
    UnitStd,
    frequencies,
    smoothing,
)
from meiflow.stimuli.updates import Ascent

_NOISE_EXPONENT = 1.0
_STRENGTH = 100.0  # of the penalty on a lower response, relative to that on the mean alpha
_STEP_SIZES = (0.3, 0.02)
_BLUR = 1 / 6  # of the mean wavelength of the MEI
_SHARPER = 2.0
_SHIFTS = 1.5  # alpha is shifted by at most this: all transparent to all opaque
_BISECTIONS = 14
_TINY = 1e-12
_OPAQUE = 0.5  # alpha above which a pixel belongs to the mask
_MOST_ENERGY = 0.9


@dataclass(frozen=True)
class TransparentMEI:
    """An MEI with an alpha channel.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
        The MEI seen through its alpha channel on grey, luminance in [0, 1]. On another background
        it is ``image + (1 - alpha) * (background - mean)``.
    alpha : ndarray of float32, shape (height, width)
        Opacity, 0 (only the background is seen) to 1 (only the MEI is seen).
    fraction : float
        Response minus baseline on the backgrounds used, on average, relative to that to the MEI.
    """

    image: NDArray[np.float32]
    alpha: NDArray[np.float32]
    fraction: float

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels (height, width) that are more opaque than transparent."""
        return np.asarray(self.alpha > _OPAQUE)


def noise_backgrounds(
    pairs: int, geometry: Geometry, mean: float, contrast: float, seed: int
) -> NDArray[np.float32]:
    """Noise with the spectrum of natural scenes, each followed by its negative.

    In such pairs the effect of the backgrounds on a linear neuron cancels.

    Parameters
    ----------
    pairs : int
    geometry : Geometry
    mean, contrast : float
        Mean luminance and RMS contrast of each.
    seed : int

    Returns
    -------
    ndarray, shape (2 * pairs, height, width)

    Examples
    --------
    >>> shown = noise_backgrounds(3, Geometry(30, 48), mean=0.5, contrast=0.1, seed=0)
    >>> shown.shape, round(float(shown.mean()), 2)
    ((6, 30, 48), 0.5)
    """
    noise = noise_starts(pairs, geometry, _NOISE_EXPONENT, mean, contrast, seed).cpu()
    return torch.cat([noise, (2 * mean - noise).clamp(0, 1)]).numpy()


def shown_on(found: TransparentMEI, backgrounds: NDArray, mean: float) -> NDArray[np.float32]:
    """A transparent MEI on backgrounds (n, height, width) of the same mean luminance.

    Examples
    --------
    >>> image, alpha = np.array([[0.9, 0.5]]), np.array([[1.0, 0.0]])
    >>> shown_on(TransparentMEI(image, alpha, 0.9), np.full((1, 1, 2), 0.2), mean=0.5)
    array([[[0.9, 0.2]]], dtype=float32)
    """
    shown = found.image + (1 - found.alpha) * (np.asarray(backgrounds) - mean)
    return np.clip(shown, 0, 1).astype(np.float32)


def energy_envelope(image: NDArray, geometry: Geometry) -> NDArray[np.float64]:
    """Local contrast (height, width) of an image, without the zero crossings of its pattern.

    The energy is blurred by a sixth of the mean wavelength.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> field = 0.5 + 0.2 * gabor(screen, 0.0, 0.0, 20.0, 0.0, 0.0, 8.0)
    >>> envelope = energy_envelope(field, screen)
    >>> ratio = float(envelope[30, 48] / envelope[30, 44])  # a quarter of a cycle further
    >>> 1.1 < ratio < 1.6
    True
    """
    found = torch.as_tensor(np.asarray(image, dtype=float))
    contrast = found - found.mean()
    return gaussian_blur(contrast.pow(2), _blur_of(contrast, geometry)).sqrt().numpy()


def energy_mask(image: NDArray, geometry: Geometry) -> NDArray[np.bool_]:
    """The smallest mask (height, width) that holds 90 % of the energy of an image.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> field = 0.5 + 0.2 * gabor(screen, 0.0, 0.0, 20.0, 0.0, 0.0, 8.0)
    >>> mask = energy_mask(field, screen)
    >>> bool(mask[30, 48]), bool(mask[30, 80])
    (True, False)
    """
    return densest(energy_envelope(image, geometry) ** 2, _MOST_ENERGY)


def _blur_of(contrast: Tensor, geometry: Geometry) -> tuple[float, float]:
    """Sigma in pixels that fills the zero crossings of a pattern."""
    spacing = geometry.dy, geometry.dx
    power = torch.fft.rfft2(contrast).abs().double() ** 2
    mean_frequency = (power * frequencies(geometry.shape, spacing)).sum() / power.sum()
    sigma = _BLUR / float(mean_frequency)
    return sigma / spacing[0], sigma / spacing[1]


def transparent_mei(
    model: ResponseModel,
    mei: NDArray,
    geometry: Geometry,
    mean: float,
    backgrounds: NDArray,
    fraction: float = 0.9,
    steps: int = 40,
    baseline: float = 0.0,
) -> TransparentMEI:
    """Find the smallest part of an MEI that drives the neuron whatever is around it.

    As in sinzlab/mei and in Mordvintsev et al. (2018), image and alpha are optimised together,
    ``alpha * image + (1 - alpha) * background`` is shown on random backgrounds, and the mean alpha
    is penalised. Here the response must not fall below a fraction of that to the MEI, instead of
    being weighed against the mean alpha, so that the mask does not depend on the unit of
    responses. It starts from the local contrast of the MEI, which the image may not exceed:
    otherwise contrast could stand in for size. At the end the mask is sharpened, and grown or
    shrunk until the response is exactly that fraction.

    Parameters
    ----------
    model : callable
        Images (batch, height, width) to responses (batch,).
    mei : ndarray, shape (height, width)
    geometry : Geometry
    mean : float
        Mean luminance of MEI and backgrounds.
    backgrounds : ndarray, shape (n, height, width)
        Luminance in [0, 1]; see `noise_backgrounds`.
    fraction : float
        Required response minus baseline, relative to that to the MEI, in (0, 1).
    steps : int
    baseline : float
        Response to grey.

    Returns
    -------
    TransparentMEI
        Grey, transparent and with a fraction of NaN if the model does not respond to the MEI.

    Raises
    ------
    ValueError
        If the fraction is out of range.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(30, 48)
    >>> field = torch.as_tensor(gabor(screen, 10.0, 5.0, 25.0, 30.0, 0.0, 9.0)).float()
    >>> neuron = lambda images: ((images - 0.5) * field).sum((-2, -1)).relu()
    >>> behind = noise_backgrounds(4, screen, mean=0.5, contrast=0.1, seed=0)
    >>> found = transparent_mei(neuron, 0.5 + 0.3 * field.numpy(), screen, 0.5, behind)
    >>> round(found.fraction, 2)
    0.9
    >>> bool(found.alpha[(field > 0.5).numpy()].min() > 0.9), bool(found.alpha.mean() < 0.15)
    (True, True)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
    best = torch.as_tensor(np.asarray(mei), dtype=torch.float32)
    behind = torch.as_tensor(np.asarray(backgrounds)).to(best)
    scene = _Scene(model, behind, best, geometry, mean, baseline)
    with evaluated(model), torch.no_grad():
        drive = float(model(best[None])[0]) - baseline
    if not drive > _TINY:
        grey = np.full(best.shape, mean, np.float32)
        return TransparentMEI(grey, np.zeros_like(grey), float("nan"))
    envelope = gaussian_blur((best - mean).abs(), scene.blur)
    start = torch.stack([best, (2 * envelope / envelope.max()).clamp(0, 1)])[None]
    aim = drive * (1 + fraction) / 2  # on the safe side, because the penalty allows some less
    size = float(start[:, 1].mean())
    found = optimise(
        scene,
        start,
        lambda responses, _: -_STRENGTH * (1 - responses / aim).clamp_min(0) ** 2,
        regularisers=(lambda stimuli: stimuli[:, 1].mean((1, 2)) / size,),
        preconditioners=(scene.direction,),
        update=Ascent(_STEP_SIZES),
        postprocessors=(scene.allowed,),
        stop=steps,
    )
    image, alpha, reached = _sharpened(scene, found.stimuli[0], fraction * drive)
    shown = (mean + alpha * (image - mean)).numpy()
    return TransparentMEI(shown, alpha.numpy(), reached / drive)


@dataclass(frozen=True)
class _Scene:
    """The neuron in front of the backgrounds: stimuli (batch, 2, height, width) to drive.

    The first channel of a stimulus is the image, the second alpha.
    """

    model: ResponseModel
    backgrounds: Tensor
    mei: Tensor
    geometry: Geometry
    mean: float
    baseline: float

    def __call__(self, stimuli: Tensor) -> Tensor:
        image, alpha = stimuli[:, :1], stimuli[:, 1:]
        shown = alpha * image + (1 - alpha) * self.backgrounds
        responses = self.model(shown.flatten(0, 1)).reshape(shown.shape[:2])
        return responses.mean(1) - self.baseline

    @cached_property
    def blur(self) -> tuple[float, float]:
        """Sigma in pixels for alpha."""
        return _blur_of(self.mei - self.mei.mean(), self.geometry)

    @cached_property
    def contrast(self) -> Tensor:
        """RMS contrast of the MEI, the most that an image may have."""
        return (self.mei - self.mean).std(correction=0)

    @cached_property
    def reach(self) -> Tensor:
        """Local contrast (height, width) of the MEI, the most that an image may have there."""
        return (2 * gaussian_blur((self.mei - self.mean).pow(2), self.blur)).sqrt()

    @cached_property
    def smooth(self) -> Preconditioner:
        """Smoothing of the image's gradient."""
        return smoothing(self.geometry, 1.0)

    def direction(self, gradient: Tensor, stimuli: Tensor) -> Tensor:
        """Ascent direction: along constant contrast for the image, and smooth for alpha."""
        image = Tangent()(gradient[:, 0], stimuli[:, 0])
        image = UnitStd(float(self.contrast))(self.smooth(image, image), image)
        alpha = gaussian_blur(gradient[:, 1], self.blur)
        # most pixels are outside the receptive field, and all should change at a similar rate
        usual = alpha.abs().flatten(1).median(1).values.clamp_min(_TINY)[:, None, None]
        return torch.stack([image, (alpha / usual).clamp(-1, 1)], 1)

    def allowed(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        """Limit the image to the local and RMS contrast of the MEI, and alpha to [0, 1]."""
        alpha = stimuli[:, 1].clamp(0, 1)
        image = torch.maximum(torch.minimum(stimuli[:, 0] - self.mean, self.reach), -self.reach)
        shown = statistics(alpha * image)[1].clamp_min(_TINY)[:, None, None]
        image = image * (self.contrast / shown).clamp_max(1.0)
        return torch.stack([(self.mean + image).clamp(0, 1), alpha], 1)


def _sharpened(scene: _Scene, stimulus: Tensor, enough: float) -> tuple[Tensor, Tensor, float]:
    """Image, sharpened alpha, and the drive, which is just enough."""

    def shifted(shift: float) -> Tensor:
        alpha = (_SHARPER * (stimulus[1] - 0.5) + 0.5 + shift).clamp(0, 1)
        return torch.stack([stimulus[0], alpha])

    with evaluated(scene.model), torch.no_grad():
        low, high = -_SHIFTS, _SHIFTS
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            reached = float(scene(shifted(middle)[None])[0])
            low, high = (low, middle) if reached >= enough else (middle, high)
        image, alpha = shifted(high)
        return image, alpha, float(scene(shifted(high)[None])[0])
