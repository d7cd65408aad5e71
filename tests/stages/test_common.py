"""Functions shared by stages: the neurons, and the common mean and contrast."""

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.results.layout import Layout
from meiflow.stages.common import stimulus_targets, wanted_neurons
from tests.known import write_fitted, write_stack

GRID = Geometry(8, 12)


@pytest.fixture
def results(tmp_path):
    return Layout(tmp_path)


def targets(results, **mei):
    return stimulus_targets(
        parse_config({"image": {"height": 8, "width": 12}, "mei": mei}), results
    )


def test_targets_are_those_of_the_images_or_of_the_configuration(results, rng):
    images = np.clip(rng.normal(0.4, 0.1, (5, 8, 12)), 0, 1).astype(np.float32)
    write_stack(results, images, GRID)
    results.images.unlink()  # no image is needed
    mean, contrast = float(images.mean()), float(images.std((1, 2)).mean())
    assert targets(results, mean="images", contrast="images") == (mean, contrast)
    assert targets(results, mean=0.5, contrast=0.06) == (0.5, 0.06)
    assert targets(results, contrast=0.06) == (mean, 0.06)
    with pytest.raises(MeiflowError, match=r"mei.contrast: 0.49 cannot be reached"):
        targets(results, contrast=0.49)


def test_images_of_another_geometry_are_refused(results, rng):
    write_stack(results, rng.random((5, 10, 12)), Geometry(10, 12))
    with pytest.raises(MeiflowError, match=r"image.height: the images in .* were made with 10"):
        targets(results)


def test_the_fitted_neurons_or_those_named(results):
    write_fitted(results, ["7", "8"])
    assert wanted_neurons(results) == ["7", "8"]
    assert wanted_neurons(results, ["8"]) == ["8"]
    with pytest.raises(MeiflowError, match=r"left_out is not selected \(silent\)"):
        wanted_neurons(results, ["8", "left_out"])
    with pytest.raises(MeiflowError, match="'9' is not in this session"):
        wanted_neurons(results, ["9"])
    write_fitted(results, [])
    with pytest.raises(MeiflowError, match="no neuron was selected, so there is nothing to do"):
        wanted_neurons(results)
