"""Convolutional networks as base models: from scratch, shared, or pretrained."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.config.sections import Network
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.cores import StackedCore
from meiflow.models.documents import read_document, write_document
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.network_member import (
    NeuronNetwork,
    Readout,
    build_readout,
    map_shape,
    network_state,
    places_on_maps,
)
from meiflow.models.readouts import FactorisedReadout
from meiflow.models.ridge import GramSpectrum, Standardiser
from meiflow.models.training import train

_FORMAT = "meiflow core 1"
_DRAWING = Lock()
_STOPPING_SHARE = 5
_PENALTIES = 10.0 ** np.arange(-2.0, 3.1, 0.5)


class NetworkFitter:
    """Fits jobs with convolutional networks.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    weights : ndarray, shape (images,)
        Number of trials of each image divided by the mean number.
    geometry : Geometry
    config : Network
    seed : int
    kind : str
        ``scratch``: one network per job, as in the notebook; ``shared``: one core for all jobs with
        the same training images; ``pretrained``: a core that is fixed, or trained further if
        ``fine_tuning`` is set.
    core : dict of Tensor, optional
        State of the pretrained core.
    """

    def __init__(
        self,
        images: NDArray,
        weights: NDArray,
        geometry: Geometry,
        config: Network,
        seed: int,
        kind: str,
        core: dict[str, Tensor] | None = None,
    ) -> None:
        self._contrast = torch.as_tensor(images, dtype=torch.float32) - GREY
        self._weights = torch.as_tensor(weights, dtype=torch.float32)
        self._geometry, self._config, self._seed = geometry, config, seed
        self._kind, self._core = kind, core

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit jobs; jobs of one call that share a core must have the same training images."""
        if self._kind == "scratch":
            parts = [self._fit(part) for part in jobs.chunks(1)]
        else:
            parts = [self._fit(jobs)]
        return Fits(
            np.concatenate([p.predictions for p in parts]), [s for p in parts for s in p.states]
        )

    def _fit(self, jobs: Jobs) -> Fits:
        """Fit one network to the neurons of jobs with the same training images."""
        seen = torch.as_tensor(jobs.train[0])
        contrast = self._contrast[seen]
        responses = torch.as_tensor(jobs.responses, dtype=torch.float32).T[seen]
        stopping = torch.arange(len(contrast)) % _STOPPING_SHARE == 0
        predictions = np.zeros(jobs.train.shape)
        states: list[list[dict[str, Any]]] = [[] for _ in range(len(jobs))]
        for i in range(self._config.seeds):
            seed = self._seed + 1000 * i
            network = self._network(jobs, contrast, responses, seed)
            train(
                network,
                contrast,
                responses,
                self._weights[seen],
                stopping,
                self._config,
                seed,
                core_rate=self._config.fine_tuning if self._kind == "pretrained" else 1.0,
                label=self._kind,
            )
            with torch.no_grad():
                parts = [network(part) for part in self._contrast.split(64)]
            if not all(bool(torch.isfinite(part).all()) for part in parts):
                raise MeiflowError(
                    f"model.network: training of {self._kind} diverged; reduce learning_rate below "
                    f"{self._config.learning_rate:g}"
                )
            predictions += torch.cat(parts).T.numpy() / self._config.seeds
            for n, own in enumerate(states):
                own.append(network_state(network, n, self._config))
        return Fits(predictions, [{"kind": "network", "networks": own} for own in states])

    def _network(self, jobs: Jobs, contrast: Tensor, responses: Tensor, seed: int) -> NeuronNetwork:
        # all threads share the generator from which torch draws initial weights
        with _DRAWING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            core = StackedCore.from_config(self._config)
        shape = map_shape(self._geometry)
        readout = build_readout(self._config, core.out_channels, len(jobs), shape)
        if self._core is not None:
            core.load_state_dict(self._core)
        place = places_on_maps(jobs.x, jobs.y, self._geometry, core.offset)
        readout.place.data = place
        if isinstance(readout, FactorisedReadout):
            readout.start_at(place)
        mean, spread = responses.mean(0) + 1e-3, None
        if jobs.real:
            mean, spread = responses.mean(0), responses.std(0) + 1e-6
        linear = self._config.output == "linear"
        network = NeuronNetwork(core, readout, mean, float(contrast.std()), linear, spread)
        if self._core is not None:
            _start_readout(network, contrast, responses)
        return network


def _start_readout(network: NeuronNetwork, contrast: Tensor, responses: Tensor) -> None:
    """Initialise the readout by ridge regression on the core's features at the RF position."""
    network.eval()
    readout: Readout = network.readout
    with torch.no_grad():
        parts = [
            readout.features(network.core(part[:, None] / network.contrast), readout.place)
            for part in contrast.split(64)
        ]
    features = torch.cat(parts).numpy().astype(float)
    scaled = responses / network.mean - 1
    if network.spread is not None:
        scaled = (responses - network.mean) / network.spread
    target = scaled.numpy().astype(float)
    for n in range(features.shape[1]):
        standardise = Standardiser.of(features[:, n])
        standard = standardise(features[:, n])
        spectrum = GramSpectrum.of(standard)
        centred = target[:, n] - target[:, n].mean()
        errors = spectrum.left_out_errors(centred[:, None], _PENALTIES)[:, 0]
        shrink = spectrum.values + _PENALTIES[errors.argmin()]
        dual = spectrum.vectors @ ((spectrum.vectors.T @ centred) / shrink)
        weight = standard.T @ dual / standard.shape[1] / standardise.spread
        bias = target[:, n].mean() - weight @ standardise.mean
        readout.weight.data[n] = torch.as_tensor(weight, dtype=torch.float32)
        readout.bias.data[n] = float(bias)


def pretrain_core(
    images: NDArray, rates: NDArray, geometry: Geometry, places: NDArray, config: Network, seed: int
) -> dict[str, Tensor]:
    """Train a core on neurons with known rates.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    rates : ndarray, shape (images, neurons)
        Expected counts.
    places : ndarray, shape (neurons, 2)
        RF positions in degrees.

    Returns
    -------
    dict of Tensor
        State of the core.
    """
    n = rates.shape[1]
    jobs = Jobs(
        rates.T,
        np.ones(rates.T.shape, bool),
        places[:, 0],
        places[:, 1],
        np.zeros((n, 0, 5)),
    )
    fitter = NetworkFitter(images, np.ones(len(images)), geometry, config, seed, "shared")
    state = fitter(jobs).states[0]["networks"][0]
    return dict(state["core"])


def save_core(core: dict[str, Tensor], config: Network, geometry: Geometry, path: Path) -> None:
    """Write a core, to be read by `load_core`."""
    shape = _shape(config, geometry)
    write_document({"format": _FORMAT, "config": shape, "core": core}, path)


def load_core(path: Path, config: Network, geometry: Geometry) -> dict[str, Tensor]:
    """Read a core without executing anything in the file.

    Raises
    ------
    MeiflowError
        If the file is missing or damaged, or contains a core of a different shape.
    """
    document = read_document(path)
    if document.get("format") != _FORMAT or not isinstance(document.get("core"), dict):
        raise MeiflowError(f"{path}: not a meiflow core; create one with meiflow pretrain")
    wanted = _shape(config, geometry)
    if document["config"] != wanted:
        raise MeiflowError(
            f"{path}: this core has {document['config']}, but the configuration requires {wanted}; "
            "pretrain a core with this configuration"
        )
    return dict(document["core"])


def _shape(config: Network, geometry: Geometry) -> dict[str, float]:
    """Properties on which a core depends: its layers and the pixel size."""
    layers = config.model_dump(include={"channels", "layers", "input_kernel", "hidden_kernel"})
    return layers | {"deg_per_px_x": round(geometry.dx, 4), "deg_per_px_y": round(geometry.dy, 4)}
