"""Counts in any form that a notebook may have give the same trials."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from meiflow.errors import MeiflowError
from meiflow.tables.arrays import as_trials
from meiflow.tables.counts import mean_responses

IDS = np.array([30, 10, 20])
REPEATS = np.array([4, 1, 3])  # repeats of each image


@pytest.fixture
def padded(rng):
    """Counts (repeats, images, neurons) with unequal numbers of repeats."""
    counts = rng.poisson(2.0, (4, 3, 2)).astype(float)
    counts[np.arange(4)[:, None] >= REPEATS] = np.nan
    return counts


def tidy(padded, names=("a", "b")):
    rows = [
        (f"{image}-{repeat}", names[neuron], int(count), IDS[image])
        for (repeat, image, neuron), count in np.ndenumerate(padded)
        if np.isfinite(count)
    ]
    return pd.DataFrame(rows, columns=["trial_id", "neuron_id", "spike_count", "image_id"])


def forms(padded):
    """The same counts in every form, with the required arguments."""
    table = tidy(padded).sample(frac=1, random_state=0)
    flat = padded.reshape(-1, 2)
    shown = np.tile(IDS, 4)
    there = np.isfinite(flat[:, 0])
    named = {"neurons": ["a", "b"]}
    neuron = {"neuron": ["a", "b"]}
    by_trial = xr.DataArray(flat[there].T, neuron, ("neuron", "trial"))
    by_trial = by_trial.assign_coords(image_id=("trial", shown[there]))
    by_image = xr.DataArray(padded, neuron | {"image": IDS}, ("repeat", "image", "neuron"))
    return {
        "padded": (padded, named),
        "trials": (flat[there], named | {"trial_images": shown[there]}),
        "table": (table, {}),
        "table without zeros": (table[table["spike_count"] > 0], {}),
        "xarray by trial": (by_trial, {}),
        "xarray by image": (by_image.transpose("neuron", "repeat", "image"), {}),
        "xarray in another order": (by_image.isel(image=[2, 0, 1]), {}),
    }


@pytest.mark.parametrize("form", forms(np.zeros((4, 3, 2))))
def test_every_form_is_the_same_trials(padded, form):
    padded[:, :, 1] += 1  # no silent trials: a table without zeros still has every trial
    counts, more = forms(padded)[form]
    trials = as_trials(counts, IDS, **more)
    assert sorted(trials.neuron_ids) == ["a", "b"]
    ids, means = mean_responses(trials)
    order = [trials.neuron_ids.index(name) for name in ("a", "b")]
    assert ids.tolist() == sorted(IDS)
    np.testing.assert_allclose(means[:, order], np.nanmean(padded, axis=0)[np.argsort(IDS)])
    assert np.unique(trials.image_ids, return_counts=True)[1].tolist() == [1, 3, 4]


def test_means_are_one_trial_for_each_image(padded):
    means = np.nanmean(padded, axis=0)
    trials = as_trials(means, IDS)
    assert trials.neuron_ids == ["u0", "u1"]
    np.testing.assert_array_equal(trials.counts, means)
    np.testing.assert_array_equal(trials.image_ids, IDS)


def test_ids_become_text_and_neurons_can_be_chosen(padded):
    table = tidy(padded, names=(950000147, 950000148))
    trials = as_trials(table, IDS, neurons=[950000148])
    assert trials.neuron_ids == ["950000148"]
    np.testing.assert_allclose(trials.counts.mean(), np.nanmean(padded[..., 1]))


def test_blank_trials_are_kept():
    counts = [[1.0], [2.0], [9.0]]
    trials = as_trials(counts, [0, 1], trial_images=[0, 1, -1])
    assert trials.image_ids.tolist() == [0, 1, -1]
    assert trials.of_images().counts.ravel().tolist() == [1, 2]


ONES = np.ones((2, 3, 2))
HOLE = np.where(np.arange(12).reshape(2, 3, 2) == 7, np.nan, 1.0)
TABLE = tidy(ONES)


@pytest.mark.parametrize(
    ("counts", "more", "reason"),
    [
        (np.ones((3, 2, 2)), {}, r"shape \(3, 2, 2\) for 3 images"),
        (np.ones(3), {}, "shape"),
        (np.ones((4, 2)), {}, "trial_images"),
        (np.ones((4, 2)), {"trial_images": [30, 10, 20]}, r"\(trials, neurons\) and \(trials,\)"),
        (np.ones((3, 2)), {"trial_images": [30, 10, 21]}, "image 21 is not among"),
        (np.ones((3, 2)), {"trial_images": [30, 10, 10]}, "no trial with image 20"),
        (np.ones((3, 2)), {"trial_images": [30, 10, 0.5]}, "whole numbers"),
        (
            np.where(np.arange(3)[:, None] == 1, np.nan, np.ones((3, 2))),
            {},
            "no trial with image 10",
        ),
        (HOLE, {}, "NaN for 1 of 2 neurons in a trial of image 30"),
        (-ONES, {}, "neuron u0 has negative"),
        (ONES * [1, np.inf], {}, "neuron u1 has negative or infinite"),
        (ONES, {"neurons": ["a"]}, "1 names for 2 neurons"),
        (ONES, {"neurons": ["a", "a"]}, "a named more than once"),
        ([["x", "y"]] * 3, {}, "not an array of numbers"),
        (TABLE, {"neurons": ["c"]}, "'c' is not in counts"),
        (TABLE.assign(spike_count=0.5 * (TABLE.index == 4)), {}, "in row 4"),
        (pd.DataFrame(np.ones((3, 2)), columns=["a", "b"]), {}, r"neurons=list\(table\)"),
        (xr.DataArray(ONES, dims=("repeat", "image", "cell")), {}, "repeat, image, cell"),
        (xr.DataArray(ONES[0], dims=("trial", "neuron")), {}, "coordinate image_id"),
        (
            xr.DataArray(ONES[0], {"image": [1, 2, 3]}, ("image", "neuron")),
            {},
            "do not match image_ids",
        ),
    ],
)
def test_what_does_not_fit_is_named(counts, more, reason):
    with pytest.raises(MeiflowError, match=reason):
        as_trials(counts, IDS, **more)


@pytest.mark.parametrize("ids", [[0, 1, 1], [0, 1, -1], ["a", "b", "c"], [0, 1, 1.5]])
def test_image_ids_are_integers_and_unique(ids):
    with pytest.raises(MeiflowError, match="image_ids: expected"):
        as_trials(np.ones((3, 1)), ids)
