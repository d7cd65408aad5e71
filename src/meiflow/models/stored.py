"""Models of neurons from the files that hold those of a whole session."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.documents import damaged, read_document
from meiflow.models.network import NeuronModel, refuse_strangers


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
        if spec is None:
            models.append(_model(document, path, geometry))
            continue
        member = {"kind": "custom", "spec": spec, "neuron": neuron}
        own = document | {"members": [member], "weights": [1.0]}
        models.append(_model(own, path, geometry, spec))
    return models


def stored_members(
    config: Config, path: Path, neurons: list[str], member: str
) -> list[NeuronModel]:
    """One member of the mixture of each neuron, alone; fails as `stored_models` does."""
    geometry = config.image.geometry
    found = []
    for document in _documents(path, neurons, geometry):
        (state,) = (s for s in document["members"] if s["kind"] == member)
        alone = document | {"members": [state], "weights": [1.0]}
        found.append(_model(alone, path, geometry))
    return found


def _documents(path: Path, neurons: list[str], geometry: Geometry) -> list[Any]:
    document = read_document(path)
    held = document.get("neurons")
    for neuron in neurons:
        there = isinstance(held, dict) and neuron in held
        if document.get("geometry") != asdict(geometry) or not there:
            raise MeiflowError(
                f"{path}: has no neuron {neuron} for images of {geometry}; fit the models again"
            )
    return [document["neurons"][neuron] for neuron in neurons]


def _model(
    document: dict[str, Any], path: Path, geometry: Geometry, custom: str | None = None
) -> NeuronModel:
    try:
        refuse_strangers(document["members"], path, custom)
        place = document["x_deg"], document["y_deg"]
        return NeuronModel(geometry, *place, document["members"], document["weights"]).eval()
    except MeiflowError:
        raise
    except Exception as error:  # a wrong document fails in many ways
        raise damaged(path, error) from None
