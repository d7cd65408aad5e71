"""Linear-nonlinear model: one smooth, local filter and a rectifier.

The filter has a Gaussian prior that is local and smooth (automatic locality determination, Park &
Pillow 2011, with fixed candidate widths). Filter and rectifier are fitted jointly with the Poisson
loss, or with the squared error to real-valued responses. The rectifier is important: with half of
the images below threshold, a linear regression treats most of its errors as noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import softplus

from meiflow.config.sections import LinearNonlinear
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.adam import Adam, Group, one_cycle
from meiflow.models.device import chosen_device
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.ridge import GramSpectrum

_PRESS_PENALTIES = 10.0 ** np.arange(-3.0, 1.1, 0.5)
_INNER_FOLDS = 4
_COMPONENTS = 80
_STEPS = 300
_HIGHEST_RATES = (0.3, 0.05)  # of the filter, and of offset and baseline
_TINY = 1e-4
_TRUNCATE = 3.0  # sigmas


def rectified(drive: Tensor, baseline: Tensor, scale: Tensor, real: bool = False) -> Tensor:
    """Compute ``scale * (softplus(2 drive) / 2 + softplus(baseline))``, which is positive.

    For real-valued responses, the baseline is added as it is, and may be negative.
    """
    return scale * (softplus(2 * drive) / 2 + (baseline if real else softplus(baseline)))


@dataclass(frozen=True)
class _Prior:
    """Prior covariance of the filter: Gaussian window around a position x smoothness."""

    geometry: Geometry
    x: float
    y: float
    width_deg: float
    smoothness_deg: float

    @property
    def _window(self) -> NDArray[np.float64]:
        along_y, along_x = (self._along(axis) for axis in (0, 1))
        return along_y[:, None] * along_x[None, :]

    def _along(self, axis: int) -> NDArray[np.float64]:
        """Window along y (0) or x (1)."""
        pixels, at = ((self.geometry.y, self.y), (self.geometry.x, self.x))[axis]
        return np.asarray(np.exp(-((pixels - at) ** 2) / (2 * self.width_deg**2)))

    @property
    def _sigma(self) -> tuple[float, float]:
        """Smoothness in pixels along y and x."""
        return self.smoothness_deg / self.geometry.dy, self.smoothness_deg / self.geometry.dx

    def root(self, stack: NDArray) -> NDArray[np.float64]:
        """Multiply each image (n, height, width) by the square root of the covariance."""
        return np.asarray(_smooth(stack * self._window, (0, *self._sigma)))

    def kernel(self, contrast: NDArray) -> NDArray[np.float64]:
        """Inner products of images (n, height, width) under the prior: (n, n)."""
        reach = 3 * (self.width_deg + self.smoothness_deg)
        matrices, used = [], []
        for axis, (pixels, at) in enumerate(((self.geometry.y, self.y), (self.geometry.x, self.x))):
            near = np.flatnonzero(np.abs(pixels - at) < reach)
            # of single pixels: windowed, smoothed, and read where the window is not negligible
            smooth = _smooth(np.diag(self._along(axis)), (self._sigma[axis], 0))
            smooth = smooth[near[0] : near[-1] + 1]
            read = np.flatnonzero(smooth.any(axis=0))
            used.append(slice(read[0], read[-1] + 1))
            matrices.append(smooth[:, used[-1]].astype(contrast.dtype))
        along_y, along_x = matrices
        local = along_y @ (contrast[:, used[0], used[1]] @ along_x.T)
        local = local.reshape(len(contrast), -1)
        return np.asarray(local @ local.T, dtype=float)

    def times(self, image: NDArray) -> NDArray[np.float64]:
        """Multiply an image (height, width) by the covariance."""
        half = self.root(image[None])[0]
        return np.asarray(_smooth(half, self._sigma) * self._window)


def _smooth(stack: NDArray, sigma: tuple[float, ...]) -> NDArray:
    return np.asarray(gaussian_filter(stack, sigma, mode="constant", truncate=_TRUNCATE))


class LnFitter:
    """Fit chunks of jobs; inner products are cached by position.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    weights : ndarray, shape (images,)
        Weight of each image in the loss: its number of trials divided by the mean number.
    movies : int
        Number of last images that are from movies; width and penalty do not depend on them.
    together : int
        Number of successive images that are left out together to choose width and penalty.
    """

    def __init__(
        self,
        images: NDArray,
        weights: NDArray,
        geometry: Geometry,
        config: LinearNonlinear,
        movies: int = 0,
        together: int = 1,
    ) -> None:
        self._contrast = images.astype(np.float32) - np.float32(GREY)
        self._weights, self._geometry, self._config = weights, geometry, config
        self._scenes, self._together = len(images) - movies, together
        self._kernels: dict[tuple[float, float, float], NDArray[np.float64]] = {}

    def _prior(self, x: float, y: float, width: float) -> _Prior:
        return _Prior(self._geometry, x, y, width, self._config.smoothness_deg)

    def _kernel(self, x: float, y: float, width: float) -> NDArray[np.float64]:
        key = (x, y, width)
        if key not in self._kernels:
            self._kernels[key] = self._prior(x, y, width).kernel(self._contrast)
        return self._kernels[key]

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit every job: prior width by leave-one-out, penalty by inner folds."""
        n_images = jobs.train.shape[1]
        z = np.zeros((len(jobs), n_images, _COMPONENTS), np.float32)
        bases = []
        for i in range(len(jobs)):
            width, kernel, spectrum = self._best_width(jobs, i)
            train = jobs.train[i]
            centred = kernel - kernel[:, train].mean(axis=1, keepdims=True)
            centred = centred - centred[train].mean(axis=0)
            if train[self._scenes :].any():  # the width does not depend on movies, the filter does
                values, vectors = np.linalg.eigh(centred[train][:, train])
            else:
                values, vectors = spectrum.values, spectrum.vectors
            keep = np.argsort(values)[::-1][:_COMPONENTS]
            keep = keep[values[keep] > 1e-7 * max(values[-1], 1e-300)]
            scale = np.sqrt(max(values.sum(), 1e-300) / train.sum())
            basis = vectors[:, keep] / (np.sqrt(values[keep]) * scale)
            z[i, :, : len(keep)] = centred[:, train] @ basis
            bases.append((width, basis))
        tensors = _fit(
            _placed(z),
            _placed(jobs.responses),
            _placed(jobs.train * self._weights),
            _placed(self._config.penalties),
            self._scenes,
            self._together,
            jobs.real,
        )
        predictions, weight, offset, baseline, scale_of = (t.cpu() for t in tensors)
        states = []
        for i, (width, basis) in enumerate(bases):
            dual = basis @ weight[i, : basis.shape[1]].numpy().astype(float)
            states.append(
                self._state(jobs, i, width, dual)
                | {"baseline": float(baseline[i]), "scale": float(scale_of[i])}
            )
            states[-1]["offset"] += float(offset[i])
            if jobs.real:
                states[-1]["real"] = True
        return Fits(predictions.numpy().astype(float), states)

    def _best_width(self, jobs: Jobs, i: int) -> tuple[float, NDArray[np.float64], GramSpectrum]:
        """Width of the prior, its kernel, and the spectrum of the kernel of training scenes."""
        train = jobs.train[i, : self._scenes]
        response = jobs.responses[i, : self._scenes][train]
        centred_response = (response - response.mean())[:, None]
        best = np.inf, 0.0, np.empty(0), GramSpectrum(np.empty(0), np.empty(0))
        for width in self._config.widths_deg:
            kernel = self._kernel(float(jobs.x[i]), float(jobs.y[i]), width)
            part = kernel[: self._scenes, : self._scenes][np.ix_(train, train)]
            part = part - part.mean(axis=0)
            part = part - part.mean(axis=1, keepdims=True)
            values, vectors = np.linalg.eigh(part)
            values = np.maximum(values, 0)
            unit = values.sum() / len(values) + 1e-300
            spectrum = GramSpectrum(vectors, values)
            errors = spectrum.left_out_errors(
                centred_response, _PRESS_PENALTIES * unit, None, self._together
            )
            if errors.min() < best[0]:
                best = float(errors.min()), width, kernel, spectrum
        return best[1:]

    def _state(self, jobs: Jobs, i: int, width: float, dual: NDArray) -> dict[str, Any]:
        """Convert weights on (centred) training images to a filter in pixels and its offset."""
        train = jobs.train[i]
        centre = self._contrast[train].mean(axis=0)
        image = np.tensordot(dual, self._contrast[train] - centre, axes=1)
        pixels = self._prior(float(jobs.x[i]), float(jobs.y[i]), width).times(image)
        return {
            "kind": "ln",
            "filter": torch.as_tensor(pixels, dtype=torch.float32),
            "offset": -float((pixels * centre).sum()),
        }


def _placed(values: ArrayLike) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32).to(chosen_device())


def _fit(
    z: Tensor,
    responses: Tensor,
    train: Tensor,
    penalties: Tensor,
    scenes: int,
    together: int,
    real: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Fit weights and rectifiers of all jobs, inner folds and penalties in one batch.

    Parameters
    ----------
    z : Tensor, shape (jobs, images, components)
        Images in the eigenbasis of the prior.
    responses, train : Tensor, shape (jobs, images)
    penalties : Tensor, shape (penalties,)
    scenes : int
        Number of first images from which inner folds are formed.
    together : int
        Number of successive images in the same inner fold.
    real : bool
        Whether responses are real numbers rather than counts.

    Returns
    -------
    predictions, weights, offset, baseline, scale
        Results of each job, at the penalty with the lowest error on inner held-out images.
    """
    n_jobs, _, components = z.shape
    inner = torch.where(train > 0, ((train > 0).cumsum(1) - 1) // together % _INNER_FOLDS, -1)
    inner[:, scenes:] = -1
    folds = torch.stack([train * (inner != k) for k in range(_INNER_FOLDS)] + [train])
    total = train.sum(1)
    mean = (responses * train).sum(1) / total
    spread = (((responses - mean[:, None]) ** 2 * train).sum(1) / total).sqrt()
    scale = torch.maximum(spread, 0.05 * mean + 1e-3)
    shape = (n_jobs, len(folds), len(penalties))
    weight = z.new_zeros(*shape, components).requires_grad_(True)
    offset = z.new_zeros(shape).requires_grad_(True)
    # a weakly modulated neuron starts at its mean, a tuned one near zero
    level = (mean / scale - 1).clamp(min=0.13).expm1().log()
    if real:  # starts at the mean
        level = mean / scale - np.log(2) / 2
    baseline = level[:, None, None].expand(shape).clone().requires_grad_(True)
    optimiser = Adam([Group([weight], 0.0), Group([offset, baseline], 0.0)])
    target = (responses / scale[:, None])[:, None, None]
    in_fold = (folds / folds.sum(2, keepdim=True)).permute(1, 0, 2)[:, :, None]
    # near the mean the loss is the squared error divided by the variance of the responses
    unit = in_fold * (2 * mean / scale)[:, None, None, None]
    least = (_TINY / scale)[:, None, None]

    def drive_of() -> Tensor:
        flat = weight.flatten(1, 2) @ z.transpose(1, 2)
        return flat.unflatten(1, shape[1:]).add_(offset[..., None])

    with torch.no_grad():
        for step in range(_STEPS):
            for group, highest in zip(optimiser.groups, _HIGHEST_RATES, strict=True):
                group.rate, group.momentum = one_cycle(step, _STEPS, highest)
            # gradient of the loss, written out: a third of the time of autograd
            drive = drive_of()
            if real:
                rate = softplus(drive, beta=2).add_(baseline[..., None])
                slope = rate.sub_(target).mul_(2 * in_fold)
                baseline.grad = slope.sum(-1)
            else:
                rate = softplus(drive, beta=2).add_((softplus(baseline) + least)[..., None])
                slope = rate.reciprocal_().mul_(target).neg_().add_(1).mul_(unit)
                baseline.grad = slope.sum(-1) * baseline.sigmoid()
            slope.mul_(drive.mul_(2).sigmoid_())
            offset.grad = slope.sum(-1)
            of_weight = (slope.flatten(1, 2) @ z).unflatten(1, shape[1:])
            weight.grad = of_weight.add_(2 * penalties[:, None] * weight)
            optimiser.step()
        rate = rectified(drive_of(), baseline[..., None], scale[:, None, None, None], real)
        errors = z.new_zeros(n_jobs, len(penalties))
        for k in range(_INNER_FOLDS):
            held_out = (train * (inner == k))[:, None]
            errors += ((rate[:, k] - responses[:, None]) ** 2 * held_out).sum(-1)
        best = errors.argmin(1)
        rows = torch.arange(n_jobs, device=z.device)
        return (
            rate[rows, -1, best],
            weight.detach()[rows, -1, best],
            offset.detach()[rows, -1, best],
            baseline.detach()[rows, -1, best],
            scale,
        )
