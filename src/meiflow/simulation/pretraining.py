"""Simulated scenes and neurons for pretraining a core, independent of all sessions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.progress import track
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.truth import (
    DEFAULT_KINDS,
    SHAPE_KINDS,
    draw_neurons,
    render_filters,
    true_drive,
)

_SCALE = 3
_MEAN_COUNT = 3.0


def training_set(
    geometry: Geometry, neurons: int, images: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Scenes, and noise-free responses of neurons of all kinds.

    Returns
    -------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    rates : ndarray, shape (images, neurons)
        Expected counts, with a mean of 3.
    places : ndarray, shape (neurons, 2)
        RF positions in degrees.
    """
    # a separate random stream, so that neurons and scenes differ from those of all sessions
    rng = np.random.default_rng([seed, 77])
    kinds = [*DEFAULT_KINDS, *SHAPE_KINDS]
    table = draw_neurons([kinds[i % len(kinds)] for i in range(neurons)], rng, geometry)
    size = (_SCALE * geometry.height, _SCALE * geometry.width)
    drawn = [dead_leaves(size, rng) for _ in track(range(images), "scenes")]
    scenes = resize(np.stack(drawn) / 255.0, geometry.shape)
    flat = scenes.reshape(images, -1).astype(float)
    drive = true_drive(render_filters(table, geometry), flat)
    rates = _MEAN_COUNT * (0.1 + 0.9 * drive / np.maximum(drive.mean(axis=0), 1e-9))
    return scenes, rates, table[["x_deg", "y_deg"]].to_numpy()
