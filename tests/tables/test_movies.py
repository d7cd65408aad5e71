"""Counts in bins of movie frames, compared with AllenSDK and with the simulated rates."""

import warnings

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, read_arrays, read_csv
from meiflow.results.layout import Layout
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.tables.movies import MOVIE_COLUMNS, movies_from_table

SIZES = {"units": {"VISam": 4}, "frames": 6, "repeats": 2, "gabor_repeats": 0, "grating_repeats": 0}
SIZES |= {"frame_height": 40, "frame_width": 50, "movie_frames": 61}
MOVIES = {"natural_movie_one": 4, "natural_movie_three": 2}


@pytest.fixture(scope="module")
def config():
    sizes = SIZES | {"movie_repeats": MOVIES}
    movies = {"frames_per_bin": 4, "lag_s": 0.0}
    return parse_config({"session": {"simulation": sizes, "movies": movies}})


@pytest.fixture(scope="module")
def results(config, tmp_path_factory):
    results = Layout(tmp_path_factory.mktemp("movies"))
    simulate(config, results)
    build_tables(config, results, results.scenes, results.session_file, movies=results.movies)
    return results


def test_counts_equal_allensdks(results):
    from meiflow.session.sdk import _restore_numpy_names

    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        session = EcephysSession.from_nwb_path(str(results.session_file))
        shown = session.get_stimulus_table("natural_movie_one")
        ids = shown.index[shown["frame"] == 8]
        bins = [0.0, float((4 * shown["duration"]).median())]
        units = session.units.index.sort_values()
        theirs = session.presentationwise_spike_counts(bins, ids, units).to_numpy()[:, 0]
    ours = read_arrays(results.movie_counts)["natural_movie_one"]
    assert ours.shape == (4, 15, 4)
    np.testing.assert_array_equal(ours[:, 2], theirs)
    means = read_csv(results.movie_responses)
    errors = read_csv(results.movie_errors)
    row = means.index[(means["movie"] == "natural_movie_one") & (means["first_frame"] == 8)][0]
    assert means.loc[row, ["last_frame", "repeats"]].tolist() == [11, 4]
    names = [str(unit) for unit in units]
    np.testing.assert_allclose(means.loc[row, names].to_numpy(float), theirs.mean(axis=0))
    spread = theirs.std(axis=0, ddof=1) / 2
    np.testing.assert_allclose(errors.loc[row, names].to_numpy(float), spread, atol=1e-6)
    assert read_array(results.movie_images).shape == (30, 60, 96)


def test_without_movies_no_table_of_them_is_left(config, results, tmp_path):
    other = Layout(tmp_path)
    build_tables(config, other, results.scenes, results.session_file, movies=results.movies)
    assert other.movie_responses.exists()
    build_tables(config, other, results.scenes, results.session_file)
    assert not list(other.root.rglob("movie*"))


def test_a_session_without_the_movies_says_so(config, results, tmp_path):
    wrong = config.session.movies.model_copy(update={"shown": ["natural_movie_two"]})
    other = config.model_copy(
        update={"session": config.session.model_copy(update={"movies": wrong})}
    )
    with pytest.raises(MeiflowError, match="no usable pass of natural_movie_two; name"):
        build_tables(
            other, Layout(tmp_path), results.scenes, results.session_file, movies=results.movies
        )


def long_table(repeats=2, frames=7):
    rows = [
        ("clip", repeat, frame, neuron, repeat + frame)
        for repeat in range(repeats)
        for frame in range(frames)
        for neuron in ("a", "b")
    ]
    return pd.DataFrame(rows, columns=MOVIE_COLUMNS)


def test_own_counts_are_added_over_the_frames_of_a_bin():
    (movie,), frames = movies_from_table(long_table(), "m.csv", ["clip"], 3, ["a", "b", "c"])
    assert frames == {"clip": 7}
    np.testing.assert_array_equal(movie.counts[:, :, 0], [[3, 12], [6, 15]])
    np.testing.assert_array_equal(movie.counts[:, :, 2], 0)
    np.testing.assert_allclose(movie.means[:, 1], [4.5, 13.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(movie="other"), r"none of the movies of .*shown \(clip\)"),
        (lambda t: t.assign(frame=0.5), "frame is '0.5' in row 2"),
        (lambda t: t.assign(spike_count=-1), "spike_count is '-1' in row 2"),
        (
            lambda t: t.assign(neuron_id=t["neuron_id"].where(t["frame"] > 0)),
            "neuron_id is empty in row 2",
        ),
        (lambda t: t.assign(neuron_id="z"), "neuron z does not occur in session.trials"),
        (lambda t: pd.concat([t, t.iloc[[3]]], ignore_index=True), "row 30 is a second row"),
        (lambda t: t[(t["frame"] != 3) | (t["repeat"] == 0)], "no row for frame 3 of repeat 1"),
    ],
)
def test_own_counts_that_cannot_be_right_are_refused(change, message):
    with pytest.raises(MeiflowError, match=f"^m.csv: .*{message}"):
        movies_from_table(change(long_table()), "m.csv", ["clip"], 3, ["a", "b"])
