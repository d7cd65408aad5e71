"""The models stage: its files for neurons that can be fitted, and for those that cannot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_csv, write_array, write_arrays, write_csv
from meiflow.models import problem
from meiflow.models.archive import ModelArchive
from meiflow.models.folds import image_folds
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons, require_selected
from meiflow.results.tables import read_responses
from meiflow.stages.fit_models import fit_models
from meiflow.stages.fitted_neurons import take_fitted
from tests.known import write_stack

GRID = Geometry(12, 16)
CONFIG = parse_config(
    {
        "image": {"height": 12, "width": 16},
        "model": {
            "base_models": ["v1", "ln"],
            "stacking_prior": "equal",  # so that a neuron without fit does not affect the others
            "wavelengths_deg": [30.0],
            "orientations": 4,
            "stride": 3,
            "penalties": [0.1],
            "folds": 3,
            "learn_from": ["scenes"],
            "gabor_energy": {"starts": 1, "steps": 2},
        },
    }
)


def write_tables(results):
    """Four neurons, of which b is silent."""
    rng = np.random.default_rng(3)
    images = rng.random((15, 12, 16))
    drive = np.stack([images[:, 2:8, k : k + 4].mean((1, 2)) for k in (2, 4, 6, 8)], 1)
    counts = rng.poisson(20 * np.repeat(drive, 4, axis=0))
    counts[:, 1] = 0
    shown = np.repeat(np.arange(15), 4)
    trials = pd.DataFrame(counts, columns=list("abcd")).assign(image_id=shown)
    trials = trials.rename_axis("trial_id").reset_index()
    long = trials.melt(["trial_id", "image_id"], var_name="neuron_id", value_name="spike_count")
    write_csv(long[["trial_id", "neuron_id", "spike_count", "image_id"]], results.trials)
    means = trials.drop(columns="trial_id").groupby("image_id").mean().reset_index()
    write_csv(means, results.responses)
    write_stack(results, images, GRID)
    return means


def test_a_silent_neuron_and_a_broken_one_are_recorded(tmp_path, monkeypatch):
    whole, results = Layout(tmp_path / "whole"), Layout(tmp_path / "results")
    write_tables(whole)
    fragile_column = write_tables(results)["c"].to_numpy(float)
    fit_models(CONFIG, whole, SessionHas(), 1)
    fitters = problem.fitters_of

    def breaking(*arguments):
        found = fitters(*arguments)
        fit, size = found["ln"]

        def broken(jobs):
            if (np.abs(jobs.responses - fragile_column).max(axis=1) < 1e-9).any():
                raise np.linalg.LinAlgError("did not converge")
            return fit(jobs)

        return found | {"ln": (broken, size)}

    monkeypatch.setattr(problem, "fitters_of", breaking)
    fit_models(CONFIG, results, SessionHas(), 1)
    status = read_csv(results.fit_status).set_index("neuron_id")
    assert status["fitted"].tolist() == [True, False, False, True]
    assert status.loc["b", "reason"] == "the mean response is the same for all images"
    assert status.loc["c", "reason"] == "fitting ln failed"
    scores = read_csv(results.cross_validation).set_index(["neuron_id", "model"])
    unbroken = read_csv(whole.cross_validation).set_index(["neuron_id", "model"])
    assert np.isnan(scores.loc[("c", "model"), "cc_abs"])
    assert list(scores.columns[:1]) == ["cc_abs"]
    archive = ModelArchive(results.models, GRID)
    assert archive.neurons == ["a", "d"]
    for neuron in "ad":  # the others are unchanged, up to the size of the batches
        np.testing.assert_allclose(scores.loc[neuron], unbroken.loc[neuron], atol=1e-3)
        archive.model(neuron)
        folds = archive.fold_models(neuron)
        assert len(folds) == 3
        # each fold model predicts the held-out images of its fold as in the cross-validation
        found = np.load(results.model_search)
        n = "abcd".index(neuron)
        names = [f"prediction_{name}" for name in found["base_models"]]
        unseen = sum(w * found[k][:, n] for w, k in zip(found["weights"][n], names, strict=True))
        shown = read_responses(results, GRID).images
        held_out = image_folds(len(shown), 3, np.random.default_rng([CONFIG.seed, 2]))
        for fold, test in zip(folds, held_out, strict=True):
            np.testing.assert_allclose(fold.predict(shown[test]), unseen[test], rtol=1e-3)
    with pytest.raises(MeiflowError, match="no model for neuron c"):
        archive.model("c")
    assert not results.unfinished_fits.exists()
    selection = {"neuron_id": list("abcd"), "selected": [True] * 3 + [False], "reason": "x"}
    write_csv(pd.DataFrame(selection), results.selection)
    take_fitted(results)
    table = read_csv(results.fitted_neurons).set_index("neuron_id")
    assert table["selected"].tolist() == [True, False, False, False]
    assert table["status"].tolist() == ["modelled", "fit failed", "fit failed", "not selected"]
    require_selected(results.fitted_neurons, "a")
    assert fitted_neurons(results.fitted_neurons) == ["a"]
    for neuron, message in (
        ("c", "neuron c has no model: fitting ln failed"),
        ("d", r"neuron d is not selected \(x\)"),
        ("z", "'z' is not in this session"),
    ):
        with pytest.raises(MeiflowError, match=message):
            require_selected(results.fitted_neurons, neuron)


def test_what_was_fitted_is_written_as_it_was(tmp_path):
    """Models and predictions are those of the same fit, and a repeat gives the same bytes."""
    one, two = Layout(tmp_path / "one"), Layout(tmp_path / "two")
    for results in (one, two):
        write_tables(results)
        fit_models(CONFIG, results, SessionHas(), 1)
    for name in ("models", "cross_validation", "fold_scores", "fit_status", "model_search"):
        first, second = getattr(one, name), getattr(two, name)
        assert first.read_bytes() == second.read_bytes(), name
    archive = ModelArchive(one.models, GRID)
    search = np.load(one.model_search, allow_pickle=False)
    for i, neuron in enumerate("abcd"):
        if neuron != "b":
            model = archive.model(neuron)
            assert (model.x, model.y) == (search["rf_x_deg"][i], search["rf_y_deg"][i])
            weights = search["weights"][i]
            kinds = [kind for kind, w in zip(search["base_models"], weights, strict=True) if w > 0]
            assert [s["kind"] for s in archive.fold_models(neuron)[0].mixture.states] == kinds


def test_the_window_of_every_neuron_and_fold_is_written(tmp_path):
    """`tests/models/test_movie_stimuli.py` tests which window it is."""
    results, has = Layout(tmp_path), SessionHas(movies=True)
    write_tables(results)
    rng = np.random.default_rng(4)
    images = rng.random((40, 12, 16)).astype(np.float32)
    drive = np.stack([images[:, 2:8, k : k + 4].mean((1, 2)) for k in (2, 4, 6, 8)], 1)
    means = np.stack([np.roll(drive, 1, axis=0), drive, drive[::-1]])
    frames = {"movie": "one", "first_frame": 8 * np.arange(40), "last_frame": 8 * np.arange(40) + 7}
    table = pd.DataFrame(frames | {"repeats": 10})
    write_csv(
        table.join(pd.DataFrame(20 * means[0], columns=list("abcd"))), results.movie_responses
    )
    write_array(images, results.movie_images)
    windows = {"lag_s": np.array([0.0, 0.06, 0.12]), "width_s": np.full(3, 0.25)}
    write_arrays(windows | {"means": 20 * means}, results.movie_windows)
    model = CONFIG.model.model_copy(update={"learn_from": ["scenes", "movies"]})
    movies = CONFIG.session.movies.model_copy(update={"candidate_lags_s": [0.0, 0.06, 0.12]})
    session = CONFIG.session.model_copy(update={"movies": movies})
    config = CONFIG.model_copy(update={"model": model, "session": session})
    fit_models(config, results, has, 1)
    found = read_csv(results.movie_lags)
    assert found["fold"].tolist() == ["1", "2", "3", "all"] * 4
    assert found["neuron_id"].unique().tolist() == list("abcd")
    assert set(found["lag_s"]) <= {0.0, 0.06, 0.12}
    assert (found["width_s"] == 0.25).all()
    fewer = movies.model_copy(update={"candidate_lags_s": [0.0]})
    other = config.model_copy(update={"session": session.model_copy(update={"movies": fewer})})
    with pytest.raises(MeiflowError, match=r"movie_windows.npz: shape \(3, 40, 4\) instead"):
        fit_models(other, results, has, 1)
    fit_models(CONFIG, results, has, 1)
    assert not results.movie_lags.exists()
