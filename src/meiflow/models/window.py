"""Feature maps read through a window: a closed-form readout of many positions at once.

The weights of all channels at all positions have a Gaussian prior whose variance follows a Gaussian
window. Their kernels add up over positions, so that the fit costs no more than at one position, and
they are the same for all neurons and their shuffled controls.
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

from meiflow.config.base_models import Window
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
_WINDOWS_AT_ONCE = 32  # whose kernels are in memory
# Share of the squared weights in the part of the screen that a neuron reads.
KEPT = 0.97
_RULED_OUT = 0.001  # posterior probability
_NEGLIGIBLE = 1e-6

_MAPS: dict[str, type[FixedMaps | CnnMaps]] = {
    maps.kind: maps for maps in (WindowFrontEnd, CoreMaps, CnnMaps)
}


class WindowFitter:
    """Fit all jobs with the same training images; see `meiflow.models.ln.LnFitter`.

    Position, window and penalty are averages over candidates, weighted by their probability given
    all neurons of a group; see `meiflow.models.empirical_bayes`.

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
    group : int, optional
        Number of successive jobs whose candidates have a common prior, such as all neurons or all
        their shuffled controls; default all jobs of a call.
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
        group: int | None = None,
        drifting: Sequence[DriftingStimuli] = (),
    ) -> None:
        self._images, self.maps, self._config, self._group = images, maps, config, group
        self._scenes, self._together = len(images) - movies, together
        own = np.ones(len(images)) if weights is None else weights
        self._weights = np.concatenate([own, *(shown.weights for shown in drifting)])
        self._drifting = drifting
        self._further = groups_after(self._scenes, movies, drifting)
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
        """Fit jobs, which must have the same training scenes."""
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
            floor = rate_floor(float(mean[n]), jobs.real)
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
        """Weights (jobs, positions, channels) of features that are centred on the scenes.

        With further stimuli, candidates fitted to scenes alone compete with those fitted to all.
        """
        responses, n = jobs.responses[:, train].T, int(train.sum())
        centred = responses - responses.mean(axis=0)
        first = self._candidates(features[train], centred, centred, self._windows)
        size = self._group or len(jobs)
        groups = [np.arange(i, min(i + size, len(jobs))) for i in range(0, len(jobs), size)]
        weights = [candidate_weights(first.errors[:, group], n) for group in groups]
        parts = []
        for stimuli in dict.fromkeys(self._learned(jobs, group) for group in groups):
            if not stimuli:
                continue
            # only windows that scenes alone do not rule out for every neuron of the group
            possible = np.zeros((len(self._windows), len(groups)), bool)
            for i, (group, own) in enumerate(zip(groups, weights, strict=True)):
                if self._learned(jobs, group) == stimuli:
                    share = own.reshape(len(self._windows), -1, len(group)).sum(axis=1)
                    possible[:, i] = share.max(axis=1) > _RULED_OUT
            used = np.flatnonzero(possible.any(axis=1))
            both = self._with_further(jobs, features, train, centred, stimuli, used)
            own_weights = np.zeros(both.errors.shape)
            for i, group in enumerate(groups):
                competing = np.repeat(possible[used, i], len(self._config.penalties))
                if competing.any():
                    errors = [first.errors[:, group], both.errors[competing][:, group]]
                    found = candidate_weights(np.concatenate(errors), n)
                    weights[i], own = np.split(found, [len(first.errors)])
                    own_weights[np.ix_(competing, group)] = own
            parts.append(both.readouts(own_weights))
        readouts = first.readouts(np.concatenate(weights, axis=1))
        for part in parts:
            readouts = readouts + part
        return readouts

    def _learned(self, jobs: Jobs, group: NDArray) -> tuple[int, ...]:
        """Numbers of the groups of further stimuli from which a group of jobs learns."""
        train = jobs.train[group[0]]
        return tuple(i for i, rows in enumerate(self._further) if train[rows].any())

    def _with_further(
        self,
        jobs: Jobs,
        features: NDArray,
        train: NDArray,
        centred: NDArray,
        stimuli: tuple[int, ...],
        windows: NDArray,
    ) -> _Candidates:
        """Candidates that are also fitted to further stimuli, each with an offset of its own."""
        used = [self._further[i] for i in stimuli]
        root = np.sqrt(self._weights[np.concatenate(used)])
        shown = np.concatenate([features[rows] - features[rows].mean(axis=0) for rows in used])
        recorded = [jobs.responses[:, rows].T for rows in used]
        targets = np.concatenate([part - part.mean(axis=0) for part in recorded])
        return self._candidates(
            np.concatenate([features[train], shown * root[:, None, None].astype(np.float32)]),
            np.concatenate([centred, root[:, None] * targets]),
            centred,
            self._windows[windows],
        )

    def _candidates(
        self, seen: NDArray, targets: NDArray, scored: NDArray, windows: NDArray
    ) -> _Candidates:
        """Fits to centred features (images, positions, channels) with every window and penalty."""
        penalties = np.asarray(self._config.penalties)
        n = len(seen)
        by_position = np.stack([(f @ f.T).ravel() for f in seen.swapaxes(0, 1)])
        variance = np.maximum((scored**2).sum(axis=0), 1e-12)
        single = targets.astype(np.float32)
        spectra, errors = [], []
        for first in range(0, len(windows), _WINDOWS_AT_ONCE):
            part = windows[first : first + _WINDOWS_AT_ONCE].astype(np.float32)
            for kernel in (part @ by_position).reshape(-1, n, n):
                values, vectors = np.linalg.eigh(kernel.astype(float))
                spectrum = GramSpectrum(vectors.astype(np.float32), np.maximum(values, 0))
                spectra.append(spectrum)
                left_out = spectrum.left_out_errors(single, penalties, len(scored), self._together)
                errors.append(left_out / variance)
        return _Candidates(seen, single, windows, penalties, spectra, np.concatenate(errors))


@dataclass(frozen=True)
class _Candidates:
    """Ridge fits of all neurons with every window (positions,) and penalty.

    Parameters
    ----------
    seen : ndarray, shape (images, positions, channels)
    targets : ndarray of float32, shape (images, jobs)
    windows : ndarray, shape (windows, positions)
    penalties : ndarray, shape (penalties,)
    spectra : list of GramSpectrum, one per window
    errors : ndarray, shape (windows x penalties, jobs)
        Relative leave-one-out error over the scenes.
    """

    seen: NDArray[np.float32]
    targets: NDArray[np.float32]
    windows: NDArray[np.float64]
    penalties: NDArray[np.float64]
    spectra: list[GramSpectrum]
    errors: NDArray[np.float64]

    def readouts(self, weights: NDArray) -> NDArray[np.float32]:
        """Weights (jobs, positions, channels), averaged over the candidates."""
        each = weights.reshape(len(self.spectra), len(self.penalties), -1)
        shape = self.targets.T.shape
        # window-weighted dual weights (positions, jobs x images)
        at_positions = np.zeros((self.windows.shape[1], self.targets.size), np.float32)
        for first in range(0, len(self.windows), _WINDOWS_AT_ONCE):
            part = slice(first, first + _WINDOWS_AT_ONCE)
            duals = [
                self._dual(spectrum, own)
                for spectrum, own in zip(self.spectra[part], each[part], strict=True)
            ]
            flat = np.stack(duals).reshape(len(duals), -1)
            at_positions += self.windows[part].T.astype(np.float32) @ flat
        by_position = at_positions.reshape(-1, *shape) @ self.seen.swapaxes(0, 1)
        return np.asarray(by_position.swapaxes(0, 1))

    def _dual(self, spectrum: GramSpectrum, weights: NDArray) -> NDArray[np.float32]:
        """Dual weights (jobs, images) with one window, given weights (penalties, jobs)."""
        dual = np.zeros(self.targets.T.shape, np.float32)
        used = np.flatnonzero(weights.max(axis=0) > _NEGLIGIBLE)
        if len(used):
            by_penalty = 1 / (spectrum.values[:, None] + self.penalties)
            projected = (by_penalty @ weights[:, used]).astype(np.float32)
            projected *= spectrum.vectors.T @ self.targets[:, used]
            dual[used] = (spectrum.vectors @ projected).T
        return dual


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
