import numpy as np
import pytest
import torch

from meiflow.config.sections import Model
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd, feature_maps, features_at, search_places

GRID = Geometry(30, 48, 60.6, 47.4)


@pytest.fixture(scope="module")
def front_end() -> FrontEnd:
    return FrontEnd.from_config(Model(wavelengths_deg=[8.0, 12.0], orientations=4))


def test_channel_count_and_sign(front_end, rng):
    features = features_at(front_end, rng.uniform(size=(3, *GRID.shape)), GRID, 0.0, 0.0)
    assert features.shape == (3, front_end.n_channels)
    assert features.min() >= 0


@pytest.mark.parametrize("where", ["centre", "edge", "corner"])
def test_maps_equal_the_filters_rendered_at_each_position(front_end, rng, where):
    """The search and the fitted model use the same features, also where filters are cut off."""
    images = rng.uniform(size=(4, *GRID.shape))
    rows, columns = search_places(GRID, 3)
    maps = np.stack(list(feature_maps(front_end, images, GRID, rows, columns)))
    assert maps.shape == (len(rows), len(columns), 4, front_end.n_channels)
    i, j = {"centre": (len(rows) // 2, len(columns) // 2), "edge": (0, 7), "corner": (-1, -1)}[
        where
    ]
    at = features_at(front_end, images, GRID, GRID.x[columns[j]], GRID.y[rows[i]])
    np.testing.assert_allclose(maps[i, j], at, atol=1e-4 * np.abs(at).max())


def test_filters_have_unit_energy_and_see_no_luminance(front_end):
    fine = Geometry(160, 160, 160.0, 160.0)
    filters = front_end.filters(fine, 0.0, 0.0)
    for name in ("even", "odd", "centre"):
        energy = (filters[name] ** 2).sum((1, 2)) / fine.pixel_area
        np.testing.assert_allclose(energy, 1, rtol=0.01)
    np.testing.assert_allclose(filters["pool"].sum((1, 2)), 1, rtol=1e-3)
    np.testing.assert_allclose(filters["even"].sum((1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(filters["odd"].sum((1, 2)), 0, atol=1e-3)


def test_numpy_and_torch_channels_agree(front_end, rng):
    even, odd = rng.normal(size=(2, 5, 8))
    centre, power = rng.normal(size=(5, 4)), rng.uniform(size=(5, 3))
    ours = front_end.channels(even, odd, centre, power)
    tensors = [torch.as_tensor(a) for a in (even, odd, centre, power)]
    np.testing.assert_allclose(front_end.channels(*tensors).numpy(), ours)


def test_a_channel_prefers_its_own_gabor(front_end):
    wavelength, orientation = front_end.gabors
    shapes = patterns.gabor(GRID, 5.0, -3.0, wavelength, orientation, 0.0, 0.4 * wavelength, 1.3)
    equal = 0.5 + shapes / np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    features = features_at(front_end, equal, GRID, 5.0, -3.0)[:, : len(wavelength)]
    np.testing.assert_array_equal(features.argmax(0), np.arange(len(wavelength)))


def test_grey_screen_drives_nothing(front_end):
    grey = np.full((1, *GRID.shape), 0.5)
    assert features_at(front_end, grey, GRID, 0.0, 0.0).max() < 1e-3
