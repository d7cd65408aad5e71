"""Inputs and outputs of the procedures: a population of models, and a set of stimuli."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.names import Procedure
from meiflow.config.sections import Config
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, read_arrays
from meiflow.models.device import chosen_device
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.results.layout import Layout
from meiflow.results.tables import read_stack
from meiflow.stages.common import open_models, stimulus_targets, wanted_neurons

# Images per batch: as many as fit into the cache of a processor, and few enough for separate
# convolutional networks on a GPU.
_BATCH, _BATCH_OF_GPU = 48, 240


def batch_size() -> int:
    """Number of images per batch on the chosen device."""
    return _BATCH if chosen_device().type == "cpu" else _BATCH_OF_GPU


@dataclass(frozen=True)
class Population:
    """Fitted neurons, their models and MEIs, the images, and the targets of all stimuli.

    `members` holds the single base model to which a procedure applies, if any; `rf_maps` the RF
    map of each neuron (height, width) on the image grid, if it is needed.
    """

    config: Config
    neurons: list[str]
    models: list[NeuronModel]
    meis: NDArray[np.float32]
    image_ids: NDArray[np.int64]
    images: NDArray[np.float32]
    mean: float
    contrast: float
    members: list[NeuronModel] = field(default_factory=list)
    rf_maps: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def paired(self) -> PairedModel:
        """All models as one, with separate images for each neuron."""
        return PairedModel(self.models)

    def part(self, chosen: list[int]) -> Population:
        """A subset of the neurons."""
        return replace(
            self,
            neurons=[self.neurons[i] for i in chosen],
            models=[self.models[i] for i in chosen],
            members=[self.members[i] for i in chosen] if self.members else [],
            meis=self.meis[chosen] if len(self.meis) else self.meis,
        )

    def groups(self, images: int) -> list[Population]:
        """Consecutive groups of neurons that fit into a batch, given the images per neuron."""
        size = max(1, batch_size() // images)
        rows = list(range(len(self.neurons)))
        return [self.part(rows[i : i + size]) for i in range(0, len(rows), size)]

    def matched(self, images: NDArray) -> NDArray[np.float32]:
        """Project images to the common mean and contrast."""
        return project_array(images, self.mean, self.contrast)

    def predictions(self, images: NDArray) -> NDArray[np.float64]:
        """Response of each neuron to its image (neurons, height, width)."""
        pairs = zip(self.models, images, strict=True)
        return np.array([model.predict(image[None])[0] for model, image in pairs])


@dataclass(frozen=True)
class StimulusSet:
    """Images (neurons, [several,] height, width) and a table that begins with neuron_id."""

    images: NDArray[np.float32]
    table: pd.DataFrame


def load_population(
    config: Config, results: Layout, procedure: Procedure, neurons: list[str] | None
) -> Population:
    """Read the data that a procedure needs for the fitted neurons, or for some of them."""
    chosen = wanted_neurons(results) if neurons is None else neurons
    geometry = config.image.geometry
    archive = open_models(config, results)
    models = [archive.model(neuron, config.model.custom) for neuron in chosen]
    image_ids, images = (
        read_stack(results, geometry)
        if procedure.needs_images
        else (np.empty(0, np.int64), np.empty((0, *geometry.shape), np.float32))
    )
    meis = (
        np.stack([read_array(results.neuron(neuron).mei) for neuron in chosen])
        if procedure.needs_mei
        else np.empty((0, *geometry.shape), np.float32)
    )
    targets = stimulus_targets(config, results)
    kind = procedure.base_model
    members = [] if kind is None else [archive.member(neuron, kind) for neuron in chosen]
    maps = _rf_maps(results, chosen, geometry) if procedure.needs_rf_map else {}
    return Population(config, chosen, models, meis, image_ids, images, *targets, members, maps)


def _rf_maps(
    results: Layout, neurons: list[str], geometry: Geometry
) -> dict[str, NDArray[np.float64]]:
    """RF maps, interpolated at the pixels of the images."""
    from scipy.interpolate import RegularGridInterpolator

    search = read_arrays(results.model_search)
    x, y = search["rf_map_x_deg"], search["rf_map_y_deg"][::-1]
    column = {str(neuron): i for i, neuron in enumerate(search["neuron_ids"])}
    places = np.meshgrid(np.clip(geometry.y, y[0], y[-1]), np.clip(geometry.x, x[0], x[-1]))
    return {
        neuron: RegularGridInterpolator((y, x), search["rf_map"][::-1, :, column[neuron]])(
            tuple(places)
        ).T
        for neuron in neurons
    }


def about_images(p: Population, images: NDArray) -> pd.DataFrame:
    """Columns shared by all procedures with one image per neuron."""
    return pd.DataFrame(
        {
            "neuron_id": p.neurons,
            "predicted_response": p.predictions(images),
            "matched_response": p.predictions(p.matched(images)),
            "mean": images.mean((1, 2)),
            "rms_contrast": images.std((1, 2)),
        }
    )


def joined_sets(parts: list[StimulusSet]) -> StimulusSet:
    """Concatenate groups of neurons."""
    tables = pd.concat([part.table for part in parts], ignore_index=True)
    return StimulusSet(np.concatenate([part.images for part in parts]), tables)
