"""The Gabor stage: files of all neurons from one search, and a neuron's share of them."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from meiflow.stimuli.gabors import make_gabors, read_gabor

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry

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
IMAGES = np.full((2, 30, 48), 0.45, np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """models.pt of two neurons, of which one has an id that looks like a number."""
    path = tmp_path_factory.mktemp("models") / "models.pt"
    shapes = patterns.gabor(GRID, np.array([-20.0, 15.0]), 8.0, 18.0, 45.0, 0.0, 8.0)
    neurons = {
        name: {
            "x_deg": 0.0,
            "y_deg": 0.0,
            "weights": [1.0],
            "members": [
                {
                    "kind": "ln",
                    "filter": torch.as_tensor(shape, dtype=torch.float32),
                    "offset": 0.0,
                    "baseline": 0.0,
                    "scale": 1.0,
                }
            ],
        }
        for name, shape in zip(("007", "right"), shapes, strict=True)
    }
    torch.save({"geometry": asdict(GRID), "neurons": neurons}, path)
    return path


def test_every_neuron_finds_its_own_row_and_image(models, tmp_path):
    torch.set_num_threads(1)
    make_gabors(CONFIG, models, ["right", "007"], IMAGES, tmp_path, threads=2)
    assert (tmp_path / "best_gabors.csv").read_text().splitlines()[0] == COLUMNS
    assert (tmp_path / "best_gabors.png").stat().st_size
    for neuron, x in (("007", -20.0), ("right", 15.0)):
        image, row = read_gabor(tmp_path, neuron)
        assert row["x_deg"].item() == pytest.approx(x, abs=10)
        assert "neuron_id" not in row
        assert row["searched"].item() == CONFIG.gabor.size(GRID.width_deg, GRID.height_deg)
        assert row["predicted_response"].item() >= row["grid_response"].item()
        assert image.mean() == pytest.approx(0.45, abs=1e-4)
        assert image.std() == pytest.approx(0.06, abs=1e-4)
        bright = np.unravel_index(np.abs(image - 0.45).argmax(), image.shape)[1]
        assert GRID.x[bright] == pytest.approx(x, abs=12)


def test_what_cannot_be_searched_is_told(models, tmp_path):
    with pytest.raises(MeiflowError, match="no neuron was selected"):
        make_gabors(CONFIG, models, [], IMAGES, tmp_path, threads=1)
    with pytest.raises(MeiflowError, match="has no neuron 8 for images of"):
        make_gabors(CONFIG, models, ["007", "8"], IMAGES, tmp_path, threads=1)
    assert not list(tmp_path.iterdir())


def test_a_neuron_that_was_not_searched_is_told(tmp_path):
    pd.DataFrame({"neuron_id": ["a"], "predicted_response": [1.0]}).to_csv(
        tmp_path / "best_gabors.csv", index=False
    )
    np.save(tmp_path / "best_gabors.npy", np.zeros((1, 30, 48), np.float32))
    with pytest.raises(MeiflowError, match="has no Gabor of neuron b; delete it"):
        read_gabor(tmp_path, "b")
