"""Natural movies of two-photon experiments: from the file to the tables of a session."""

import h5py
import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import check_inputs, load_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import ALLEN_MOVIE_HEIGHT_DEG, ALLEN_MOVIE_WIDTH_DEG
from meiflow.io.files import read_array, read_arrays, read_csv
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.session.dataset import Dataset
from meiflow.session.two_photon_file import read_movie, read_two_photon
from meiflow.stages.check import describe_inputs
from meiflow.stages.convert import convert_two_photon
from meiflow.stages.tables import build_tables
from tests.session.test_two_photon import reader_of_allensdk
from tests.session.two_photon_files import (
    FIRST,
    MOVIE,
    MOVIE_FRAMES,
    PASSES,
    RATE,
    write_nwb_1,
    write_nwb_2,
)

CELLS = ["517474020", "517474022", "517474030"]


@pytest.fixture
def experiment(tmp_path, rng):
    """A function that writes an experiment with a movie in NWB 1."""
    return lambda **given: write_nwb_1(tmp_path / "exp_1.nwb", rng, **{"short": 0} | given)


def tables_of(folder, **session):
    config = load_config(folder / "config.yaml")
    check_inputs(config)
    config = config.model_copy(
        update={"session": config.session.model_copy(update=session)} if session else {}
    )
    results = Layout(folder / "results")
    files = Dataset(config).files_of(config.session.id)
    build_tables(config, results, files.images, None, movies=files.movies)
    return config, results


def test_frames_and_passes_equal_those_of_allensdk(experiment):
    path = experiment()
    theirs = reader_of_allensdk(path)
    table = theirs.get_stimulus_table(MOVIE).reset_index(drop=True)
    ours = read_two_photon(path).stimuli[MOVIE]
    assert sorted(ours) == sorted(table)
    pd.testing.assert_frame_equal(ours[table.columns], table, check_dtype=False)
    np.testing.assert_array_equal(read_movie(path, MOVIE), theirs.get_stimulus_template(MOVIE))


def test_nwb_2_gives_the_same_tables_as_nwb_1(experiment, tmp_path):
    path = experiment()
    other = write_nwb_2(tmp_path / "sub-1_ses-2-StimB_behavior+image+ophys.nwb", path)
    np.testing.assert_array_equal(read_movie(other, MOVIE), read_movie(path, MOVIE))
    found = []
    for number, file in enumerate((path, other)):
        convert_two_photon(file, tmp_path / str(number), (0.25, 0.5))
        found.append(pd.read_csv(tmp_path / str(number) / "movies.csv"))
    pd.testing.assert_frame_equal(*found)
    assert len(found[0]) == PASSES * MOVIE_FRAMES * len(CELLS)


def test_a_bin_is_the_mean_in_one_window_behind_its_first_frame(experiment, tmp_path):
    """By hand: the 8 imaging frames from 0.25 s behind the first frame of a bin."""
    path = experiment()
    convert_two_photon(path, tmp_path / "out", (0.25, 0.5))
    config, results = tables_of(tmp_path / "out")
    movie = config.session.movies
    angles = ALLEN_MOVIE_WIDTH_DEG, ALLEN_MOVIE_HEIGHT_DEG
    np.testing.assert_allclose(movie.size_deg, angles, atol=0.005)
    recorded = read_two_photon(path)
    counts = read_arrays(results.movie_counts)[MOVIE]
    assert counts.shape == (PASSES, 2, 3)
    delay = round(0.25 * RATE + 0.49)  # 7.5 frames: the first that begins 0.25 s later is the 8th
    for number in range(PASSES):
        for part in (0, 1):
            first = FIRST + number * MOVIE_FRAMES + 8 * part + delay
            by_hand = recorded.dff[:3, first : first + 8].mean(axis=1)
            np.testing.assert_allclose(counts[number, part], by_hand, rtol=1e-5)
    table = read_csv(results.movie_responses)
    np.testing.assert_allclose(table[CELLS], counts.mean(axis=0), rtol=1e-6)
    errors = counts.std(axis=0, ddof=1) / np.sqrt(PASSES)
    np.testing.assert_allclose(read_csv(results.movie_errors)[CELLS], errors, rtol=1e-6)
    assert read_array(results.movie_images).shape == (2, 60, 96)
    assert len(read_responses(results).image_ids) == 6  # the scenes
    _, results = tables_of(tmp_path / "out", average="median")
    table = read_csv(results.movie_responses)
    np.testing.assert_allclose(table[CELLS], np.median(counts, axis=0), rtol=1e-6)


def test_a_session_of_movies_only_has_their_bins_as_images(experiment, tmp_path):
    text = convert_two_photon(experiment(scenes=False), tmp_path / "out", (0.25, 0.5))
    assert text.startswith("3 of 4 cells, movies in ")
    assert not (tmp_path / "out" / "images.npy").exists()
    path = tmp_path / "out" / "config.yaml"
    path.write_text(path.read_text().replace("movies:", "movies:\n    frames_per_bin: 4"))
    config, results = tables_of(tmp_path / "out")
    trials, responses = read_trials(results), read_responses(results)
    assert trials.response == config.session.response_type
    assert trials.response.real
    assert responses.movies[0].bins == 4
    assert responses.movies[0].bin_s == pytest.approx(4 / 30)
    assert (trials.counts < 0).any()
    counts = read_arrays(results.movie_counts)[MOVIE]
    np.testing.assert_allclose(trials.counts, counts.reshape(-1, 3), rtol=1e-6)
    lines = describe_inputs(config, Dataset(config).files_of("exp_1"))
    assert f"{MOVIE}: {PASSES} passes, 4 bins of 4 frames" in lines


def test_what_is_incomplete_is_left_out_and_said(experiment, tmp_path):
    path = experiment(short=3)
    text = convert_two_photon(path, tmp_path / "out", (0.25, 0.5))
    assert f"{MOVIE}: left out 1 incomplete passes" in text
    assert pd.read_csv(tmp_path / "out" / "movies.csv")["repeat"].nunique() == PASSES - 1
    with h5py.File(path, "a") as file:
        del file[f"stimulus/templates/{MOVIE}_image_stack"]
    text = convert_two_photon(path, tmp_path / "none", (0.25, 0.5))
    assert text.endswith(f"the file lacks images: add movies/{MOVIE}.npy")
    convert_two_photon(path, tmp_path / "scenes", (0.25, 0.5), movies=False)
    assert not list((tmp_path / "scenes").glob("movie*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(index=4), "no row for frame 1 of repeat 0, neuron 517474022; real resp"),
        (lambda t: t.assign(response=np.nan), "response is 'nan' in row 2; expected a number"),
        (lambda t: t.rename(columns={"response": "spike_count"}), "missing column response"),
    ],
)
def test_a_wrong_table_is_named(change, message, experiment, tmp_path):
    convert_two_photon(experiment(), tmp_path / "out", (0.25, 0.5))
    path = tmp_path / "out" / "movies.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)
    (path.parent / "SHA256SUMS").unlink()
    with pytest.raises(MeiflowError, match=f"movies.csv.*{message}"):
        tables_of(tmp_path / "out")
