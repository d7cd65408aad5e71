"""Results for known neurons, as left by the stages before the one under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from meiflow.images.geometry import Geometry
from meiflow.io.files import write_array, write_csv, write_text
from meiflow.models.archive import write_archive
from meiflow.models.members import State
from meiflow.results.layout import Layout
from meiflow.tables.stack import StackInfo

Point = tuple[float, float]

# A module in which nothing drives the neurons.
SILENT_MODULE = """
import torch

class Silent(torch.nn.Module):
    def forward(self, images):
        return torch.relu(images - 100).mean((1, 2, 3))

def build(neuron, geometry):
    return Silent().eval()
"""


def linear(
    template: ArrayLike, offset: float = 0.0, baseline: float = 0.0, scale: float = 1.0
) -> State:
    """State of the base model ``ln``: a rectified linear neuron with the filter `template`."""
    return {
        "kind": "ln",
        "filter": torch.as_tensor(np.asarray(template), dtype=torch.float32),
        "offset": offset,
        "baseline": baseline,
        "scale": scale,
    }


def write_models(
    results: Layout,
    geometry: Geometry,
    states: Mapping[str, State],
    folds: Mapping[str, Sequence[State]] | None = None,
    places: Mapping[str, Point] | None = None,
) -> None:
    """Write models with one base model each, and mark their neurons as selected and fitted."""

    def document(neuron: str, state: State) -> dict:
        x, y = (places or {}).get(neuron, (0.0, 0.0))
        return {"x_deg": x, "y_deg": y, "base_models": [state], "weights": [1.0]}

    write_archive(
        geometry,
        {neuron: document(neuron, state) for neuron, state in states.items()},
        lambda neuron: [document(neuron, state) for state in (folds or {}).get(neuron, ())],
        results.models,
    )
    write_fitted(results, list(states))


def write_fitted(results: Layout, neurons: list[str]) -> None:
    """Write that some neurons are selected and fitted, and that one further is not selected."""
    table = pd.DataFrame({"neuron_id": [*neurons, "left_out"], "selected": True})
    table = table.assign(status="modelled", reason="all conditions hold")
    table.loc[len(neurons), ["selected", "status", "reason"]] = [False, "not selected", "silent"]
    write_csv(table, results.fitted_neurons)


def write_stack(
    results: Layout, images: NDArray, geometry: Geometry, image_ids: NDArray | None = None
) -> None:
    """Write an image stack (images, height, width) and its description."""
    stack = images.astype(np.float32)
    ids = np.arange(len(stack)) if image_ids is None else image_ids
    write_array(stack, results.images)
    write_text(StackInfo.of(stack, ids, geometry).to_json(), results.image_info)
