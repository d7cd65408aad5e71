"""Cores of the user's own, from the function that returns one to a model that reads it."""

import re
import sys
import textwrap

import numpy as np
import pytest
import torch

import meiflow as mf
from meiflow.config.config import check_inputs, parse_config
from meiflow.config.model import CoreInput
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import write_csv
from meiflow.models.archive import ModelArchive, write_archive
from meiflow.models.core_maps import CoreMaps, core_stamp, own_core
from meiflow.models.cross_validate import fit_all
from meiflow.models.own_core import OwnCore
from meiflow.results.layout import Layout
from tests.known import write_fitted, write_stack

SCREEN = Geometry(20, 32, 64.0, 40.0)
CODE = """
    import torch
    from torch import nn

    class Quadrants(nn.Module):
        '''Squared contrast, averaged over 4 x 4 pixels, and luminance at every pixel.'''
        def forward(self, x):
            return [nn.functional.avg_pool2d(x**2, 4), torch.cat([x, 2 * x], 1)]

    class Other(nn.Module):
        def __init__(self, respond):
            super().__init__()
            self.respond = respond
        def forward(self, x):
            return self.respond(x)

    def build():
        return Quadrants().eval()

    def weighted():
        torch.manual_seed(WEIGHTS)
        return nn.Conv2d(1, 3, 5, padding=2).eval()

    def training():
        return nn.Conv2d(1, 3, 5)

    def a_number():
        return 3

    def flat():
        return Other(lambda x: x.flatten(1)).eval()

    def noisy():
        return Other(lambda x: x + torch.rand_like(x)).eval()

    def silent():
        return Other(lambda x: torch.relu(x - 100)).eval()

    def counting():
        calls = []
        return Other(lambda x: x + len(calls) + bool(calls.append(0))).eval()

    def cut_off():
        return Other(lambda x: x.detach()).eval()

    def colour():
        return nn.Conv2d(3, 4, 5).eval()

    def exported():
        batch = {0: torch.export.Dim("batch", min=1, max=100)}
        image = torch.zeros(2, 1, 20, 32)
        return torch.export.export(weighted(), (image,), dynamic_shapes=(batch,))

    WEIGHTS = 0
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "mycores.py").write_text(textwrap.dedent(CODE))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("mycores", None)


def test_maps_of_any_size_are_read_at_the_positions(code):
    """Maps of a quarter of the pixels agree with what the image shows there."""
    seen = CoreInput(deg_per_px=2.0, mean=0.5, sd=1.0)
    maps = CoreMaps(OwnCore("mycores:build", (20, 32)), SCREEN, 8.0, seen)
    image = torch.as_tensor(SCREEN.x / 64, dtype=torch.float32).expand(20, 32)
    with torch.no_grad():
        squared, same, twice = maps(image.reshape(1, -1))[0].T.numpy()
    np.testing.assert_allclose(same, maps.x / 64, atol=1e-6)
    np.testing.assert_allclose(twice, 2 * same, atol=1e-6)
    inner = np.abs(maps.x) < 24
    np.testing.assert_allclose(squared[inner], (maps.x[inner] / 64) ** 2, atol=0.01)
    assert len(maps.prior) == 3


def test_an_exported_program_has_the_maps_of_the_module(code):
    image = torch.rand(3, 1, 20, 32)
    exported, plain = (OwnCore(f"mycores:{name}", (20, 32)) for name in ("exported", "weighted"))
    torch.testing.assert_close(exported(image, 0.0), plain(image, 0.0))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "AttributeError"),
        ("training", "in training mode"),
        ("a_number", "is a int, not a torch.nn.Module"),
        ("flat", r"returns \[\(2, 640\)\]; it must map"),
        ("noisy", "other values for an image alone"),
        ("silent", "the same values for all images; images are luminance in 0..1"),
        ("counting", "other values for an image alone than in a batch, or at every call"),
        ("cut_off", "not differentiable"),
        ("colour", r"fails on images of shape \(2, 1, 20, 32\)"),
    ],
)
def test_what_cannot_be_a_core_is_refused(code, name, reason):
    with pytest.raises(MeiflowError, match=f"^model.network.core mycores:{name}: .*{reason}"):
        OwnCore(f"mycores:{name}", (20, 32))


def _config(name="weighted"):
    network = {"core": f"mycores:{name}", "core_input": {"deg_per_px": 2.0}}
    cnn = {"first_layer": "core", "networks": 1, "epochs": 2, "channels": 2}
    model = {"base_models": ["core_window", "cnn"], "network": network, "cnn": cnn}
    return parse_config({"model": model | {"folds": 2}})


@pytest.mark.parametrize("name", ["weighted", "exported"])
def test_models_on_an_own_core_are_rebuilt_where_the_configuration_names_it(
    code, rng, tmp_path, name
):
    images = rng.uniform(size=(40, *SCREEN.shape)).astype(np.float32)
    means = 3 + 10 * images[:, 4:8, 4:8].mean((1, 2))[:, None]
    config = _config(name)
    fit = fit_all(images, means, np.ones(40), SCREEN, config.model, seed=0, threads=1)
    states = [s for s in fit.states[0] if s["kind"] in ("core_window", "cnn")]
    assert len(states) == 2
    document = {"x_deg": 0.0, "y_deg": 0.0, "base_models": states, "weights": [0.5, 0.5]}
    write_archive(SCREEN, {"7": document}, lambda _: [document], tmp_path / "models.zip")
    own_core.cache_clear()
    named = ModelArchive(tmp_path / "models.zip", SCREEN, config.model.network.own_core)
    assert np.isfinite(named.model("7").predict(images)).all()
    with pytest.raises(MeiflowError, match=f"made with the code of mycores:{name}, but"):
        ModelArchive(tmp_path / "models.zip", SCREEN).model("7")
    before = core_stamp(config.model.network, SCREEN)
    sys.modules["mycores"].WEIGHTS = 1
    own_core.cache_clear()
    assert not np.array_equal(before, core_stamp(config.model.network, SCREEN))
    with pytest.raises(MeiflowError, match="returns another network than when the models were"):
        named.model("7")


def test_a_population_and_results_are_opened_again_where_the_core_is_named(code, rng, tmp_path):
    images = rng.uniform(size=(20, *SCREEN.shape)).astype(np.float32)
    counts = rng.poisson(3 + 10 * images[:, 4:8, 4:8].mean((1, 2)), (2, 20))[..., None]
    core = "mycores:weighted"
    settings = {"core": core, "core_input": {"deg_per_px": 2.0}}
    pop = mf.fit(images, counts, SCREEN, base_models=["core_window"], network=settings, folds=2)
    pop.save(tmp_path / "population.pt")
    again = mf.FittedPopulation.load(tmp_path / "population.pt", core)
    np.testing.assert_array_equal(again.predict(images), pop.predict(images))
    with pytest.raises(MeiflowError, match=f"made with the code of {core}, but"):
        mf.FittedPopulation.load(tmp_path / "population.pt")

    results = Layout(tmp_path)
    write_archive(SCREEN, pop.documents, lambda name: [pop.documents[name]], results.models)
    write_fitted(results, ["u0"])
    write_stack(results, images, SCREEN)
    scores = pop.score().drop(columns="neuron_id")
    write_csv(scores, results.neuron("u0").scores)
    model = mf.open_results(tmp_path, core)["u0"].model
    np.testing.assert_allclose(model.predict(images), pop["u0"].predict(images), rtol=1e-6)
    with pytest.raises(MeiflowError, match=f"made with the code of {core}, but"):
        _ = mf.open_results(tmp_path)["u0"].model


def test_a_function_is_checked_without_being_called(code):
    check_inputs(_config("build"))
    wrong = {"base_models": ["core_window"], "network": {"core": "nowhere_at_all:build"}}
    with pytest.raises(MeiflowError, match=r"^model\.network\.core: module 'nowhere_at_all' is"):
        check_inputs(parse_config({"model": wrong}))
    wrong["base_models"] = ["pretrained"]
    with pytest.raises(MeiflowError, match=re.escape("pretrained needs a core made by meiflow")):
        parse_config({"model": wrong})
