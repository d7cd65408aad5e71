"""Faults of images and counts are refused or noted; good ones are neither."""

import numpy as np
import pytest

from meiflow.errors import MeiflowError
from meiflow.tables.checks import (
    count_notes,
    image_notes,
    repeat_notes,
    require_images,
    silent_notes,
)
from meiflow.tables.counts import Trials


@pytest.fixture
def images(rng):
    return rng.uniform(size=(6, 8, 12))


def test_good_images_and_counts_have_no_notes(images, rng):
    require_images(images, "session.images", "a.npy")
    assert image_notes(images, np.arange(6)) == []
    counts = rng.poisson(2.0, (60, 3))
    assert count_notes(counts, ["a", "b", "c"], 0.25, "t.csv") == []
    shown = np.repeat(np.arange(6), 10)
    assert repeat_notes(Trials(np.arange(60), ["a", "b", "c"], shown, counts)) == []


@pytest.mark.parametrize("top", [0, 1])
def test_images_of_zeros_and_ones_as_bytes_are_black(images, top):
    with pytest.raises(
        MeiflowError, match=r"stimuli.natural_images: a is black: .* white as the hig"
    ):
        require_images(np.round(images) * top / 255, "stimuli.natural_images", "a")


def test_images_that_are_all_the_same_explain_nothing(images):
    same = np.repeat(images[:1], 6, axis=0)
    with pytest.raises(MeiflowError, match=r"all 6 images in a are the same, so that no response"):
        require_images(same, "session.images", "a")
    same[3, 0, 0] = 1 - same[3, 0, 0]
    require_images(same, "session.images", "a")


def test_twelve_bits_saved_as_sixteen_are_noted(images):
    [note] = image_notes(images * 4095 / 65535, np.arange(6))
    assert "the brightest pixel has 6.2% of the luminance of white; if the images have 10" in note


def test_images_that_hardly_differ_are_noted(images):
    [note] = image_notes(images[:1] + 1e-4 * (images - images[:1]), np.arange(6))
    assert note.startswith("images: hardly differ")


def test_rates_in_place_of_counts_are_noted(rng):
    counts = rng.poisson(2.0, (60, 3))
    [note] = count_notes(4 * counts, ["a", "b", "c"], 0.25, "t.csv")
    assert (
        "t.csv: all counts are multiples of 4, as if they were rates in spikes per second" in note
    )
    [note] = count_notes(10 * counts, ["a", "b", "c"], 0.25, "t.csv")
    assert "all counts are multiples of 10, as if they were scaled" in note
    one = counts * [1, 3, 1]
    [note] = count_notes(one, ["a", "b", "c"], 0.25, "t.csv")
    assert note == "t.csv: all counts of a neuron are multiples: b (of 3)"


def test_a_few_even_counts_are_chance():
    counts = np.zeros((60, 1), int)
    counts[:5] = 2
    assert count_notes(counts, ["a"], 0.25, "t.csv") == []


def test_repeats_are_noted():
    def notes(shown):
        shown = np.asarray(shown)
        return repeat_notes(Trials(shown, ["a"], shown, np.ones((len(shown), 1), int)))

    assert "no image was repeated" in notes([0, 1, 2, -1, -1])[0]
    assert notes([0, 0, 1, 1, 2])[0] == "trials: 1 of 3 is shown only once"
    assert "few repeats per image (median 2)" in notes([0, 0, 1, 1])[0]


def test_neurons_that_do_not_vary_are_noted(rng):
    counts = np.column_stack([rng.poisson(2.0, 60), np.zeros(60, int), np.full(60, 3)])
    assert silent_notes(counts, ["a", "b", "c"], "t.csv") == [
        "t.csv: 1 of 3 neurons: silent, without any spike (b)",
        "t.csv: 1 of 3 neurons: the same count in every trial (c)",
    ]
    assert count_notes(counts, ["a", "b", "c"], 0.25, "t.csv") == []
