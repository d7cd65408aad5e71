"""A fit that fails is recorded and stops nobody else; each neuron's files come from an archive."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pandas as pd
import pytest
from meiflow.models.bundle import unpack_neuron, write_bundle
from meiflow.models.modelled import modelled_neurons, require_modelled
from meiflow.stages.models import fit_models
from meiflow.tables.load import load_responses

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.checksums import read_checksums
from meiflow.io.files import read_csv, write_csv
from meiflow.models import cross_validate
from meiflow.models.jobs import Fits, Jobs, fit_in_chunks
from meiflow.models.network import load_ensemble, load_model
from meiflow.models.outcome import write_modelled
from meiflow.models.search import image_folds
from meiflow.tables.stack import write_stack

GRID = Geometry(12, 16)
CONFIG = parse_config(
    {
        "image": {"height": 12, "width": 16},
        "model": {
            "base_models": ["v1", "ln"],
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


def jobs_of(responses):
    n = len(responses)
    rest = np.ones(responses.shape, bool), np.zeros(n), np.zeros(n), np.zeros((n, 1, 5))
    return Jobs(responses, *rest)


def fragile(jobs):
    """Doubles the responses; breaks off where one is negative."""
    if (jobs.responses < 0).any():
        raise np.linalg.LinAlgError("did not converge")
    return Fits(2 * jobs.responses, [{"sum": float(r.sum())} for r in jobs.responses])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_fit_that_breaks_off_takes_no_other_with_it(rng, size):
    responses = rng.random((5, 4))
    whole = fit_in_chunks(fragile, jobs_of(responses), size, 1, "x")
    responses[3, 1] = -1
    fits = fit_in_chunks(fragile, jobs_of(responses), size, 2, "x")
    rest = [0, 1, 2, 4]
    np.testing.assert_array_equal(fits.predictions[rest], whole.predictions[rest])
    assert [fits.states[i] for i in rest] == [whole.states[i] for i in rest]
    assert np.isnan(fits.predictions[3]).all()
    assert fits.states[3] == {}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("not enough memory"), OSError()])
def test_what_is_no_fault_of_the_fit_stops_it(rng, error):
    def broken(jobs):
        raise error

    with pytest.raises(type(error)):
        fit_in_chunks(broken, jobs_of(rng.random((2, 3))), 2, 1, "x")


@pytest.fixture
def tables(tmp_path):
    """Four neurons, of which b is silent."""
    rng = np.random.default_rng(3)
    images = rng.random((15, 12, 16))
    folder = tmp_path / "tables"
    drive = np.stack([images[:, 2:8, k : k + 4].mean((1, 2)) for k in (2, 4, 6, 8)], 1)
    counts = rng.poisson(20 * np.repeat(drive, 4, axis=0))
    counts[:, 1] = 0
    shown = np.repeat(np.arange(15), 4)
    trials = pd.DataFrame(counts, columns=list("abcd")).assign(image_id=shown)
    trials = trials.rename_axis("trial_id").reset_index()
    long = trials.melt(["trial_id", "image_id"], var_name="neuron_id", value_name="spike_count")
    write_csv(long[["trial_id", "neuron_id", "spike_count", "image_id"]], folder / "trials.csv")
    means = trials.drop(columns="trial_id").groupby("image_id").mean().reset_index()
    write_csv(means, folder / "responses.csv")
    write_stack(images, np.arange(15), GRID, folder)
    return folder


def test_a_silent_neuron_and_a_broken_one_are_recorded(tables, tmp_path, monkeypatch):
    fit_models(CONFIG, tables, tmp_path / "whole", 1)
    fitters = cross_validate._fitters
    fragile_column = read_csv(tables / "responses.csv")["c"].to_numpy(float)

    def breaking(*arguments):
        found = fitters(*arguments)
        fit, size = found["ln"]

        def broken(jobs):
            if (np.abs(jobs.responses - fragile_column).max(axis=1) < 1e-9).any():
                raise np.linalg.LinAlgError("did not converge")
            return fit(jobs)

        return found | {"ln": (broken, size)}

    monkeypatch.setattr(cross_validate, "_fitters", breaking)
    output = tmp_path / "models"
    fit_models(CONFIG, tables, output, 1)
    status = read_csv(output / "status.csv").set_index("neuron_id")
    assert status["fitted"].tolist() == [True, False, False, True]
    assert status.loc["b", "reason"] == "its mean response is the same for all images"
    assert status.loc["c", "reason"] == "the fit of ln broke off"
    scores = read_csv(output / "cross_validation.csv").set_index(["neuron_id", "model"])
    whole = read_csv(tmp_path / "whole" / "cross_validation.csv").set_index(["neuron_id", "model"])
    assert np.isnan(scores.loc[("c", "model"), "cc_abs"])
    for neuron in "ad":  # the others are what they were, up to the size of the batches
        np.testing.assert_allclose(scores.loc[neuron], whole.loc[neuron], atol=1e-3)
        unpack_neuron(output / "neurons.zip", neuron, tmp_path / neuron)
        load_model(tmp_path / neuron / "model.pt", GRID)
        folds = load_ensemble(tmp_path / neuron / "ensemble.pt", GRID)
        assert len(folds) == 3
        # each of them predicts the images of its fold as the cross-validation did, unseen
        found = np.load(output / "search.npz")
        n = "abcd".index(neuron)
        names = [f"prediction_{name}" for name in found["base_models"]]
        unseen = sum(w * found[k][:, n] for w, k in zip(found["weights"][n], names, strict=True))
        shown = load_responses(tables, GRID).images
        held_out = image_folds(len(shown), 3, np.random.default_rng([CONFIG.seed, 2]))
        for fold, test in zip(folds, held_out, strict=True):
            np.testing.assert_allclose(fold.predict(shown[test]), unseen[test], rtol=1e-3)
        assert (tmp_path / neuron / "scores.csv").read_text().startswith("model,cc_abs")
    with pytest.raises(MeiflowError, match="has no neuron c"):
        unpack_neuron(output / "neurons.zip", "c", tmp_path / "c")
    write_csv(
        pd.DataFrame({"neuron_id": list("abcd"), "selected": [True] * 3 + [False], "reason": "x"}),
        tmp_path / "selection.csv",
    )
    write_modelled(tmp_path / "selection.csv", output / "status.csv", False, output / "neurons.csv")
    table = read_csv(output / "neurons.csv").set_index("neuron_id")
    assert table["selected"].tolist() == [True, False, False, False]
    assert table["status"].tolist() == ["modelled", "fit failed", "fit failed", "not selected"]
    require_modelled(output / "neurons.csv", "a")
    assert modelled_neurons(output / "neurons.csv") == ["a"]
    for neuron, message in (
        ("c", "neuron c has no model: the fit of ln broke off"),
        ("d", r"neuron d is not selected \(x\)"),
        ("z", "'z' is not in this session"),
    ):
        with pytest.raises(MeiflowError, match=message):
            require_modelled(output / "neurons.csv", neuron)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("neuron_id,selected,reason\n1,perhaps,x\n", "selected must hold True or False"),
        ("neuron_id,selected,reason\n../1,True,x\n", "leads out of its folder"),
        ("neuron_id\n1\n", "missing column selected"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, text, message):
    """And one that changes is read again."""
    path = tmp_path / "neurons.csv"
    path.write_text("neuron_id,selected,reason\n1,True,x\n2,False,x\n")
    assert modelled_neurons(path) == ["1"]
    path.write_text(text)
    os.utime(path, (1, 1))
    with pytest.raises(MeiflowError, match=message):
        modelled_neurons(path)


def test_nobody_left_is_an_error_for_one_session_alone(tmp_path):
    selection, status = tmp_path / "selection.csv", tmp_path / "status.csv"
    write_csv(pd.DataFrame({"neuron_id": ["7"], "selected": True, "reason": "all"}), selection)
    write_csv(pd.DataFrame({"neuron_id": ["7"], "fitted": False, "reason": "silent"}), status)
    with pytest.raises(MeiflowError, match=r"no neuron is left \(1 of 1: silent\)"):
        write_modelled(selection, status, False, tmp_path / "neurons.csv")
    assert not (tmp_path / "neurons.csv").exists()
    write_modelled(selection, status, True, tmp_path / "neurons.csv")
    assert not read_csv(tmp_path / "neurons.csv")["selected"].any()


def test_the_archive_is_the_same_bytes_and_tells_damage(tmp_path):
    files = {"1/model.pt": lambda: b"one", "12/model.pt": lambda: b"twelve"}
    for name in ("first.zip", "second.zip"):
        write_bundle(files, tmp_path / name)
    whole = (tmp_path / "first.zip").read_bytes()
    assert whole == (tmp_path / "second.zip").read_bytes()
    unpack_neuron(tmp_path / "first.zip", "1", tmp_path / "1")
    assert (tmp_path / "1" / "model.pt").read_bytes() == b"one"
    assert read_checksums(tmp_path / "1").keys() == {"model.pt"}
    at = whole.index(b"twelve")
    damaged = {"cut.zip": whole[:-9], "flipped.zip": whole[:at] + b"T" + whole[at + 1 :]}
    damaged |= {"empty.zip": b"", "page.zip": b"<html>"}
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MeiflowError, match=rf"{name}: not an archive of models, or damaged"):
            unpack_neuron(tmp_path / name, "12", tmp_path / "12")
        assert not (tmp_path / "12").exists()
    with pytest.raises(MeiflowError, match="no such file"):
        unpack_neuron(tmp_path / "none.zip", "12", tmp_path / "12")
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert archive.testzip() is None
