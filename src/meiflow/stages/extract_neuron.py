"""The stage that extracts a single neuron's model from the archive."""

from __future__ import annotations

from meiflow.config.sections import Config
from meiflow.io.writing import atomic
from meiflow.models.archive import ModelArchive
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected


def extract_neuron(config: Config, results: Layout, neuron: str) -> None:
    """Write a neuron's model and its fold models as separate files.

    Raises
    ------
    MeiflowError
        If the neuron was not selected or has no model.
    """
    require_selected(results.fitted_neurons, neuron)
    archive = ModelArchive(results.models, config.image.geometry)
    folder = results.neuron(neuron)
    paths = {"model.pt": folder.model, "fold_models.pt": folder.fold_models}
    for name, content in archive.extract(neuron).items():
        with atomic(paths[name]) as temporary:
            temporary.write_bytes(content)
