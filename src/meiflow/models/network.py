"""A fitted neuron as a differentiable torch module, and its file format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.errors import MeiflowError, out_of_memory
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.device import device_of
from meiflow.models.documents import damaged, read_document, write_document
from meiflow.models.members import Mixture, State

_FORMAT = 2
Code = Sequence[str | None]


class NeuronModel(nn.Module):
    """A fitted neuron, which maps images to expected counts per presentation.

    Parameters
    ----------
    geometry : Geometry
        Grid of the input images.
    x, y : float
        RF position in degrees.
    states : list of dict
        States of the base models, as written by their fitters.
    weights : list of float
        Weights of the base models.

    Attributes
    ----------
    mean_luminance : float or None
        Mean luminance of the images to which it was fitted, if known.
    real : bool
        Whether responses are real numbers, whose zero is arbitrary, rather than counts.
    """

    def __init__(
        self, geometry: Geometry, x: float, y: float, states: list[State], weights: list[float]
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.x, self.y = float(x), float(y)
        self.mean_luminance: float | None = None
        self.real = False
        self.mixture = Mixture(states, weights, geometry)

    @classmethod
    def of(cls, geometry: Geometry, document: Mapping[str, Any]) -> NeuronModel:
        """Build from ``x_deg``, ``y_deg``, ``base_models``, ``weights`` and, if any, ``unit``.

        The unit is that in which real-valued responses were fitted; it multiplies the weights.
        """
        weights = [document.get("unit", 1.0) * weight for weight in document["weights"]]
        place = document["x_deg"], document["y_deg"]
        model = cls(geometry, *place, document["base_models"], weights)
        model.real = "unit" in document
        return model

    @property
    def baseline(self) -> float:
        """Response from which drives are measured: no spikes, or the real-valued one to grey."""
        grey = np.full((1, *self.geometry.shape), GREY)
        return float(self.predict(grey)[0]) if self.real else 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Expected counts per presentation.

        Parameters
        ----------
        images : Tensor, shape (batch, height, width) or (batch, 1, height, width)
            Luminance in [0, 1].

        Returns
        -------
        Tensor, shape (batch,)
            Non-negative, except for real-valued responses, custom modules and linear networks.
        """
        if tuple(images.shape[-2:]) != self.geometry.shape:
            got = tuple(images.shape[-2:])
            raise ValueError(f"images have {got} pixels; the model expects {self.geometry.shape}")
        return torch.as_tensor(self.mixture(images.to(device_of(self)))).to(images.device)

    def predict(self, images: NDArray, batch: int = 512) -> NDArray[np.float64]:
        """Predictions for a stack of images (n, height, width), without gradients."""
        images = np.asarray(images)
        with torch.no_grad():
            parts = [
                self(torch.tensor(images[i : i + batch], dtype=torch.float32))
                for i in range(0, len(images), batch)
            ]
        return torch.cat(parts).numpy().astype(float)


def save_model(model: NeuronModel, path: str | Path) -> None:
    """Write a model, to be read by `load_model` or ``torch.load(weights_only=True)``."""
    write_document(file_content(model.geometry, [_document(model)], one=True), path)


def file_content(
    geometry: Geometry, documents: list[dict[str, Any]], *, one: bool
) -> dict[str, Any]:
    """Content of a file with one or several models of a neuron.

    Parameters
    ----------
    geometry : Geometry
    documents : list of dict
        x_deg, y_deg, members and weights of each model.
    one : bool
        Whether the file contains a single model.
    """
    whole = [{"geometry": asdict(geometry)} | document for document in documents]
    return {"format": _FORMAT} | (whole[0] if one else {"models": whole})


def _document(model: NeuronModel) -> dict[str, Any]:
    return {
        "x_deg": model.x,
        "y_deg": model.y,
        "base_models": model.mixture.states,
        "weights": model.mixture.weights,
    } | ({"unit": 1.0} if model.real else {})


def load_model(path: str | Path, geometry: Geometry | None = None, code: Code = ()) -> NeuronModel:
    """Read a neuron's model without executing anything in the file.

    Parameters
    ----------
    path : Path
    geometry : Geometry, optional
        Required geometry of the model; default any.
    code : sequence of str, optional
        Every ``module:function`` of the configuration that the model may call; a file that names a
        different one is rejected.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged, of another format, or for a different geometry.

    Examples
    --------
    >>> import tempfile
    >>> screen = Geometry(6, 8)
    >>> linear = {"kind": "ln", "filter": torch.ones(6, 8) / 48}
    >>> linear |= {"offset": 0.0, "baseline": -20.0, "scale": 10.0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(NeuronModel(screen, 0.0, 0.0, [linear], [1.0]), f"{folder}/model.pt")
    ...     model = load_model(f"{folder}/model.pt")
    >>> model.predict(np.stack([np.full((6, 8), 0.5), np.ones((6, 8))])).round(2)
    array([3.47, 6.57])
    """
    return build_models(read_document(path), path, geometry, code)[0]


def build_models(
    content: dict[str, Any],
    path: str | Path,
    geometry: Geometry | None = None,
    code: Code = (),
) -> list[NeuronModel]:
    """Build the models from the output of `file_content`; see `load_model`."""
    try:
        if content["format"] != _FORMAT:
            raise KeyError("format")
        documents = content.get("models", [content])
        models = [_model(document, path, code) for document in documents]
    except MeiflowError:
        raise
    except Exception as error:  # an invalid document fails in many ways
        if out_of_memory(error):
            raise
        raise damaged(path, error) from None
    for model in models:
        if geometry is not None and model.geometry != geometry:
            raise MeiflowError(
                f"{path}: the model is for images with {model.geometry}, not {geometry}; fit it "
                "again with the current configuration"
            )
    return models


def refuse_strangers(members: list[State], path: str | Path, code: Code = ()) -> None:
    """Check that a file refers to no code of the user's that the configuration does not name.

    Raises
    ------
    MeiflowError
        If it does; code that is named only in a file is never called.
    """
    strange = sorted(set(_named(members)) - set(code))
    if strange:
        given = ", ".join(filter(None, code)) or "no module:function"
        raise MeiflowError(
            f"{path}: made with the code of {', '.join(strange)}, but the configuration has "
            f"{given}; fit the models again, or name it there (in Python: the argument code of "
            "load_model, or core of open_results, FittedPopulation.load and ModelArchive)"
        )


def _named(value: Any) -> Iterator[str]:
    """Every ``module:function`` in a document, at any depth."""
    if isinstance(value, Mapping):
        if "spec" in value:
            yield str(value["spec"])
        value = list(value.values())
    # any container, except of numbers
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Tensor):
        for item in value:
            yield from _named(item)


def _model(document: dict[str, Any], path: str | Path, code: Code) -> NeuronModel:
    refuse_strangers(document["base_models"], path, code)
    return NeuronModel.of(Geometry(**document["geometry"]), document).eval()
