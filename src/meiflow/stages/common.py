"""Helpers shared by several stages: neurons, and the common mean and contrast."""

from __future__ import annotations

from collections.abc import Sequence

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.images.projection import contrast_targets
from meiflow.io.files import map_array
from meiflow.models.archive import ModelArchive
from meiflow.models.network import NeuronModel
from meiflow.models.soundness import check_on_images
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected, selected_neurons
from meiflow.results.tables import read_stack_info


def open_models(config: Config, results: Layout) -> ModelArchive:
    """The models of all neurons, which may use the core of the configuration."""
    return ModelArchive(results.models, config.image.geometry, config.model.network.own_core)


def check_custom(
    config: Config, results: Layout, models: Sequence[NeuronModel], neurons: Sequence[str]
) -> None:
    """Check that custom modules (model.custom) respond to the images of the session."""
    if config.model.custom is None:
        return
    images = map_array(results.images)
    for model, neuron in zip(models, neurons, strict=True):
        check_on_images(model, images, f"model.custom {config.model.custom} (neuron {neuron})")


def stimulus_targets(config: Config, results: Layout) -> tuple[float, float]:
    """Mean luminance and RMS contrast of all stimuli, without reading the images."""
    info = read_stack_info(results, config.image.geometry)
    mei = config.mei
    return contrast_targets(mei.mean, mei.contrast, info.mean_luminance, info.mean_contrast)


def wanted_neurons(results: Layout, neurons: list[str] | None = None) -> list[str]:
    """The fitted neurons, or the requested ones.

    Raises
    ------
    MeiflowError
        If a neuron was not selected or has no model, or if there are no neurons.
    """
    for neuron in neurons or ():
        require_selected(results.fitted_neurons, neuron)
    found = neurons or selected_neurons(results.fitted_neurons)
    if not found:
        raise MeiflowError("no neuron was selected, so there is nothing to do")
    return found
