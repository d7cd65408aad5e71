"""Movies for a custom model, as made by the command."""

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import check_inputs, parse_config
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.stages.movie import make_movies

OWN = """
import torch
from torch import nn


class Flicker(nn.Module):
    '''Neuron 0: light in the left half of the last frame. Neuron 1: late light, early dark.'''

    def forward(self, movies):
        assert not self.training
        left = movies[:, 0, :, :, :12].mean((-2, -1))
        change = torch.zeros_like(left)
        change[:, 1:] = left[:, 1:] - left[:, :-1]
        return torch.nn.functional.softplus(torch.stack([left, change], -1) * 10)


def build(geometry):
    assert geometry.shape == (16, 24)
    return Flicker()


class Noisy(Flicker):
    def forward(self, movies):
        return super().forward(movies) + torch.rand(1)


class Silent(Flicker):
    def forward(self, movies):
        return super().forward(torch.relu(movies - 100)) - super().forward(0 * movies)


def noisy(geometry):
    return Noisy()


def silent(geometry):
    return Silent()


def wrong(geometry):
    return 3


def two_dimensional(geometry):
    return nn.Conv2d(1, 1, 3)
"""


def config(**movie):
    defaults = {"model": "flickering:build", "frames": 6, "steps": 40, "restarts": 2}
    return parse_config({"image": {"height": 16, "width": 24}, "movie": defaults | movie})


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "flickering.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "flickering", raising=False)
    return tmp_path


def test_movies_of_two_neurons(here):
    check_inputs(config())
    results = Layout(here / "out")
    make_movies(config(neurons=[0, 1], response="last", contrast=0.2), results)
    files = results.procedure("movies")
    movies = np.load(files.images)
    assert movies.shape == (2, 1, 6, 16, 24)
    np.testing.assert_allclose(movies.mean((1, 2, 3, 4)), 0.5, atol=1e-4)
    np.testing.assert_allclose(movies.std((1, 2, 3, 4)), 0.2, atol=1e-4)
    left = movies[:, 0, :, :, :12].mean((-2, -1))
    assert left[0].argmax() == 5
    assert left[1, 5] - left[1, 4] > 0.5
    assert np.abs(left[1, :4] - 0.5).max() < 0.1
    table = pd.read_csv(files.table)
    assert table["neuron_id"].tolist() == [0, 1]
    assert (table["predicted_response"] >= table["lowest_restart"]).all()
    assert files.picture.stat().st_size > 1000


def test_the_mean_over_time_is_another_objective(here):
    results = Layout(here / "out")
    make_movies(config(temporal_sigma=1.0), results)
    left = np.load(results.procedure("movies").images)[0, 0, :, :, :12].mean((-2, -1))
    assert (left > 0.5).all()


@pytest.mark.parametrize(
    ("movie", "message"),
    [
        ({"model": "flickering:wrong"}, "is a int, not a torch.nn.Module"),
        ({"model": "flickering:absent"}, "AttributeError"),
        ({"model": "flickering:two_dimensional"}, "fails on movies of shape"),
        ({"model": "flickering:noisy"}, "other responses when the same images are shown again"),
        ({"model": "flickering:silent"}, "response of neuron 0 is 0 at every step from all 2 sta"),
        ({"neurons": [7]}, "neuron 7 does not exist; .* 0 to 1"),
        ({"model": None}, "movie.model: null"),
    ],
)
def test_wrong_models_are_named(here, movie, message):
    with pytest.raises(MeiflowError, match=message):
        make_movies(config(**movie), Layout(here / "out"))
    assert not (here / "out").exists()


def test_an_unknown_module_stops_before_any_work(here):
    with pytest.raises(MeiflowError, match=r"movie\.model: module 'nowhere' is neither"):
        check_inputs(config(model="nowhere:build"))
