"""A session that shows movies and no natural scenes, from session to report."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.project import altered, make_project

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

MOVIE = "natural_movie_one_more_repeats"
BINS, PASSES = 60, 10


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    shown = {"repeats": 0, "movie_repeats": {MOVIE: PASSES}, "movie_frames": 8 * BINS}
    document = altered(
        {
            "session": {"movies": {"shown": [MOVIE]}, "simulation": shown},
            "model": {"base_models": ["ln"]},
            "mei": {"steps": 3},
            "stimuli": {"make": ["natural"]},
            "experiments": {"make": []},
        }
    )
    project = make_project(tmp_path_factory.mktemp("without_scenes"), document)
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    return project.results


def test_bins_of_the_movie_are_the_images(results):
    info = json.loads((results / "tables" / "images.json").read_text())
    assert info["image_ids"] == list(range(BINS))
    (movie,) = info["movies"]
    assert (movie["name"], movie["bins"]) == (MOVIE, BINS)
    assert movie["bin_s"] == pytest.approx(8 * 30.0251 / 900, rel=1e-3)
    trials = pd.read_csv(results / "tables" / "trials.csv")
    assert (trials.groupby(["neuron_id", "image_id"]).size() == PASSES).all()
    assert trials["image_id"].nunique() == BINS
    images = np.load(results / "tables" / "images.npy")
    np.testing.assert_array_equal(images, np.load(results / "tables" / "movies.npy"))
    # as counted for sessions in which the movie is shown besides scenes
    means = pd.read_csv(results / "tables" / "responses.csv").drop(columns="image_id")
    movie_means = pd.read_csv(results / "tables" / "movie_responses.csv")[means.columns]
    np.testing.assert_allclose(means, movie_means)
    shown = pd.read_csv(results / "tables" / "presentations.csv")
    assert shown["trial_id"].tolist() == trials["trial_id"].unique().tolist()
    assert shown.groupby("block").size().tolist() == [BINS * PASSES // 2] * 2
    assert not (results / "session" / "natural_scenes").exists()


def test_rates_are_per_second(results):
    selection = pd.read_csv(results / "selection" / "neurons.csv").set_index("neuron_id")
    spikes = pd.read_csv(results / "tables" / "trials.csv").groupby("neuron_id")["spike_count"]
    seconds = PASSES * BINS * 8 * 30.0251 / 900
    np.testing.assert_allclose(selection["mean_rate_hz"], spikes.sum() / seconds, rtol=1e-3)


def test_models_are_scored_on_held_out_stretches(results):
    scores = pd.read_csv(results / "models" / "cross_validation.csv")
    assert (scores["folds"] == 3).all()
    search = np.load(results / "models" / "search.npz")
    # the mean of the training bins is the same within a held-out stretch
    constant = search["prediction_mean"][:, 0]
    edges = np.flatnonzero(np.diff(constant) != 0) + 1
    assert edges.tolist() == [20, 40]
    curve = pd.read_csv(results / "models" / "learning_curve.csv")
    # half of the training bins beyond the guard, and all of them
    assert curve["images"].min() <= (40 - 2) / 2
    assert curve["images"].max() <= 40 - 2


def test_the_report_says_what_took_the_place_of_scenes(results):
    page = (results / "report.html").read_text()
    assert "This session showed no natural scenes." in page
    assert f"Frames of {MOVIE} take their place: {BINS} means of 8" in page
    assert "contiguous stretches of the movies; CC_norm" in page
    assert "best movie frame" in page
    natural = pd.read_csv(results / "stimuli" / "natural.csv")
    assert len(natural)
    summary = pd.read_csv(results / "summary.csv")
    assert summary["best_natural_true_fraction"].notna().all()
