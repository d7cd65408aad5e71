"""Models fitted to views by gaze, where receptive fields follow the eye and where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from meiflow.config.sections import Model
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.retina import gaze_pixels, seen_images
from meiflow.models.cross_validate import fit_all, learning_curve
from meiflow.models.gaze import GazeViews
from meiflow.models.movie_stimuli import MovieStimuli
from meiflow.models.problem import Problem, ProblemFits

GRID = Geometry(16, 24, 48.0, 32.0)
IMAGES, REPEATS, NEURONS = 30, 16, 3
CONFIG = Model(
    base_models=["v1"],
    wavelengths_deg=[12.0],
    orientations=4,
    stride=2,
    folds=3,
    ln={"penalties": [0.01], "widths_deg": [12.0]},
    gabor_energy={"starts": 1, "steps": 1},
    learning_curve=[0.6],
)


@pytest.fixture(scope="module")
def session():
    """Images, and the image and gaze of every trial; of two, the eye was not found."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(3)
    images = gaussian_filter(rng.normal(size=(IMAGES, *GRID.shape)), (0, 1, 1))
    images = (0.5 + 0.2 * images / images.std()).clip(0, 1).astype(np.float32)
    shown = rng.permutation(np.repeat(np.arange(IMAGES), REPEATS))
    gaze = rng.normal(size=(len(shown), 2)) * [6.0, 2.0] + [11.0, -4.0]
    gaze[:2] = np.nan
    return images, shown, gaze


def counts_of(session, moved):
    """Three simple cells whose receptive fields follow the eye, or stay (`moved` 0)."""
    images, shown, gaze = session
    at = moved * np.nan_to_num(gaze - np.nanmedian(gaze, axis=0))
    seen = seen_images(images[shown], gaze_pixels(at, GRID)) - 0.5
    rng = np.random.default_rng(5)
    drive = []
    for x, y, orientation in ((-6, 2, 0), (4, 4, 45), (8, -5, 90)):
        filtered = patterns.grating_patch(GRID, x, y, 12.0, orientation, 0.0, 10.0)
        drive.append((seen * filtered).sum(axis=(1, 2)))
    rates = 1 + 5 * np.maximum(np.stack(drive, axis=1), 0)
    return rng.poisson(rates).astype(float)


def fit(session, counts, gaze, curve=False, **views):
    images, shown, _ = session
    means = np.stack([counts[shown == i].mean(axis=0) for i in range(IMAGES)])
    own = None if gaze is None else GazeViews.of(images, counts, shown, gaze, GRID, **views)
    given = images, means, np.ones(IMAGES), GRID, CONFIG, 0
    return (learning_curve if curve else fit_all)(*given, gaze=own), means


def quality(fitted, means):
    predicted = fitted.predictions["v1"]
    pairs = zip(predicted.T, means.T, strict=True)
    return np.mean([np.corrcoef(one, two)[0, 1] for one, two in pairs])


@pytest.fixture(scope="module")
def moving(session):
    """Counts of neurons that follow the eye, and the fits with and without gaze."""
    counts = counts_of(session, 1.0)
    return counts, fit(session, counts, session[2]), fit(session, counts, None)


def test_the_shift_is_found_where_there_is_one(moving):
    _, (fitted, means), (plain, _) = moving
    assert fitted.gaze["used"].tolist() == ["xy"] * (CONFIG.folds + 1)
    assert (fitted.gaze["r2_xy"] > fitted.gaze["r2_unshifted"] + 0.05).all()
    assert quality(fitted, means) > quality(plain, means) + 0.05
    assert plain.gaze is None
    assert fitted.predictions["v1"].shape == means.shape  # of images, not of views


def test_no_shift_is_found_where_there_is_none(session):
    """The fit is then that without gaze, bit by bit; so it is with the sign of gaze reversed."""
    counts = counts_of(session, 0.0)
    fitted, _ = fit(session, counts, session[2])
    assert set(fitted.gaze["used"]) == {"none"}
    plain, _ = fit(session, counts, None)
    for name, predicted in plain.predictions.items():
        np.testing.assert_array_equal(fitted.predictions[name], predicted, name)
    backwards, _ = fit(session, counts_of(session, 1.0), -session[2])
    assert set(backwards.gaze["used"]) == {"none"}


def test_exchanged_axes_are_noticed(session, moving):
    counts, (fitted, _), _ = moving
    exchanged, _ = fit(session, counts, session[2][:, ::-1])
    assert set(exchanged.gaze["used"]) == {"yx"}
    np.testing.assert_array_equal(exchanged.predictions["v1"], fitted.predictions["v1"])


def test_no_fold_learns_from_its_held_out_trials(session, moving):
    """Neither what it predicts nor whether it uses the shift."""
    counts, (before, _), _ = moving
    test = before.held_out[1]
    changed = counts.copy()
    held_out = np.isin(session[1], test)
    changed[held_out] = 4 * changed[held_out][::-1] + 1
    after, _ = fit(session, changed, session[2])
    pd.testing.assert_frame_equal(before.gaze.iloc[[1]], after.gaze.iloc[[1]])
    assert (before.gaze["r2_xy"] != after.gaze["r2_xy"])[[0, 2, 3]].all()
    for name in before.members:
        one, two = before.predictions[name], after.predictions[name]
        # neurons of a batch share rounding errors
        np.testing.assert_allclose(one[test], two[test], rtol=1e-5, err_msg=name)
        assert (one[before.held_out[0]] != two[before.held_out[0]]).any()


def test_every_fold_decides_for_itself(session, moving, monkeypatch):
    """One that does not use the shift is fitted to plain means beside those that use it."""
    counts, (fitted, _), (plain, _) = moving
    compared = GazeViews.compared

    def some(*arguments):
        return compared(*arguments).assign(used=["xy", "none", "xy", "xy"])

    monkeypatch.setattr(GazeViews, "compared", some)
    mixed, _ = fit(session, counts, session[2])
    for fold, other in enumerate((fitted, plain, fitted)):
        test = fitted.held_out[fold]
        expected, found = other.predictions["v1"][test], mixed.predictions["v1"][test]
        np.testing.assert_array_equal(found, expected)
        for name in ("x", "y", "starts", "r2"):
            at = getattr(mixed.places, name)[fold]
            np.testing.assert_array_equal(at, getattr(other.places, name)[fold])
        state = mixed.fold_states[fold][0][0]
        assert state["bias"] == other.fold_states[fold][0][0]["bias"]
    np.testing.assert_array_equal(mixed.places.score, fitted.places.score)


def test_the_learning_curve_uses_the_shift_as_well(session, moving):
    counts, *_ = moving
    (with_gaze, means), (without, _) = (
        fit(session, counts, gaze, curve=True) for gaze in (session[2], None)
    )
    ((number, predicted),) = with_gaze.items()
    assert predicted.shape == means.shape
    assert (predicted != without[number]).any()


def test_other_stimuli_keep_their_weight(session, monkeypatch):
    """A view has a quarter of an image's trials, so that movie frames weigh four times as much."""
    images, shown, gaze = session
    seen = []

    def recorded(self, *_):
        seen.append(self)
        return ProblemFits(None, {}, np.zeros((1, 1), int))

    monkeypatch.setattr(Problem, "fit", recorded)
    movies = MovieStimuli(images[:5], np.ones((5, 1)), np.full(5, 0.4))
    counts = np.ones((len(shown), 1))
    views = GazeViews.of(images, counts, shown, gaze, GRID)
    given = images, np.ones(IMAGES), GRID, CONFIG, 0, 1, None, None, movies, ()
    responses = np.ones((1, IMAGES, 1))
    subsets = [np.arange(IMAGES)]
    views.fit(Problem(*given), responses, subsets, 1, None, np.array(["xy"]))
    assert seen[0].views == 4
    np.testing.assert_allclose(seen[0].weights, 1)
    np.testing.assert_allclose(seen[0].movies.weights, 1.6)


def test_groups_are_of_equal_size_and_similar_gaze(session):
    images, shown, gaze = session
    views = GazeViews.of(images, np.ones((len(shown), 1)), shown, gaze, GRID)
    np.testing.assert_array_equal(views.weights, 0.25)
    alone = GazeViews.of(images, np.ones((len(shown), 1)), shown, gaze, GRID, always=True)
    assert alone.always
    # with too few trials, there are fewer groups
    few = np.concatenate([np.flatnonzero(shown == i)[:3] for i in range(IMAGES)])
    views = GazeViews.of(images, np.ones((len(few), 1)), shown[few], gaze[few], GRID)
    assert views.images.shape == (2, IMAGES, 2, *GRID.shape)
    np.testing.assert_allclose(views.weights.sum(axis=1), 1)
    assert replace(views, always=True).of_neurons([0]).means.shape == (IMAGES, 2, 1)
