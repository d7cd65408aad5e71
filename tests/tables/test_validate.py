"""Notes on axes and numbering: given where they are wrong, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.tables.validate import axis_note, numbering_note, pixel_note, unshown_note

SCREEN = Geometry(30, 48)
FIELDS = patterns.gabor(
    SCREEN, [-20, 15, 0, 30], [5, -10, 0, 20], 20.0, [30, 120, 0, 75], 0.0, [7.0, 7.0, 9.0, 7.0]
)


def scenes(number: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.standard_normal((number, *SCREEN.shape)), (0, 2, 2))
    return (0.5 + 0.2 * noise / noise.std()).clip(0, 1)


def counts(images: np.ndarray, repeats: int = 8, seed: int = 1) -> np.ndarray:
    """Mean counts of four neurons with a receptive field and of one without."""
    drive = np.tensordot(images - 0.5, FIELDS, axes=([1, 2], [1, 2]))
    scale = drive.std(axis=0)
    rates = 0.3 + 3 * np.maximum(drive / scale, 0)
    rates = np.column_stack([rates, np.full(len(images), 2.0)])
    return np.random.default_rng(seed).poisson(rates, (repeats, *rates.shape)).mean(axis=0)


@pytest.mark.parametrize("number", [60, 118])
@pytest.mark.parametrize("seed", range(4))
def test_numbering_that_is_right_passes_and_a_shift_by_one_is_named(number, seed):
    images = scenes(number + 1, seed)
    means = counts(images, seed=seed)
    ids = np.arange(number)
    assert numbering_note(images[:-1], ids, means[:-1]) == []
    # the image with id i is row i - 1, as with ids from 1
    [note] = numbering_note(images[1:], ids + 1, means[:-1])
    assert "explained by the image with the next lower id" in note
    assert note.endswith("if the ids count from 1, subtract 1")
    [note] = numbering_note(images[:-1], ids, means[1:])
    assert "the next higher id" in note
    assert note.endswith("check the numbering")


def test_a_larger_shift_is_named_with_its_size():
    images = scenes(104)
    means = counts(images, repeats=20)
    [note] = numbering_note(images[4:], np.arange(100), means[:-4])
    assert "the image with an id lower by 4 " in note


@pytest.mark.parametrize("seed", range(20))
def test_responses_without_any_relation_to_images_give_no_note(seed):
    rng = np.random.default_rng(seed)
    means = rng.poisson(2, (60, 1 + seed % 6)) / 4
    assert numbering_note(scenes(60, seed), np.arange(60), means) == []


def test_numbering_is_not_judged_from_few_images_or_with_gaps_or_silent_neurons():
    images, means = scenes(61), counts(scenes(61))
    ids = np.arange(60)
    assert numbering_note(images[1:16], ids[:15] + 1, means[:15]) == []
    assert numbering_note(images[1:], 2 * ids, means[:-1]) == []
    assert numbering_note(images[1:], ids, np.zeros_like(means[:-1])) == []
    assert numbering_note(np.full_like(images[1:], 0.5), ids, means[:-1]) == []


@pytest.mark.parametrize("kind", ["noise", "leaves", "white"])
def test_axes_in_the_right_order_pass_and_others_are_named(kind):
    rng = np.random.default_rng(3)
    if kind == "leaves":
        stack = np.stack([dead_leaves((30, 48), rng) for _ in range(40)])
    else:
        stack = scenes(40) if kind == "noise" else rng.random((40, 30, 48))
    assert axis_note(stack) == []
    if kind != "white":
        [note] = axis_note(np.moveaxis(stack, 0, -1))  # (height, width, images)
        assert "along the last axis" in note
        assert "np.moveaxis(stack, -1, 0)" in note
        [note] = axis_note(np.moveaxis(stack, 0, 1))  # (height, images, width)
        assert "along the second axis" in note
        assert "np.moveaxis(stack, 1, 0)" in note


def test_the_advice_on_axes_restores_the_stack():
    stack = scenes(40)
    for order in (-1, 1):
        np.testing.assert_array_equal(np.moveaxis(np.moveaxis(stack, 0, order), order, 0), stack)


def test_frames_of_a_movie_are_alike():
    rng = np.random.default_rng(0)
    movie = gaussian_filter(rng.standard_normal((64, 30, 48)), (3, 2, 2))
    [note] = axis_note(movie)
    assert note.startswith("consecutive images are much alike")
    # a common background is not enough
    assert axis_note(scenes(40) / 10 + np.linspace(0, 1, 48)) == []
    assert axis_note(np.zeros((10, 30, 48))) == []
    assert axis_note(movie[:1]) == []


@pytest.mark.parametrize(
    ("shape", "width_deg", "height_deg", "message"),
    [
        ((918, 1174), 121.24, 94.80, None),
        ((60, 96), 121.24, 94.80, None),
        ((96, 60), 121.24, 94.80, "rows and columns are probably exchanged"),
        ((1920, 1080), 120.0, 67.5, "rows and columns are probably exchanged"),
        ((96, 40), 121.24, 94.80, "check the order of the axes and the visual angle"),
        ((60, 96), 121.24, 20.0, "check the order of the axes and the visual angle"),
    ],
)
def test_pixels_that_are_far_from_square(shape, width_deg, height_deg, message):
    notes = pixel_note(shape, width_deg, height_deg)
    assert [message in note for note in notes] == ([] if message is None else [True])


def test_images_that_were_never_shown():
    assert unshown_note(range(40), list(range(40))) == []
    [note] = unshown_note(range(41), list(range(1, 41)))
    assert note.startswith("1 of 41 images were never shown (0); ")
    assert note.endswith("if the ids count from 1, subtract 1")
    [note] = unshown_note(range(41), list(range(40)))
    assert note == "1 of 41 images were never shown (40)"
