"""Models of neurons from the files that hold those of a whole session."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from meiflow.errors import MeiflowError
from meiflow.geometry import Geometry
from meiflow.models.documents import read_document
from meiflow.models.network import NeuronModel
from meiflow.sections import Config


def stored_models(config: Config, path: Path, neurons: list[str]) -> list[NeuronModel]:
    """Models of some neurons from models.pt.

    With ``model.custom`` these are the user's modules, at the places of ours.

    Raises
    ------
    MeiflowError
        If a neuron is not there, or the models are for images of another size.
    """
    geometry, spec = config.image.geometry, config.model.custom
    models = []
    for neuron, document in zip(neurons, _documents(path, neurons, geometry), strict=True):
        own = document
        if spec is not None:
            member = {"kind": "custom", "spec": spec, "neuron": neuron}
            own = document | {"members": [member], "weights": [1.0]}
        models.append(_model(own, geometry))
    return models


def stored_members(
    config: Config, path: Path, neurons: list[str], member: str
) -> list[NeuronModel]:
    """One member of the mixture of each neuron, alone; fails as `stored_models` does."""
    geometry = config.image.geometry
    found = []
    for document in _documents(path, neurons, geometry):
        (state,) = (s for s in document["members"] if s["kind"] == member)
        found.append(_model(document | {"members": [state], "weights": [1.0]}, geometry))
    return found


def _documents(path: Path, neurons: list[str], geometry: Geometry) -> list[Any]:
    document = read_document(path)
    for neuron in neurons:
        if document.get("geometry") != asdict(geometry) or neuron not in document["neurons"]:
            raise MeiflowError(
                f"{path}: has no neuron {neuron} for images of {geometry}; fit the models again"
            )
    return [document["neurons"][neuron] for neuron in neurons]


def _model(document: dict[str, Any], geometry: Geometry) -> NeuronModel:
    place = document["x_deg"], document["y_deg"]
    return NeuronModel(geometry, *place, document["members"], document["weights"]).eval()
