"""The Gabor stage: files of all neurons from one search, and the part of each neuron."""

import numpy as np
import pytest
import torch

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.results.layout import Layout
from meiflow.results.stimuli import read_gabor
from meiflow.stages.gabor_search import search_gabors
from tests.known import SILENT_MODULE, linear, write_fitted, write_models, write_stack

GRID = Geometry(30, 48)
CONFIG = parse_config(
    {
        "image": {"height": 30, "width": 48},
        "mei": {"mean": 0.45, "contrast": 0.06},
        "gabor": {
            "wavelengths_deg": [18.0],
            "orientations": 4,
            "aspects": [1.2],
            "refine_steps": 10,
            "refine_top": 2,
        },
    }
)
COLUMNS = (
    "neuron_id,x_deg,y_deg,wavelength_deg,orientation_deg,phase_deg,sigma_deg,aspect,"
    "predicted_response,searched,grid_response"
)


@pytest.fixture
def results(tmp_path):
    """Two neurons, one of which has an id that looks like a number."""
    results = Layout(tmp_path)
    shapes = patterns.gabor(GRID, np.array([-20.0, 15.0]), 8.0, 18.0, 45.0, 0.0, 8.0)
    states = {name: linear(shape) for name, shape in zip(("007", "right"), shapes, strict=True)}
    write_models(results, GRID, states)
    write_stack(results, np.full((2, 30, 48), 0.45), GRID)
    return results


def test_every_neuron_finds_its_own_row_and_image(results):
    torch.set_num_threads(1)
    write_fitted(results, ["right", "007"])
    search_gabors(CONFIG, results, threads=2)
    files = results.procedure("best_gabors")
    header, *rows = files.table.read_text().splitlines()
    assert header == COLUMNS
    assert [row.split(",")[0] for row in rows] == ["right", "007"]
    assert files.picture.stat().st_size
    for neuron, x in (("007", -20.0), ("right", 15.0)):
        image, row = read_gabor(results, neuron)
        assert row["x_deg"].item() == pytest.approx(x, abs=10)
        assert "neuron_id" not in row
        # half of the grid has the largest sigma; then both sigmas in four phases of two candidates
        size = CONFIG.gabor.size(GRID.width_deg, GRID.height_deg)
        assert row["searched"].item() == size / 2 + 16
        assert row["predicted_response"].item() >= row["grid_response"].item()
        assert image.mean() == pytest.approx(0.45, abs=1e-4)
        assert image.std() == pytest.approx(0.06, abs=1e-4)
        bright = np.unravel_index(np.abs(image - 0.45).argmax(), image.shape)[1]
        assert GRID.x[bright] == pytest.approx(x, abs=12)


def test_custom_modules_must_respond_to_the_images_of_the_session(results, tmp_path, monkeypatch):
    """Before anything is searched; the module is named with the neuron and what to do."""
    write_fitted(results, ["007"])
    images = np.random.default_rng(0).uniform(size=(5, 30, 48)).astype(np.float32)
    write_stack(results, images, GRID)
    (tmp_path / "silent_models.py").write_text(SILENT_MODULE)
    monkeypatch.chdir(tmp_path)
    config = CONFIG.model_copy(
        update={"model": CONFIG.model.model_copy(update={"custom": "silent_models:build"})}
    )
    message = r"model.custom silent_models:build \(neuron 007\): the response is 0 for all 5 images"
    with pytest.raises(MeiflowError, match=message):
        search_gabors(config, results, threads=1)
    assert not any(path.exists() for path in results.procedure("best_gabors"))


def test_impossible_searches_are_explained(results):
    write_fitted(results, [])
    with pytest.raises(MeiflowError, match="no neuron was selected"):
        search_gabors(CONFIG, results, threads=1)
    write_fitted(results, ["007", "8"])
    with pytest.raises(MeiflowError, match=r"models\.zip: no model for neuron 8"):
        search_gabors(CONFIG, results, threads=1)
    assert not any(path.exists() for path in results.procedure("best_gabors"))
