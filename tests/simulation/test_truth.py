import numpy as np
import pytest
import torch

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.simulation.rates import DISPLAY
from meiflow.simulation.truth import (
    KINDS,
    TruthFilters,
    calibrate_gain,
    draw_neurons,
    render_filters,
    true_drive,
)

GRID = Geometry(60, 96)


@pytest.fixture(scope="module")
def neurons():
    rng = np.random.default_rng(0)
    images = np.clip(rng.normal(0.45, 0.2, (30, *GRID.shape)), 0, 1)
    table = draw_neurons(list(KINDS) * 2, rng, GRID)
    return calibrate_gain(table, images, GRID, np.full(len(table), 5.0)), images


def test_gain_sets_the_mean_drive_and_untuned_neurons_have_none(neurons):
    table, images = neurons
    drive = true_drive(render_filters(table, GRID), images.reshape(30, -1))
    tuned = (table["kind"] != "untuned").to_numpy()
    np.testing.assert_allclose(drive[:, tuned].mean(0), 5.0, rtol=1e-6)
    assert (drive[:, ~tuned] == 0).all()
    assert drive.min() >= 0


def test_numpy_and_torch_agree(neurons):
    table, images = neurons
    filters = render_filters(table, GRID)
    tensors = TruthFilters(
        **{
            k: torch.as_tensor(np.asarray(getattr(filters, k)))
            for k in TruthFilters.__dataclass_fields__
        }
    )
    flat = images.reshape(30, -1)
    np.testing.assert_allclose(
        true_drive(tensors, torch.as_tensor(flat)).numpy(), true_drive(filters, flat), rtol=1e-9
    )


def test_complex_cells_ignore_phase_and_simple_cells_do_not(neurons):
    table, _ = neurons
    rows = table[table["kind"].isin(["simple", "complex"])]
    for _, neuron in rows.iterrows():
        other = neuron.to_frame().T.assign(phase_deg=neuron["phase_deg"] + 180)
        one = neuron.to_frame().T
        even = render_filters(one, GRID).even
        image = 0.5 + 0.4 * even / np.abs(even).max()
        drives = [true_drive(render_filters(t, GRID), image)[0, 0] for t in (one, other)]
        if neuron["kind"] == "complex":
            assert drives[0] == pytest.approx(drives[1], rel=1e-6)
        else:
            assert drives[0] > 0
            assert drives[1] == 0


def test_normalised_cells_saturate_with_contrast(neurons):
    table, _ = neurons
    one = table[table["kind"] == "simple_normalised"].iloc[[0]]
    filters = render_filters(one, GRID)
    pattern = filters.even / np.abs(filters.even).max()
    low, high = (true_drive(filters, 0.5 + c * pattern)[0, 0] for c in (0.05, 0.4))
    assert low < high < 6 * low


def test_the_pool_of_local_contrast_has_the_shape_of_the_filter():
    """1.5 times as wide, with the same elongation across the stripes."""
    one = draw_neurons(["simple_normalised"], np.random.default_rng(0), GRID).assign(
        x_deg=4.0, y_deg=-2.0, orientation_deg=30.0, sigma_deg=4.0, aspect=1.6
    )
    (window,) = render_filters(one, GRID).window
    along, across = patterns.rotated_axes(GRID, 4.0, -2.0, 30.0)
    spread = [np.sqrt((window * (w**2).ravel()).sum()) for w in (along, across)]
    assert spread == pytest.approx([6.0, 9.6], rel=0.01)


def test_drive_hardly_depends_on_the_grid(neurons):
    """Filters integrate over degrees: spikes are drawn on a finer grid than that of the models."""
    table, _ = neurons
    smooth = np.add.outer(np.sin(GRID.y / 9), np.cos(GRID.x / 11)) * 0.1 + 0.5
    fine = np.add.outer(np.sin(DISPLAY.y / 9), np.cos(DISPLAY.x / 11)) * 0.1 + 0.5
    coarse = true_drive(render_filters(table, GRID), smooth.reshape(1, -1))
    finer = true_drive(render_filters(table, DISPLAY), fine.reshape(1, -1))
    np.testing.assert_allclose(coarse, finer, rtol=0.03, atol=0.03 * finer.max())


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match="unknown neuron kind 'hyper'"):
        draw_neurons(["hyper"], np.random.default_rng(0), GRID)


def drives_of(kind, images):
    """Drives of a neuron with known parameters in the middle of the screen."""
    table = draw_neurons([kind], np.random.default_rng(0), GRID).assign(
        x_deg=0.0, y_deg=0.0, wavelength_deg=16.0, orientation_deg=30.0, sigma_deg=6.0, aspect=1.0,
        threshold=0.0, phase_deg=0.0,
    )  # fmt: skip
    return true_drive(render_filters(table, GRID), np.stack(images).reshape(len(images), -1))[:, 0]


def gabor_at(x, orientation):
    return 0.5 + 0.3 * patterns.gabor(GRID, x, 0.0, 16.0, orientation, 70.0, 6.0)


def test_pools_tolerate_a_shift_that_complex_cells_do_not():
    images = [gabor_at(0.0, 30.0), gabor_at(14.0, 30.0), gabor_at(0.0, 120.0)]
    one, moved, turned = drives_of("complex", images)
    assert moved < 0.4 * one
    one, moved, turned = drives_of("pooled", images)
    assert moved > 0.7 * one
    assert turned < 0.3 * one
    one, moved, turned = drives_of("texture", images)
    assert moved > 0.7 * one
    assert turned == pytest.approx(one, rel=0.02)


def test_a_surround_suppresses_and_does_not_excite():
    wide = 0.5 + 0.3 * patterns.grating_patch(GRID, 0.0, 0.0, 16.0, 30.0, 0.0, 90.0)
    patch = 0.5 + 0.3 * patterns.grating_patch(GRID, 0.0, 0.0, 16.0, 30.0, 0.0, 24.0)
    small, large = drives_of("surround_suppressed", [patch, wide])
    assert 0 < large < 0.5 * small
    small, large = drives_of("simple", [patch, wide])
    assert large > 0.9 * small
