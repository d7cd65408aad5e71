"""Ridge regression with closed-form leave-one-out errors, for many responses at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RELATIVE_FLOOR = 1e-3


@dataclass(frozen=True)
class Standardiser:
    """Subtract the mean of every feature and divide by its spread (training data only).

    Features with little variance are divided by a floor, so that noise is not amplified.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray) -> Standardiser:
        """Statistics of features (images, n)."""
        spread = features.std(axis=0)
        floor = _RELATIVE_FLOOR * np.median(spread) + 1e-9
        return cls(features.mean(axis=0), np.maximum(spread, floor))

    def __call__(self, features: NDArray) -> NDArray:
        """Standardised features."""
        return (features - self.mean) / self.spread


@dataclass(frozen=True)
class GramSpectrum:
    """Eigenvectors (n, rank) and eigenvalues (rank,) of the kernel of centred features."""

    vectors: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray) -> GramSpectrum:
        """Build from centred features (images, n), using the smaller side; kernel / n."""
        n_images, n_features = features.shape
        features = np.asarray(features, dtype=np.float64)
        if n_images <= n_features:
            values, vectors = np.linalg.eigh(features @ features.T / n_features)
            return cls(vectors, np.maximum(values, 0))
        values, sides = np.linalg.eigh(features.T @ features / n_features)
        keep = values > 1e-10 * max(values[-1], 1e-300)
        vectors = features @ sides[:, keep] / np.sqrt(values[keep] * n_features)
        return cls(vectors, values[keep])

    def left_out_errors(
        self,
        responses: NDArray,
        penalties: NDArray,
        scored: int | None = None,
        together: int = 1,
    ) -> NDArray[np.float64]:
        """Sum of squared leave-one-out errors of every response for every penalty.

        Parameters
        ----------
        responses : ndarray, shape (images, responses)
            Centred responses; in single precision, the errors are computed in that as well.
        penalties : ndarray, shape (penalties,)
        scored : int, optional
            Number of first images over which the errors are summed, if the others are centred apart
            from them; default all.
        together : int
            Number of successive images that are left out together, as in a movie; at most a quarter
            of all images.

        Returns
        -------
        ndarray, shape (penalties, responses)
            The PRESS statistic (Allen 1974), including the intercept.

        Examples
        --------
        Successive images that resemble each other seem predictable if only one is left out:

        >>> rng = np.random.default_rng(0)
        >>> x, y = np.cumsum(rng.normal(size=(2, 80, 40)), axis=1)
        >>> x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        >>> spectrum, total = GramSpectrum.of(x), (y**2).sum()
        >>> for together in (1, 16):
        ...     errors = spectrum.left_out_errors(y, np.array([0.1]), None, together)
        ...     print(bool(errors.sum() < 0.5 * total))
        True
        False
        """
        n = len(responses) if scored is None else scored
        every = self.vectors.astype(responses.dtype, copy=False)
        projected = every.T @ responses
        vectors, responses = every[:n], responses[:n]
        together = min(together, n // 4)
        if together > 1:
            return self._blocks_left_out(projected, responses, penalties, together)
        # what remains of the responses at any penalty, without the difference of large numbers
        beyond = responses - vectors @ projected
        shrink = self.values[:, None] / (self.values[:, None] + penalties)
        kept = (penalties / (self.values[:, None] + penalties)).astype(responses.dtype)
        outside = np.maximum(1 - self.vectors[:n] ** 2 @ shrink - 1 / n, 1e-6)
        # of all penalties at once: (images, penalties, responses)
        residual = vectors @ (kept[:, :, None] * projected[:, None]).reshape(len(projected), -1)
        residual = residual.reshape(n, len(penalties), -1)
        residual += beyond[:, None]
        residual /= outside[..., None].astype(responses.dtype)
        return np.asarray(np.einsum("ipj,ipj->pj", residual, residual), dtype=float)

    def _blocks_left_out(
        self, projected: NDArray, responses: NDArray, penalties: NDArray, size: int
    ) -> NDArray[np.float64]:
        """Errors (penalties, responses) of blocks of images, each predicted from all others."""
        n = len(responses)
        blocks = -(-n // size)
        missing = ((0, blocks * size - n), (0, 0))  # the last block is filled up with zeros
        known = np.pad(np.ones((n, 1)), missing).reshape(blocks, size, 1)
        vectors = self.vectors[:n]
        parts = np.pad(vectors, missing).reshape(blocks, size, -1)
        errors = np.empty((len(penalties), responses.shape[1]))
        for i, penalty in enumerate(penalties):
            shrink = self.values / (self.values + penalty)
            hat = (parts * shrink) @ parts.transpose(0, 2, 1) + known @ known.transpose(0, 2, 1) / n
            residual = responses - vectors @ (shrink[:, None] * projected)
            residual = np.pad(residual, missing).reshape(blocks, size, -1)
            left_out = np.linalg.solve((1 + 1e-6) * np.eye(size) - hat, residual)
            errors[i] = (left_out**2).sum(axis=(0, 1))
        return errors


@dataclass(frozen=True)
class LinearPredictor:
    """``features @ weights + bias``, for raw (not standardised) features."""

    weights: NDArray[np.float64]
    bias: float

    def __call__(self, features: NDArray) -> NDArray:
        """Predictions, shape (images,)."""
        return features @ self.weights + self.bias


@dataclass(frozen=True)
class FurtherRows:
    """Images on which a fit also depends, but not the choice of its penalty.

    Parameters
    ----------
    features : ndarray, shape (images, n)
        Features, of mean zero.
    response : ndarray, shape (images,)
        Response, of mean zero.
    weights : ndarray, shape (images,)
        Weights of the squared errors.
    """

    features: NDArray[np.float64]
    response: NDArray[np.float64]
    weights: NDArray[np.float64]


def fit_reweighted(
    features: NDArray,
    response: NDArray,
    penalties: NDArray,
    reweightings: int,
    further: FurtherRows | None = None,
    together: int = 1,
) -> tuple[LinearPredictor, float]:
    """Ridge regression of one response, made sparse by reweighting.

    After a ridge fit every feature is scaled by the square root of its relative weight and
    the fit is repeated, so that few channels explain the response (FOCUSS, Gorodnitsky &
    Rao 1997). The penalty of each pass is chosen by leave-one-out error.

    Parameters
    ----------
    features : ndarray, shape (images, n)
    response : ndarray, shape (images,)
    penalties : ndarray
        Candidate penalties, in units of the mean squared feature.
    reweightings : int
        Number of reweighting passes; 0 is plain ridge regression.
    further : FurtherRows, optional
    together : int
        Number of successive images that are left out together.

    Returns
    -------
    predictor : LinearPredictor
    error : float
        Sum of squared leave-one-out errors over the images, without `further`.
    """
    standardise = Standardiser.of(features)
    standard = standardise(features)
    centred = response - response.mean()
    if further is not None:
        root = np.sqrt(further.weights)
        rows = further.features / standardise.spread
        standard = np.concatenate([standard, rows * root[:, None]])
        centred = np.concatenate([centred, further.response * root])
    scale = np.ones(features.shape[1])
    weights = np.zeros(features.shape[1])
    for _ in range(reweightings + 1):
        scale = scale / np.sqrt((scale**2).mean())
        scaled = standard * scale
        spectrum = GramSpectrum.of(scaled)
        errors = spectrum.left_out_errors(centred[:, None], penalties, len(response), together)[
            :, 0
        ]
        penalty = penalties[errors.argmin()]
        dual = spectrum.vectors @ ((spectrum.vectors.T @ centred) / (spectrum.values + penalty))
        weights = scale * (scaled.T @ dual) / features.shape[1]
        largest = np.abs(weights).max()
        if largest <= 0:
            break
        scale = np.sqrt(np.abs(weights) / largest)
    raw = weights / standardise.spread
    predictor = LinearPredictor(raw, float(response.mean() - raw @ standardise.mean))
    return predictor, float(errors.min())
