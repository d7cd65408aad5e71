"""The stage that writes one neuron's model to separate files."""

import numpy as np
import pytest
import torch

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.archive import ModelArchive
from meiflow.models.network import load_model
from meiflow.results.layout import Layout
from meiflow.stages.extract_neuron import extract_neuron
from tests.known import linear, write_models

GRID = Geometry(8, 12)
CONFIG = parse_config({"image": {"height": 8, "width": 12}})


@pytest.fixture
def results(tmp_path, rng):
    results = Layout(tmp_path)
    states = {neuron: linear(rng.normal(size=GRID.shape)) for neuron in ("6", "7")}
    folds = {neuron: [linear(rng.normal(size=GRID.shape)) for _ in range(2)] for neuron in states}
    write_models(results, GRID, states, folds)
    return results


def test_the_files_contain_what_the_archive_contains(results, rng):
    extract_neuron(CONFIG, results, "7")
    files, archive = results.neuron("7"), ModelArchive(results.models, GRID)
    images = rng.random((4, *GRID.shape))
    own = load_model(files.model, GRID).predict(images)
    np.testing.assert_array_equal(own, archive.model("7").predict(images))
    assert not np.allclose(own, archive.model("6").predict(images))
    # as read by a user without meiflow
    document = torch.load(files.fold_models, weights_only=True)
    assert len(document["models"]) == len(archive.fold_models("7")) == 2
    assert not results.neuron("6").root.exists()


def test_a_neuron_that_has_no_model_is_explained(results):
    with pytest.raises(MeiflowError, match=r"left_out is not selected \(silent\)"):
        extract_neuron(CONFIG, results, "left_out")
    with pytest.raises(MeiflowError, match="'5' is not in this session"):
        extract_neuron(CONFIG, results, "5")
    assert not (results.root / "neurons").exists()
