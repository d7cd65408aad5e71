"""What luminance, contrast, behaviour or time alone predict."""

import numpy as np
import pytest

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.models.folds import fold_stream, folds_of
from meiflow.models.nuisances import (
    drift,
    image_nuisances,
    nuisance_scores,
    trial_nuisances,
)
from meiflow.models.table import Scorer
from meiflow.selection.reliability import TrialGroups
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.tables.arrays import as_trials

GRID = Geometry(20, 32, 60.0, 40.0)
N, REPEATS = 118, 20
PENALTIES = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    large = np.stack([dead_leaves((60, 96), rng) for _ in range(N)]) / 255
    return large.reshape(N, 20, 3, 32, 3).mean((2, 4))


def scored(images, rates, predicted, seed=0, **more):
    """Nuisances of neurons with Poisson counts, and predictions of a model."""
    counts = np.random.default_rng(seed).poisson(rates, (REPEATS, *rates.shape))
    scorer = Scorer.of(as_trials(counts, np.arange(N)), 0)
    folds = folds_of(images, (), 5, fold_stream(0))
    return nuisance_scores(
        image_nuisances(images) | more, counts.mean(0), predicted, folds, (), scorer,
        range(rates.shape[1]), PENALTIES, 0,
    )  # fmt: skip


def test_luminance_and_contrast_cells_are_named_for_what_they_are(images):
    """Each is predicted with CC_norm 1 by the nuisance that it follows."""
    flat = images - images.mean()
    follows = {
        "luminance_whole": images.mean((1, 2)),
        "luminance_lower": images[:, 10:].mean((1, 2)),
        "luminance_left": images[:, :, :16].mean((1, 2)),
        "luminance_regions": flat[:, 7:14, 8:16].mean((1, 2)) - flat[:, 7:14, 24:].mean((1, 2)),
        "contrast": images.std((1, 2)),
    }
    values = np.stack([*follows.values()], axis=1)
    rates = np.clip(6 + 2 * (values - values.mean(0)) / values.std(0), 0.2, None)
    table = scored(images, rates, rates)
    assert table["nuisance"].tolist() == list(follows)
    for i, name in enumerate(follows):
        assert table[f"cc_norm_{name}"][i] == pytest.approx(1, abs=0.1)
        assert table[f"cc_norm_low_{name}"][i] < 1 < table[f"cc_norm_high_{name}"][i] + 0.1
        assert table[f"cc_abs_{name}"][i] > table["cc_chance"][i]


def test_a_neuron_with_a_receptive_field_is_not_named(images):
    """Gabor filters, and noise: none of 40 neurons is named."""
    rng = np.random.default_rng(1)
    x, y, angle = rng.uniform(-15, 15, 30), rng.uniform(-10, 10, 30), rng.uniform(0, 180, 30)
    filters = patterns.gabor(GRID, x, y, 15.0, angle, 90 * rng.integers(0, 4, 30), 6.0, 1.3)
    drive = np.maximum((images - 0.5).reshape(N, -1) @ filters.reshape(30, -1).T, 0)
    rates = np.concatenate([1 + 3 * drive / drive.mean(0), np.full((N, 10), 3.0)], axis=1)
    predicted = rates + rng.normal(0, 0.1, rates.shape)
    table = scored(images, rates, predicted)
    assert table["nuisance"].eq("").all()
    above = table.filter(regex="^cc_abs_(?!model)").max(axis=1) > table["cc_chance"]
    assert above[30:].sum() <= 3  # 5 % expected by chance


def of_trials(counts, shown, model_noise, **found):
    """Nuisances of one neuron whose images say nothing, with a model of its means plus noise."""
    rng = np.random.default_rng(4)
    noise = rng.uniform(size=(N, *GRID.shape))
    means = np.bincount(shown, counts) / np.bincount(shown)
    predicted = means + model_noise * means.std() * rng.normal(size=N)
    trials = as_trials(counts[:, None], np.arange(N), trial_images=shown)
    return nuisance_scores(
        image_nuisances(noise) | found, means[:, None], predicted[:, None],
        folds_of(noise, (), 5, fold_stream(0)), (), Scorer.of(trials, 0), [0], PENALTIES, 0,
    )  # fmt: skip


def test_behaviour_locked_to_images_is_named():
    """The animal runs during some images, and the neuron counts only that."""
    rng = np.random.default_rng(2)
    shown = np.tile(np.arange(N), REPEATS)
    running = (rng.uniform(size=len(shown)) < (shown % 3 == 0) * 0.8).astype(float)
    counts = rng.poisson(2 + 4 * running)
    groups = TrialGroups.of(shown)
    found = trial_nuisances({"running_speed": running}, np.arange(float(len(shown))), groups)
    table = of_trials(counts, shown, 0.5, **found)
    assert table["nuisance"][0] == "running_speed"
    assert table["cc_abs_time"][0] < table["cc_chance"][0]


def test_drift_is_named_only_if_it_is_locked_to_images():
    """Images shown one after the other seem to be preferred if the rate changes slowly."""
    rng = np.random.default_rng(3)
    times = np.arange(float(N * REPEATS))
    slow = 4 + 3 * np.sin(times / len(times) * 4)
    counts = rng.poisson(slow)
    order = rng.permutation(N)  # images are held out at random, not by time
    for shown, name in ((np.repeat(order, REPEATS), "time"), (np.tile(order, REPEATS), "")):
        groups = TrialGroups.of(shown)
        table = of_trials(counts, shown, 0.5, **trial_nuisances({}, times, groups))
        assert table["nuisance"][0] == name


def test_the_slow_part_of_the_variance_is_measured_and_removed():
    rng = np.random.default_rng(3)
    shown = np.concatenate([rng.permutation(N) for _ in range(REPEATS)])
    times = np.arange(float(N * REPEATS))
    slow = 3 * np.sin(times / len(times) * 4)
    tuned = 10 + shown % 4
    counts = np.stack([tuned + slow, tuned], axis=1) + rng.normal(size=(len(times), 2))
    share, steady = drift(counts, times, TrialGroups.of(shown))
    np.testing.assert_allclose(share, [slow.var() / (slow.var() + 1), 0], atol=0.03)
    parts = (steady - tuned[:, None]).reshape(10, -1, 2).mean(1)
    np.testing.assert_allclose(parts - parts.mean(0), 0, atol=0.05)


def test_without_repeats_the_slow_part_is_not_known():
    share, steady = drift(np.eye(12), np.arange(12.0), TrialGroups.of(np.arange(12)))
    assert np.isnan(share).all()
    np.testing.assert_array_equal(steady, np.eye(12))
