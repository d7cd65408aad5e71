"""A fitted neuron as a differentiable torch module, and its file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.errors import MeiflowError
from meiflow.files import atomic
from meiflow.geometry import Geometry
from meiflow.models.front_end import GREY, FrontEnd
from meiflow.models.nonlinearity import positive
from meiflow.models.ridge import Linear

_FORMAT = 1


class NeuronModel(nn.Module):
    """V1 front end at one place, a linear readout, and a nonlinearity that stays positive.

    Parameters
    ----------
    front_end : FrontEnd
    geometry : Geometry
        Grid of the images it takes.
    x, y : float
        Place of the readout, degrees.
    readout : Linear
        Weights on the channels, and bias, in spikes per presentation.
    floor : float
        Predictions below this rate bend towards zero, see
        `meiflow.models.nonlinearity.positive`.
    """

    even: Tensor
    odd: Tensor
    centre: Tensor
    pool: Tensor

    def __init__(
        self,
        front_end: FrontEnd,
        geometry: Geometry,
        x: float,
        y: float,
        readout: Linear,
        floor: float,
    ) -> None:
        super().__init__()
        self.front_end, self.geometry = front_end, geometry
        self.x, self.y, self.floor = float(x), float(y), float(floor)
        for name, stack in front_end.filters(geometry, x, y).items():
            flat = torch.as_tensor(stack.reshape(len(stack), -1), dtype=torch.float32)
            self.register_buffer(name, flat, persistent=False)
        self.weight = nn.Parameter(torch.as_tensor(readout.weights, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(float(readout.bias)))

    def forward(self, images: Tensor) -> Tensor:
        """Expected counts per presentation.

        Parameters
        ----------
        images : Tensor, shape (batch, height, width) or (batch, 1, height, width)
            Luminance in [0, 1].

        Returns
        -------
        Tensor, shape (batch,)
            Never negative.
        """
        contrast = images.reshape(len(images), -1) - GREY
        channels = self.front_end.channels(
            contrast @ self.even.T,
            contrast @ self.odd.T,
            contrast @ self.centre.T,
            contrast**2 @ self.pool.T,
        )
        z = channels @ self.weight + self.bias
        return positive(z, self.floor)

    def predict(self, images: NDArray, batch: int = 512) -> NDArray[np.float64]:
        """Predictions for a stack of images (n, height, width), without gradients."""
        with torch.no_grad():
            parts = [
                self(torch.as_tensor(images[i : i + batch], dtype=torch.float32))
                for i in range(0, len(images), batch)
            ]
        return torch.cat(parts).numpy().astype(float)


def save_model(model: NeuronModel, path: str | Path) -> None:
    """Write a model; `load_model` and ``torch.load(weights_only=True)`` read it."""
    front_end: dict[str, Any] = {
        k: list(v) if isinstance(v, tuple) else v for k, v in asdict(model.front_end).items()
    }
    document = {
        "format": _FORMAT,
        "kind": "v1",
        "front_end": front_end,
        "geometry": asdict(model.geometry),
        "x_deg": model.x,
        "y_deg": model.y,
        "floor": model.floor,
        "weight": model.weight.detach().clone(),
        "bias": model.bias.detach().clone(),
    }
    with atomic(path) as temporary:
        torch.save(document, temporary)


def load_model(path: str | Path, geometry: Geometry) -> NeuronModel:
    """Read a model that takes images on `geometry`; nothing in the file is executed.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged, of another format, or for images of another size.
    """
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
        if document["format"] != _FORMAT or document["kind"] != "v1":
            raise KeyError("format")
        front_end: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document["front_end"].items()
        }
        model = NeuronModel(
            FrontEnd(**front_end),
            Geometry(**document["geometry"]),
            document["x_deg"],
            document["y_deg"],
            Linear(document["weight"].numpy(), float(document["bias"])),
            document["floor"],
        )
    except FileNotFoundError:
        raise MeiflowError(f"{path}: no such model file") from None
    except Exception as error:  # damaged archives fail in many ways
        raise MeiflowError(
            f"{path}: not a meiflow model, or damaged ({type(error).__name__}); "
            "delete it and run the workflow again"
        ) from None
    if model.geometry != geometry:
        raise MeiflowError(
            f"{path}: is for images of {model.geometry}, not {geometry}; fit it anew with the "
            "present configuration"
        )
    return model.eval()
