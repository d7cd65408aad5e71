"""Models of real-valued responses: Gaussian noise, predictions of any sign, any unit."""

import numpy as np
import pytest
import torch

import meiflow as mf
from meiflow.config.sections import Network
from meiflow.errors import MeiflowError
from meiflow.images.patterns import gabor
from meiflow.models.archive import ModelArchive, write_archive
from meiflow.models.jobs import Jobs
from meiflow.models.members import build_member
from meiflow.models.network import load_model, save_model
from meiflow.models.network_fitter import NetworkFitter
from meiflow.models.population import SharedModel

SCREEN = mf.Geometry(12, 20, width_deg=100.0, height_deg=60.0)
MEMBERS = ("v1", "v1_window", "ln", "gabor_energy")
FAST = {"wavelengths_deg": [30.0, 45.0], "stride": 3, "ln": {"penalties": [0.01, 0.1]}}
FAST |= {"gabor_energy": {"starts": 1, "steps": 40}}


@pytest.fixture(scope="module")
def recorded():
    """Images, and noisy z scores of a linear and of a rectified neuron: (repeats, images, 2)."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (80, 12, 20))
    drive = ((images - 0.5) * gabor(SCREEN, 10.0, 5.0, 40.0, 30.0, 0.0, 12.0)).sum((1, 2))
    z = drive / drive.std()
    true = np.stack([z - 1, np.maximum(z, 0) - 2], axis=1)
    return images, true, true + rng.normal(size=(6, 80, 2))


def fitted(images, responses, **settings):
    given = {"response": "real", "base_models": MEMBERS, "folds": 4} | FAST | settings
    return mf.fit(images, responses, SCREEN, **given)


@pytest.fixture(scope="module")
def population(recorded):
    return fitted(recorded[0], recorded[2])


def test_negative_responses_are_predicted(recorded, population):
    images, true, _ = recorded
    predicted = population.predict(images).to_numpy()
    assert (predicted.min(axis=0) < -2).all()
    np.testing.assert_allclose(predicted.mean(axis=0), true.mean(axis=0), atol=0.2)
    for column in (0, 1):
        assert np.corrcoef(predicted[:, column], true[:, column])[0, 1] > 0.9
    scores = population.scores.set_index(["model", "neuron_id"])["cc_norm"]
    assert (scores["model"] > 0.8).all()
    assert (scores["model_shuffled"].abs() < 0.5).all()


def test_the_unit_changes_nothing(recorded, population):
    images, _, responses = recorded
    small = fitted(images, 1e-5 * responses)
    for name in ("cc_abs", "cc_norm", "cc_max"):
        np.testing.assert_allclose(small.scores[name], population.scores[name], atol=1e-6)
    found, expected = (pop.predict(images).to_numpy() for pop in (small, population))
    np.testing.assert_allclose(found, 1e-5 * expected, rtol=1e-3)


def test_files_and_stacks_predict_the_same(recorded, population, tmp_path):
    images = torch.as_tensor(recorded[0], dtype=torch.float32)
    expected = population.predict(recorded[0]).to_numpy()
    np.testing.assert_allclose(SharedModel(population.models)(images).detach(), expected, rtol=1e-5)
    save_model(population["u1"], tmp_path / "one.pt")
    again = load_model(tmp_path / "one.pt")
    np.testing.assert_allclose(again.predict(recorded[0]), expected[:, 1], rtol=1e-5)
    assert again.real
    assert again.baseline == pytest.approx(float(population["u1"](torch.full((1, 12, 20), 0.5))))
    path = tmp_path / "models.zip"
    write_archive(SCREEN, population.documents, lambda _: [], path)
    archive = ModelArchive(path, SCREEN)
    parts = [archive.member("u0", s["kind"]) for s in population.documents["u0"]["base_models"]]
    weights = population.documents["u0"]["weights"]
    mixed = sum(w * p.predict(recorded[0]) for w, p in zip(weights, parts, strict=True))
    np.testing.assert_allclose(mixed, expected[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["shared", "pretrained"])
def test_networks_read_real_numbers(kind, recorded):
    """Mean and spread of each neuron are in the readout's place, also for negative means."""
    images, true, _ = recorded
    config = Network(epochs=2, channels=4)
    jobs = Jobs(
        true.T, np.ones((2, 80), bool), np.full(2, 10.0), np.full(2, 5.0), np.zeros((2, 0, 5)), True
    )
    core = None
    if kind == "pretrained":
        start = NetworkFitter(images, np.ones(80), SCREEN, config, 0, "shared")
        core = start(jobs).states[0]["networks"][0]["core"]
    fits = NetworkFitter(images, np.ones(80), SCREEN, config, 0, kind, core)(jobs)
    contrast = torch.as_tensor(images - 0.5, dtype=torch.float32).flatten(1)
    for state, predicted in zip(fits.states, fits.predictions, strict=True):
        with torch.no_grad():
            rebuilt = build_member(state, SCREEN)(contrast).numpy()
        np.testing.assert_allclose(rebuilt, predicted, atol=1e-5)
    assert np.abs(fits.predictions.mean(axis=1) - true.mean(axis=0)).max() < 1
    if kind == "pretrained":  # starts at a ridge regression of the responses
        assert np.corrcoef(fits.predictions[0], true[:, 0])[0, 1] > 0.3


def test_what_is_not_possible_is_refused(recorded):
    images, _, responses = recorded
    with pytest.raises(MeiflowError, match='for dF/F and other real numbers: response="real"'):
        mf.fit(images, responses, SCREEN)
    with pytest.raises(MeiflowError, match='medians are available with response="real" only'):
        mf.fit(images, np.abs(responses), SCREEN, average="median")
    with pytest.raises(MeiflowError, match="u1 has infinite values; expected finite numbers"):
        fitted(images, np.where([False, True], np.inf, responses))
