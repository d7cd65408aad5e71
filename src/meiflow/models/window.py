"""Feature maps read through a window: a closed-form readout of many positions at once.

The weights of all channels at all positions have a Gaussian prior whose variance follows a Gaussian
window. Their kernels add up over positions, so that the fit costs no more than at one position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.config.model import Window
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.boxes import Box, smallest_box
from meiflow.models.cnn_maps import CnnMaps, FixedMaps
from meiflow.models.core_maps import CoreMaps
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.empirical_bayes import candidate_weights
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.ridge import GramSpectrum
from meiflow.models.v1 import groups_after
from meiflow.models.window_front_end import WindowFrontEnd

_BATCH = 64
# Share of the squared weights in the part of the screen that a neuron reads.
KEPT = 0.97
_RULED_OUT = 0.001  # posterior probability

_MAPS: dict[str, type[FixedMaps | CnnMaps]] = {
    maps.kind: maps for maps in (WindowFrontEnd, CoreMaps, CnnMaps)
}


class WindowFitter:
    """Fit all neurons with the same training images; see `meiflow.models.ln.LnFitter`.

    Position, window and penalty are averages over candidates, weighted by their probability given
    all neurons of the call; see `meiflow.models.empirical_bayes`.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    maps : WindowFrontEnd or CoreMaps
    config : Window
    weights : ndarray, shape (images,), optional
        Number of trials of each image divided by the mean number.
    movies : int
        Number of last images that are from movies; see `meiflow.models.movie_stimuli`.
    together : int
        Number of successive images that are left out together to compare the candidates.
    drifting : sequence of DriftingStimuli
        Stimuli that follow the images, with their mean channels over all phases.
    """

    def __init__(
        self,
        images: NDArray,
        maps: FixedMaps,
        config: Window,
        weights: NDArray | None = None,
        movies: int = 0,
        together: int = 1,
        drifting: Sequence[DriftingStimuli] = (),
    ) -> None:
        self._images, self.maps, self._config = images, maps, config
        self._scenes, self._together = len(images) - movies, together
        own = np.ones(len(images)) if weights is None else weights
        self._weights = np.concatenate([own, *(shown.weights for shown in drifting)])
        self._drifting = drifting
        self._groups = groups_after(self._scenes, movies, drifting)
        self._windows = _windows(maps, config)
        self._lock = Lock()
        self._channels: NDArray[np.float32] | None = None

    @property
    def channels(self) -> NDArray[np.float32]:
        """Channels (images, positions, channels) of all images and drifting stimuli."""
        with self._lock:
            if self._channels is None:
                flat = torch.as_tensor(self._images, dtype=torch.float32).flatten(1) - GREY
                with torch.no_grad():
                    parts = [self.maps(part) for part in flat.split(_BATCH)]
                further = [shown.averaged_maps(self.maps) for shown in self._drifting]
                self._channels = np.concatenate([torch.cat(parts).numpy(), *further])
            return self._channels

    def scale(self, train: NDArray) -> NDArray[np.float64]:
        """Factor of every channel: prior standard deviation over spread in the training images."""
        spread = np.sqrt(self.channels[train].var(axis=0, dtype=float).mean(axis=0))
        spread = np.maximum(spread, 1e-3 * np.median(spread) + 1e-9)
        return np.asarray(np.sqrt(self.maps.prior) / spread)

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit jobs, which must have the same training images."""
        train = jobs.train[0].copy()
        train[self._scenes :] = False
        scale = self.scale(train)
        features = self.channels * scale.astype(np.float32)
        mean, average = jobs.responses[:, train].mean(axis=1), features[train].mean(axis=0)
        readouts = self._readouts(jobs, train, features - average)
        predictions = np.empty(jobs.train.shape)
        states: list[dict[str, Any]] = []
        for n, readout in enumerate(readouts):
            norms = np.linalg.norm(readout, axis=1).reshape(self.maps.shape)
            box = smallest_box(norms, KEPT)
            share = norms.ravel() ** 2 / max(float((norms**2).sum()), 1e-30)
            inside = box.indices(self.maps.shape)
            positions, channels = low_rank(readout[inside].astype(float), self._config.rank)
            kept = (positions @ channels).astype(np.float32)
            bias = float(mean[n] - (average[inside] * kept).sum(dtype=float))
            floor = rate_floor(float(mean[n]))
            drive = features[:, inside].reshape(len(features), -1) @ kept.ravel() + bias
            predictions[n] = positive(drive, floor)
            states.append(
                {
                    "kind": self.maps.kind,
                    "maps": self.maps.as_document(),
                    "box": list(astuple(box)),
                    "x_deg": float(self.maps.x @ share),
                    "y_deg": float(self.maps.y @ share),
                    "positions": torch.as_tensor(positions, dtype=torch.float32),
                    "channels": torch.as_tensor(channels * scale, dtype=torch.float32),
                    "bias": bias,
                    "floor": floor,
                }
            )
        return Fits(predictions, states)

    def _readouts(self, jobs: Jobs, train: NDArray, features: NDArray) -> NDArray[np.float32]:
        """Weights (neurons, positions, channels) of features that are centred on the scenes.

        With further stimuli, candidates fitted to scenes alone compete with those fitted to all.
        """
        responses, n = jobs.responses[:, train].T, len(jobs)
        centred = responses - responses.mean(axis=0)
        first = self._candidates(features[train], centred, centred, self._windows)
        groups = [rows[jobs.train[0][rows]] for rows in self._groups if jobs.train[0][rows].any()]
        if not groups:
            return first.readouts(candidate_weights(first.errors, len(centred)))
        root = np.sqrt(self._weights[np.concatenate(groups)])
        shown = np.concatenate([features[r] - features[r].mean(axis=0) for r in groups])
        recorded = [jobs.responses[:, r].T for r in groups]
        further = np.concatenate([part - part.mean(axis=0) for part in recorded])
        rows = shown * root[:, None, None].astype(np.float32)
        # only windows that scenes alone do not rule out for every neuron
        share = candidate_weights(first.errors, len(centred)).reshape(len(self._windows), -1, n)
        both = self._candidates(
            np.concatenate([features[train], rows]),
            np.concatenate([centred, root[:, None] * further]),
            centred,
            self._windows[share.sum(axis=1).max(axis=1) > _RULED_OUT],
        )
        weights = candidate_weights(np.concatenate([first.errors, both.errors]), len(centred))
        parts = np.split(weights, [len(first.errors)])
        return first.readouts(parts[0]) + both.readouts(parts[1])

    def _candidates(
        self, seen: NDArray, targets: NDArray, scored: NDArray, windows: NDArray
    ) -> _Candidates:
        """Fits to centred features (images, positions, channels) with every window and penalty."""
        penalties = np.asarray(self._config.penalties)
        by_position = np.stack([f @ f.T for f in seen.swapaxes(0, 1)])
        variance = np.maximum((scored**2).sum(axis=0), 1e-12)
        spectra, errors = [], []
        for window in windows:
            values, vectors = np.linalg.eigh(np.tensordot(window, by_position, 1).astype(float))
            spectrum = GramSpectrum(vectors, np.maximum(values, 0))
            spectra.append(spectrum)
            left_out = spectrum.left_out_errors(targets, penalties, len(scored), self._together)
            errors.append(left_out / variance)
        return _Candidates(seen, targets, windows, penalties, spectra, np.concatenate(errors))


@dataclass(frozen=True)
class _Candidates:
    """Ridge fits of all neurons with every window (positions,) and penalty.

    Parameters
    ----------
    seen : ndarray, shape (images, positions, channels)
    targets : ndarray, shape (images, neurons)
    windows : ndarray, shape (windows, positions)
    penalties : ndarray, shape (penalties,)
    spectra : list of GramSpectrum, one per window
    errors : ndarray, shape (windows x penalties, neurons)
        Relative leave-one-out error over the scenes.
    """

    seen: NDArray[np.float32]
    targets: NDArray[np.float64]
    windows: NDArray[np.float64]
    penalties: NDArray[np.float64]
    spectra: list[GramSpectrum]
    errors: NDArray[np.float64]

    def readouts(self, weights: NDArray) -> NDArray[np.float32]:
        """Weights (neurons, positions, channels), averaged over the candidates."""
        each = weights.reshape(len(self.spectra), len(self.penalties), -1)
        duals = np.empty((len(self.spectra), *self.targets.shape))
        for i, spectrum in enumerate(self.spectra):
            shrunk = each[i][:, None] / (spectrum.values[:, None] + self.penalties[:, None, None])
            duals[i] = spectrum.vectors @ (shrunk.sum(axis=0) * (spectrum.vectors.T @ self.targets))
        by_position = self.seen.swapaxes(0, 1)
        found = np.empty((self.targets.shape[1], *by_position.shape[::2]), np.float32)
        for n in range(len(found)):
            # (positions, images): window-weighted dual weights
            at_positions = (self.windows.T @ duals[:, :, n]).astype(np.float32)
            found[n] = (at_positions[:, None] @ by_position)[:, 0]
        return found


def _windows(maps: FixedMaps, config: Window) -> NDArray[np.float64]:
    """Weights (windows, positions) of each candidate window, which sum to one."""
    x, y = maps.x, maps.y
    distance = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    sigmas = np.array(config.sigmas_deg)[:, None, None]
    windows = np.exp(-0.5 * distance / sigmas**2).reshape(-1, len(x))
    return np.asarray(windows / windows.sum(axis=1, keepdims=True))


def low_rank(matrix: NDArray, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The closest product of two matrices of at most a given rank."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return left[:, :rank] * values[:rank], right[:rank]


class WindowMember(nn.Module):
    """Feature maps, weights of their channels and positions, and a positive nonlinearity."""

    def __init__(self, state: dict[str, Any], geometry: Geometry) -> None:
        super().__init__()
        self.floor = float(state["floor"])
        self.maps = _MAPS[state["kind"]].from_document(state["maps"], geometry)
        self.box = Box(*state["box"])
        self.positions = nn.Parameter(state["positions"].clone())
        self.channels = nn.Parameter(state["channels"].clone())
        self.bias = nn.Parameter(torch.tensor(float(state["bias"])))

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) for contrast (luminance minus grey), (batch, pixels)."""
        weight = self.positions @ self.channels
        drive = self.maps(contrast, [self.box]).flatten(1) @ weight.flatten()
        return torch.as_tensor(positive(drive + self.bias, self.floor))
