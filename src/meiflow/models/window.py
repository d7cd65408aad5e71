"""V1 front end read through a window: a closed-form readout of many positions at once.

The weights of all channels at all positions have a Gaussian prior whose variance follows a Gaussian
window. Their kernels add up over positions, so that the fit costs no more than at one position.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.empirical_bayes import candidate_weights
from meiflow.models.front_end import GREY, FrontEnd
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.ridge import GramSpectrum
from meiflow.models.window_front_end import WindowFrontEnd

# Prior variance of the weights of complex channels, and of ON and OFF channels, divided equally
# among the channels of a kind. Chosen on recorded neurons (benchmarks/recorded_neurons.py).
_PRIOR = np.array([1.0, 0.2])
_BATCH = 64


class WindowFitter:
    """Fit all neurons with the same training images; see `meiflow.models.ln.LnFitter`.

    Position, window and penalty are averages over candidates, weighted by their probability given
    all neurons of the call; see `meiflow.models.empirical_bayes`.
    """

    def __init__(self, images: NDArray, geometry: Geometry, config: Model) -> None:
        self._images, self._config = images, config.window
        self._front_end = FrontEnd.from_config(config)
        self._channels = WindowFrontEnd(self._front_end, geometry, config.window.spacing_deg)
        self._windows = _windows(self._channels, config)
        self._lock = Lock()
        self._kept: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None

    def _features(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Scaled channels (images, positions, channels) of all images, and the scales."""
        with self._lock:
            if self._kept is None:
                flat = torch.as_tensor(self._images, dtype=torch.float32).flatten(1) - GREY
                with torch.no_grad():
                    channels = torch.cat([self._channels(part) for part in flat.split(_BATCH)])
                spread = channels.std(dim=0).double().square().mean(dim=0).sqrt().numpy()
                spread = np.maximum(spread, 1e-3 * np.median(spread) + 1e-9)
                scale = np.sqrt(_prior_variance(self._front_end)) / spread
                self._kept = channels.numpy() * scale.astype(np.float32), scale
            return self._kept

    def features(self) -> NDArray[np.float32]:
        """Scaled channels (images, positions, channels) of all images."""
        return self._features()[0]

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit jobs, which must have the same training images."""
        train = jobs.train[0]
        features, scale = self._features()
        responses = jobs.responses[:, train].T
        mean, average = responses.mean(axis=0), features[train].mean(axis=0)
        seen = features[train] - average
        duals = self._duals(seen, responses - mean)
        predictions = np.empty(jobs.train.shape)
        states: list[dict[str, Any]] = []
        for n in range(len(jobs)):
            # (positions, channels): window-weighted sums of the training images' channels
            at_positions = (self._windows.T @ duals[:, :, n]).astype(np.float32)
            readout = (at_positions[:, None] @ seen.swapaxes(0, 1))[:, 0]
            positions, channels = _low_rank(readout.astype(float), self._config.rank)
            kept = (positions @ channels).astype(np.float32)
            bias = float(mean[n] - (average * kept).sum(dtype=float))
            floor = rate_floor(float(mean[n]))
            drive = features.reshape(len(features), -1) @ kept.ravel() + bias
            predictions[n] = positive(drive, floor)
            states.append(
                {
                    "kind": "v1_window",
                    "front_end": self._front_end.as_document(),
                    "spacing_deg": self._config.spacing_deg,
                    "positions": torch.as_tensor(positions, dtype=torch.float32),
                    "channels": torch.as_tensor(channels * scale, dtype=torch.float32),
                    "bias": bias,
                    "floor": floor,
                }
            )
        return Fits(predictions, states)

    def _duals(self, seen: NDArray, centred: NDArray) -> NDArray[np.float64]:
        """Dual weights (windows, training images, neurons), averaged over the candidates."""
        penalties = np.asarray(self._config.penalties)
        by_position = np.stack([f @ f.T for f in seen.swapaxes(0, 1)])
        variance = np.maximum((centred**2).sum(axis=0), 1e-12)
        spectra, errors = [], []
        for window in self._windows:
            values, vectors = np.linalg.eigh(np.tensordot(window, by_position, 1).astype(float))
            spectrum = GramSpectrum(vectors, np.maximum(values, 0))
            spectra.append(spectrum)
            errors.append(spectrum.left_out_errors(centred, penalties) / variance)
        flat = np.concatenate(errors)
        weights = candidate_weights(flat, len(seen)).reshape(len(spectra), len(penalties), -1)
        duals = np.empty((len(spectra), *centred.shape))
        for i, spectrum in enumerate(spectra):
            shrunk = weights[i][:, None] / (spectrum.values[:, None] + penalties[:, None, None])
            duals[i] = spectrum.vectors @ (shrunk.sum(axis=0) * (spectrum.vectors.T @ centred))
        return duals


def _windows(channels: WindowFrontEnd, config: Model) -> NDArray[np.float64]:
    """Weights (windows, positions) of each candidate window, which sum to one."""
    x, y = channels.x, channels.y
    distance = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    sigmas = np.array(config.window.sigmas_deg)[:, None, None]
    windows = np.exp(-0.5 * distance / sigmas**2).reshape(-1, len(x))
    return np.asarray(windows / windows.sum(axis=1, keepdims=True))


def _prior_variance(front_end: FrontEnd) -> NDArray[np.float64]:
    """Prior variance of the weight of every channel; see `FrontEnd.channels`."""
    gabors, centres = len(front_end.gabors[0]), len(front_end.centre_sigmas)
    kind = np.tile(np.repeat([0, 1], [gabors, 2 * centres]), 2)
    return np.asarray((_PRIOR / np.bincount(kind))[kind])


def _low_rank(matrix: NDArray, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The closest product of two matrices of at most a given rank."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return left[:, :rank] * values[:rank], right[:rank]


class WindowMember(nn.Module):
    """V1 front end, weights of channels and positions, and a positive nonlinearity."""

    def __init__(self, state: dict[str, Any], geometry: Geometry) -> None:
        super().__init__()
        self.front_end = FrontEnd.from_document(state["front_end"])
        self.spacing = float(state["spacing_deg"])
        self.floor = float(state["floor"])
        self.windows = WindowFrontEnd(self.front_end, geometry, self.spacing)
        self.positions = nn.Parameter(state["positions"].clone())
        self.channels = nn.Parameter(state["channels"].clone())
        self.bias = nn.Parameter(torch.tensor(float(state["bias"])))

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) for contrast (luminance minus grey), (batch, pixels)."""
        weight = self.positions @ self.channels
        drive = self.windows(contrast).flatten(1) @ weight.flatten()
        return torch.as_tensor(positive(drive + self.bias, self.floor))
