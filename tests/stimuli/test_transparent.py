"""Alpha channels of the MEIs of neurons whose filters are known."""

import numpy as np
import pytest
import torch

from meiflow.images.geometry import Geometry
from meiflow.images.masks import densest, overlap
from meiflow.images.projection import project_array
from meiflow.simulation.truth import draw_neurons, render_filters, true_drive
from meiflow.stimuli import most_exciting, noise_backgrounds, shown_on, transparent_mei
from meiflow.stimuli.transparent import energy_envelope
from meiflow.validation.closed_loop import as_tensors
from meiflow.validation.transparency import true_envelope, true_mask

GRID = Geometry(40, 64)
MEAN, CONTRAST, BEHIND = 0.5, 0.05, 0.2
BACKGROUNDS = noise_backgrounds(4, GRID, MEAN, BEHIND, seed=0)
FURTHER = noise_backgrounds(50, GRID, MEAN, BEHIND, seed=1)
KINDS = ["simple", "complex", "complex_normalised", "complex", "simple", "complex_normalised"]


@pytest.fixture(scope="module")
def neurons():
    table = draw_neurons(KINDS, np.random.default_rng(7), GRID)
    return table.assign(threshold=0.0)


def drive_of(row):
    filters = as_tensors(render_filters(row, GRID))
    return lambda images: true_drive(filters, images.reshape(len(images), -1))[:, 0]


@pytest.fixture(scope="module")
def made(neurons):
    """Drive, MEI and transparent MEI of each neuron."""
    found = []
    for i in range(len(neurons)):
        drive = drive_of(neurons.iloc[[i]])
        even = render_filters(neurons.iloc[[i]], GRID).even.reshape(1, *GRID.shape)
        start = torch.as_tensor(project_array(even, MEAN, CONTRAST))
        mei = most_exciting(drive, start, GRID, MEAN, CONTRAST, 30).images[0]
        found.append((drive, mei, transparent_mei(drive, mei, GRID, MEAN, BACKGROUNDS)))
    return found


def test_it_keeps_the_response_on_other_backgrounds_and_on_grey(made):
    for drive, mei, found in made:
        whole = float(drive(torch.as_tensor(mei)[None]))
        shown = torch.as_tensor(shown_on(found, FURTHER, MEAN))
        there = float(drive(shown).mean()) / whole
        assert found.fraction == pytest.approx(0.9, abs=0.01)
        assert there == pytest.approx(0.9, abs=0.03)
        # most of the backgrounds alone would give
        alone = float(drive(torch.as_tensor(FURTHER)).mean()) / whole
        assert alone < 0.6
        assert found.image.dtype == found.alpha.dtype == np.float32
        assert found.image.std() <= 1.001 * CONTRAST
        assert 0 <= found.alpha.min() <= found.alpha.max() <= 1


def test_alpha_covers_the_true_filter_and_not_that_of_another_neuron(neurons, made):
    masks = [true_mask(neurons.iloc[[i]], GRID) for i in range(len(neurons))]
    for i, (_, _, found) in enumerate(made):
        own = overlap(found.alpha > 0.5, masks[i])
        assert own > 0.4
        others = [overlap(found.alpha > 0.5, mask) for k, mask in enumerate(masks) if k != i]
        assert own > 2 * np.mean(others)
        envelope = true_envelope(neurons.iloc[[i]], GRID)
        assert np.corrcoef(found.alpha.ravel(), envelope.ravel())[0, 1] > 0.7


def test_it_shows_where_the_surroundings_would_suppress_the_neuron_and_the_mei_does_not(
    neurons, made
):
    """Normalised neurons measure contrast in a window 1.5 times as wide as the filter."""
    ratio, pool = [], []
    for i, (_, mei, found) in enumerate(made):
        energy = densest(energy_envelope(mei, GRID) ** 2, 0.9)
        ratio.append((found.alpha > 0.5).sum() / energy.sum())
        window = render_filters(neurons.iloc[[i]], GRID).window.reshape(GRID.shape)
        within = densest(window, 0.9)
        pool.append((overlap(found.alpha > 0.5, within), overlap(energy, within)))
    suppressed = np.array([kind.endswith("normalised") for kind in KINDS])
    assert np.min(np.array(ratio)[suppressed]) > 1.3
    assert np.max(np.array(ratio)[~suppressed]) < 1.2
    alpha, energy = np.array(pool)[suppressed].T
    assert (alpha > energy + 0.1).all()


def test_an_untuned_neuron_has_no_mask():
    found = transparent_mei(
        lambda images: 2 + 0 * images.sum((1, 2)),
        0.5 + 0.01 * np.random.default_rng(0).normal(size=GRID.shape),
        GRID,
        MEAN,
        BACKGROUNDS,
        baseline=2.0,
    )
    assert np.isnan(found.fraction)
    assert not found.alpha.any()
    assert (found.image == MEAN).all()


def test_it_is_the_same_with_any_number_of_threads_and_again(neurons, made):
    drive, mei, found = made[1]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        again = transparent_mei(drive, mei, GRID, MEAN, BACKGROUNDS)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(again.alpha, found.alpha, atol=1e-3)
    np.testing.assert_allclose(again.image, found.image, atol=1e-3)
    repeated = transparent_mei(drive, mei, GRID, MEAN, BACKGROUNDS)
    np.testing.assert_array_equal(repeated.alpha, found.alpha)


def test_it_does_not_depend_on_the_unit_of_responses(made):
    drive, mei, found = made[0]
    scaled = transparent_mei(
        lambda images: 50 * drive(images) + 3, mei, GRID, MEAN, BACKGROUNDS, baseline=3.0
    )
    np.testing.assert_allclose(scaled.alpha, found.alpha, atol=0.01)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=f"fraction must be between 0 and 1, got {fraction}"):
        transparent_mei(
            lambda images: images.mean((1, 2)),
            np.zeros(GRID.shape),
            GRID,
            0.5,
            BACKGROUNDS,
            fraction,
        )
