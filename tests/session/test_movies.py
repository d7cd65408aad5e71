"""Natural movies: passes, and frames on the grid of the images."""

import logging
import warnings

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.images.geometry import (
    ALLEN_MOVIE_HEIGHT_DEG,
    ALLEN_MOVIE_WIDTH_DEG,
    Geometry,
)
from meiflow.session.images import resize
from meiflow.session.movie_frames import cut_to_screen, movie_bins
from meiflow.session.movie_passes import regular_passes

ALLEN = ALLEN_MOVIE_WIDTH_DEG, ALLEN_MOVIE_HEIGHT_DEG
NONE = np.empty((0, 2))


def centre(image):
    """Row and column of the centre of what differs from the surround."""
    weight = np.abs(image - np.median(image))
    rows, columns = np.indices(image.shape)
    return (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()


@pytest.mark.parametrize("place", [(60, 200), (152, 304), (230, 440), (270, 150)])
def test_a_dot_of_a_movie_and_of_a_scene_is_where_allensdk_shows_it(place):
    """The same spot of the monitor, by AllenSDK's placement, lands on the same pixel."""
    from meiflow.session.sdk import _restore_numpy_names

    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.stimulus_info import BrainObservatoryMonitor

        monitor = BrainObservatoryMonitor()
    frame = np.full((304, 608), 127, np.uint8)
    frame[place[0] - 4 : place[0] + 4, place[1] - 4 : place[1] + 4] = 255
    on_monitor = monitor.natural_movie_image_to_screen(frame, origin="upper")
    # the scene that AllenSDK shows there
    scene = on_monitor[141:-141, 373:-373]
    shown = monitor.natural_scene_image_to_screen(scene, origin="upper")
    np.testing.assert_array_equal(shown[141:-141, 373:-373], scene)
    assert centre(shown.astype(float)) == pytest.approx(centre(on_monitor.astype(float)))
    screen = Geometry(60, 96)
    ours = cut_to_screen(frame[None] / 255, *ALLEN, screen)[0]
    expected = resize(scene[None] / 255, screen.shape)[0]
    np.testing.assert_allclose(centre(ours), centre(expected), atol=0.05)
    # resizing the frame would misplace it, which the test must notice
    wrong = resize(frame[None] / 255, screen.shape)[0]
    if place != (152, 304):
        assert np.abs(np.subtract(centre(wrong), centre(expected))).max() > 1


def test_beyond_the_movie_the_monitor_is_grey():
    found = cut_to_screen(np.ones((1, 4, 8)), 40.0, 20.0, Geometry(4, 4, 80.0, 40.0))[0]
    expected = np.full((4, 4), 127 / 255)
    expected[1:3, 1:3] = 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bins_are_means_of_frames(tmp_path, rng):
    movie = rng.integers(0, 256, (7, 12, 16), dtype=np.uint8)
    np.save(tmp_path / "movie.npy", movie)
    found = movie_bins(tmp_path / "movie.npy", 7, 3, 40.0, 30.0, Geometry(12, 16, 40.0, 30.0))
    expected = [movie[:3].mean(axis=0) / 255, movie[3:6].mean(axis=0) / 255]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (np.zeros((5, 4, 4), np.uint8), "has 5 frames, but 7 were shown"),
        (np.zeros((7, 4), np.uint8), r"has shape \(7, 4\)"),
        (np.full((7, 4, 4), 3.0), "luminance outside 0..1"),
        (np.full((7, 4, 4), np.nan), "luminance outside 0..1"),
        (np.zeros((7, 4, 4), np.int16), "type int16; expected .* uint8 or uint16"),
    ],
)
def test_a_stack_that_cannot_be_the_movie_is_refused(tmp_path, stack, message):
    np.save(tmp_path / "movie.npy", stack)
    with pytest.raises(MeiflowError, match=rf"^session\.movies: .*{message}"):
        movie_bins(tmp_path / "movie.npy", 7, 2, 40.0, 30.0, Geometry(4, 4))


def shown(passes=4, frames=30):
    """Rows of a movie as in the released files: one per frame, with no column for the pass."""
    start = 100 + np.arange(passes * frames) / 30
    frame = np.tile(np.arange(float(frames)), passes)
    return pd.DataFrame({"start_time": start, "stop_time": start + 1 / 30, "frame": frame})


FAULTS = {
    "a frame is missing": lambda t: t.drop(index=40),
    "a frame is long": lambda t: t.assign(stop_time=t["stop_time"] + (t.index == 45) * 0.02),
    "a pause": lambda t: t.assign(
        **{c: t[c] + (t.index > 50) * 0.5 for c in ("start_time", "stop_time")}
    ),
    "the end is missing": lambda t: t.drop(index=range(55, 60)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_irregular_passes_are_left_out_and_counted(fault, caplog):
    with caplog.at_level(logging.INFO, logger="meiflow"):
        found = regular_passes(FAULTS[fault](shown()), NONE, "natural_movie_one")
    assert found.starts.shape == (3, 30)
    assert "natural_movie_one: excluded 1 of 4 passes" in caplog.text


def test_passes_during_which_spikes_were_missed_are_left_out():
    lost = np.array([[101.2, 101.3], [90.0, 95.0]])
    assert len(regular_passes(shown(), lost, "m").starts) == 3
    with pytest.raises(MeiflowError, match=r"^m: none of 4 passes shows its 30 frames"):
        regular_passes(shown(), np.array([[0.0, 1000.0]]), "m")


def test_frames_that_are_no_numbers_of_frames_are_refused():
    with pytest.raises(MeiflowError, match=r"^m: has frame -1; expected whole numbers from 0"):
        regular_passes(shown().replace({"frame": {3.0: -1.0}}), NONE, "m")
