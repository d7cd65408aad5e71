"""Invariance of neurons whose filters are known."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from meiflow.experiments.invariance import invariance_path
from meiflow.experiments.standard import Preferred
from meiflow.experiments.tolerances import FRACTION, tolerances
from meiflow.experiments.widths import width_above
from meiflow.images.moved import moved_image
from meiflow.images.patterns import gabor
from meiflow.images.projection import project_array
from meiflow.simulation.truth import TruthFilters, render_filters, true_drive
from meiflow.stimuli.mei import most_exciting
from tests.experiments.truth import GRID, neurons

MEAN, CONTRAST = 0.5, 0.05


def torch_neuron(row):
    """A simulated neuron that can be differentiated."""
    filters = render_filters(row, GRID)
    tensors = {
        field.name: torch.as_tensor(np.asarray(getattr(filters, field.name))).float()
        for field in fields(TruthFilters)
    }
    filters = TruthFilters(**tensors)
    return lambda images: true_drive(filters, images.reshape(len(images), -1))[:, 0]


def gabor_of(row, phase):
    keys = ("x_deg", "y_deg", "wavelength_deg", "orientation_deg")
    given = [row[key].iloc[0] for key in keys]
    own = row["phase_deg"].iloc[0] + phase
    return gabor(GRID, *given, own, row["sigma_deg"].iloc[0], row["aspect"].iloc[0])


def mei_of(row, model):
    start = project_array(gabor_of(row, 20.0)[None], MEAN, CONTRAST)
    return most_exciting(model, torch.as_tensor(start), GRID, MEAN, CONTRAST, 40).images[0]


def test_invariance_tells_simple_from_complex_cells():
    table = neurons(4, seed=11)
    right = []
    for i in range(len(table)):
        row = table.iloc[[i]]
        model = torch_neuron(row)
        mei = mei_of(row, model)
        near = [gabor_of(row, 90.0), gabor_of(row, -90.0)]
        path = invariance_path(model, mei, GRID, near, step_deg=15.0, steps=7, noise=1)
        right.append((path.reach_deg > 90) == row["kind"].iloc[0].startswith("complex"))
        # it is a path, all of which drives the neuron at the same mean and contrast
        assert (np.diff(path.angle_deg) > 0).all()
        shown = torch.as_tensor(path.images)
        reached = model(shown) / model(shown[:1])
        assert (reached >= FRACTION - 1e-3).all()
        contrast = path.images.std((1, 2))
        assert contrast == pytest.approx(np.full(len(contrast), contrast[0]), rel=1e-3)
        assert path.length_deg >= path.angle_deg[-1] - 1e-3
    assert np.mean(right) >= 0.95


def test_the_path_of_a_silent_neuron_is_its_mei():
    image = 0.5 + 0.1 * np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    path = invariance_path(lambda x: x.sum((1, 2)) * 0 + 3.0, image, GRID)
    assert np.isnan(path.reach_deg)
    assert len(path.images) == 1


def test_a_linear_neuron_tolerates_what_geometry_allows():
    """A rectified linear neuron responds with the cosine of phase and of shift."""
    row = neurons(1, seed=5, kinds=("simple",))
    p = Preferred(
        GRID,
        *(row[k].iloc[0] for k in ("x_deg", "y_deg", "wavelength_deg", "orientation_deg")),
        row["phase_deg"].iloc[0],
        30.0,  # a wide envelope, so that the carrier alone counts
    )
    wide = row.assign(sigma_deg=30.0, aspect=1.0, threshold=0.0)
    pattern = gabor_of(wide, 0.0)
    found = tolerances(
        lambda x: np.clip(((x - 0.5) * pattern).sum((1, 2)), 0, None), 0.5 + 0.05 * pattern, p, 0.0
    )
    cosine = 2 * np.rad2deg(np.arccos(FRACTION))
    assert found.phase_deg == pytest.approx(cosine, rel=0.1)
    assert found.shift_deg == pytest.approx(cosine / 360 * p.wavelength_deg, rel=0.15)


def test_an_image_is_moved_right_and_up_and_enlarged():
    spot = np.full(GRID.shape, 0.5)
    spot[20, 30] = 1.0
    dx, dy = GRID.dx, GRID.dy
    moved = moved_image(spot, GRID, (0.0, 0.0), 1.0, (3 * dx, 2 * dy))
    assert np.unravel_index(moved.argmax(), GRID.shape) == (18, 33)
    place = GRID.to_degrees(20, 30)
    larger = moved_image(spot, GRID, place, 2.0)
    assert larger[20, 31] > 0.6
    assert moved_image(spot, GRID, place, 1.0)[20, 31] == pytest.approx(0.5, abs=0.01)


def test_widths_are_of_the_range_around_the_peak():
    assert width_above([0, 1, 2, 3, 4, 5], [1, 0, 1, 2, 1, 0], 0.5) == pytest.approx(2.0)
    assert width_above([0, 1, 2], [4, 4, 4], 0.9) == 2.0
    assert width_above([0, 1, 2, 3], [2, 1, 0, 0], 0.5) == 1.0
    assert np.isnan(width_above([0, 1], [0, 0], 0.5))
