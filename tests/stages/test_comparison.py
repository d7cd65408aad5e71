"""The comparison stage: metrics of a neuron's stimuli, and the scores of its models."""

import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.masks import equivalent_diameter
from meiflow.io.files import read_csv, write_array, write_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.comparison import compare_neuron
from tests.known import linear, write_models, write_stack

GRID = Geometry(60, 96)
CONTRACT = ["stimulus", "predicted_response", "luminance", "contrast", "symmetry_1", "symmetry_2"]
CONTRACT += ["peak_frequency_cpd", "orientation_deg"]
MEI = {"x": 10.0, "y": -5.0, "wavelength": 14.0, "orientation": 30.0, "phase": 50.0, "sigma": 6.0}


class Linear:
    """A neuron that responds to the pattern of the MEI."""

    field = patterns.gabor(GRID, *MEI.values())
    real, baseline = False, 0.0

    def predict(self, images):
        return np.maximum(((images - 0.5) * self.field).sum((1, 2)), 0)


class Fold(Linear):
    """A neuron that also responds to everything else by its offset."""

    def __init__(self, offset):
        self.offset = offset

    def predict(self, images):
        return super().predict(images) + self.offset


class Archive:
    """Models whose responses are known exactly."""

    def model(self, neuron, custom=None):
        return Linear()

    def fold_models(self, neuron):
        return [Fold(offset) for offset in (1.0, 2.0, 3.0)]


SCORES = pd.DataFrame(
    {
        "neuron_id": ["8", "7", "7", "7"],
        "model": ["model", "model", "ln", "model_shuffled"],
        "cc_abs": [0.9, 0.7, 0.6, 0.1],
        "folds": 5,
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of the earlier stages for one neuron."""
    moved = MEI | {"x": MEI["x"] + 4 * GRID.dx, "y": MEI["y"] - 3 * GRID.dy}
    images = {
        "mei": 0.5 + 0.3 * patterns.gabor(GRID, *MEI.values()),
        "best_gabor": 0.5 + 0.3 * patterns.gabor(GRID, *moved.values()),
        "best_natural": np.random.default_rng(1).random(GRID.shape),
        "windowed_natural": np.full(GRID.shape, 0.5),
    }
    results = Layout(tmp_path_factory.mktemp("results"))
    for name, image in images.items():
        write_array(image.astype(np.float32), getattr(results.neuron("7"), name))
    write_models(results, GRID, {"7": linear(Linear.field)})
    write_stack(results, np.random.default_rng(0).random((4, *GRID.shape)), GRID)
    write_csv(SCORES, results.cross_validation)
    return results


def compared(results, **comparison):
    targets = {"mean": 0.5, "contrast": 0.3 * float(Linear.field.std())}
    config = parse_config({"comparison": comparison, "mei": targets})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meiflow.stages.comparison.open_models", lambda *_: Archive())
        compare_neuron(config, results, SessionHas(), "7")
    return pd.read_csv(results.neuron("7").comparison).set_index("stimulus")


@pytest.fixture(scope="module")
def table(made):
    return compared(made)


@pytest.fixture
def results(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "results")
    return Layout(tmp_path / "results")


def test_every_stimulus_is_measured(table):
    assert table.reset_index().columns[: len(CONTRACT)].tolist() == CONTRACT
    assert table.index.tolist() == ["mei", "best_gabor", "best_natural", "windowed_natural"]
    assert table["matched"].tolist() == [True, True, False, False]
    mei, gabor = table.loc["mei"], table.loc["best_gabor"]
    assert mei["gabor_r2"] > 0.9999
    fitted = [f"gabor_{n}_deg" for n in MEI]
    assert mei[fitted].tolist() == pytest.approx(list(MEI.values()), abs=0.01)
    assert mei["shifted_similarity_to_mei"] == pytest.approx(1)
    assert gabor["similarity_to_mei"] < 0.8
    assert gabor["shifted_similarity_to_mei"] == pytest.approx(1, abs=1e-4)
    shift = gabor[["shift_x_deg", "shift_y_deg"]].tolist()
    assert shift == pytest.approx([-4 * GRID.dx, 3 * GRID.dy])
    assert mei["tight_fraction"] >= 0.9
    assert (mei["mei_ratio"], mei["mei_ratio_low"], mei["mei_ratio_high"]) == (1, 1, 1)
    responses = table["predicted_response"]
    assert gabor["mei_ratio"] == pytest.approx(responses["mei"] / responses["best_gabor"])
    assert 1 < gabor["mei_ratio_low"] < gabor["mei_ratio"] < gabor["mei_ratio_high"]
    uniform = table.loc["windowed_natural"]
    assert np.isnan(uniform["mei_ratio"])  # no response
    assert uniform[["gabor_r2", "shifted_similarity_to_mei", "bandwidth_octaves"]].isna().all()
    assert uniform["luminance"] == pytest.approx(0.5)


def test_the_mask_of_the_mei_and_the_spectra_are_kept(made, table):
    files = made.neuron("7")
    mask = np.load(files.mei_mask)
    assert set(np.unique(mask)) == {0.0, 1.0}
    size = equivalent_diameter(mask > 0, GRID)
    assert size == pytest.approx(table.loc["mei", "tight_size_deg"], rel=1e-5)
    spectra = pd.read_csv(files.spectra)
    assert spectra.columns.tolist() == ["stimulus", "profile", "value", "power"]
    assert set(spectra["stimulus"]) == set(table.index)
    for profile, truth, within in (("axial", MEI["orientation"], 0), ("radial", 1 / 14, 0.01)):
        mei = spectra[(spectra["stimulus"] == "mei") & (spectra["profile"] == profile)]
        assert mei.loc[mei["power"].idxmax(), "value"] == pytest.approx(truth, abs=within)
    assert files.mei_mask_picture.stat().st_size


def test_the_mask_changes_what_is_measured_in_it_and_nothing_else(made, table, results):
    disc = compared(results, mask="disc", disc_diameter_deg=40.0)
    assert disc.loc["mei", "size_deg"] == pytest.approx(40, abs=1)
    inside = ["luminance", "contrast", "x_deg", "y_deg", "size_deg"]
    assert (disc.loc["mei", inside] != table.loc["mei", inside]).all()
    pd.testing.assert_frame_equal(disc.drop(columns=inside), table.drop(columns=inside))
    # files that do not depend on the mask are also identical
    for one, other in zip(
        results.neuron("7").named("spectra", "mei_mask", "scores"),
        made.neuron("7").named("spectra", "mei_mask", "scores"),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes()


def test_the_scores_are_the_rows_of_the_neuron(made, table):
    found = read_csv(made.neuron("7").scores)
    assert found["model"].tolist() == ["model", "ln", "model_shuffled"]
    assert found["cc_abs"].tolist() == [0.7, 0.6, 0.1]
    assert "neuron_id" not in found


OWN = """
from torch import nn


class Bright(nn.Module):
    def forward(self, images):
        return 10 * images.flatten(1).mean(1)


def build(neuron, geometry):
    assert neuron == "7"
    return Bright().eval()
"""


def test_a_custom_module_takes_the_first_row_and_ours_becomes_the_ensemble(
    results, tmp_path, monkeypatch
):
    """Its score has no folds and its ratios no interval: its training images are unknown."""
    (tmp_path / "brightness.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    levels = np.array([0.2, 0.4, 0.6, 0.8])
    write_stack(results, levels[:, None, None] * np.ones(GRID.shape), GRID)
    shown = np.repeat(np.arange(4), 3)
    counts = 10 * shown + np.tile([-1, 0, 1], 4) + 10
    trials = {"trial_id": np.arange(12), "neuron_id": "7", "spike_count": counts}
    write_csv(pd.DataFrame(trials | {"image_id": shown}), results.trials)
    means = pd.DataFrame({"image_id": np.arange(4), "7": 10.0 * np.arange(4) + 10})
    write_csv(means, results.responses)
    config = parse_config({"model": {"custom": "brightness:build"}})
    compare_neuron(config, results, SessionHas(), "7")
    scores = read_csv(results.neuron("7").scores)
    assert scores["model"].tolist() == ["model", "mixture", "ln", "model_shuffled"]
    assert scores["folds"].tolist() == [0, 5, 5, 5]
    assert scores["cc_abs"].tolist() == pytest.approx([1, 0.7, 0.6, 0.1])
    table = pd.read_csv(results.neuron("7").comparison)
    responses = table["predicted_response"]
    means = [np.load(results.neuron("7").root / f"{s}.npy").mean() for s in table["stimulus"]]
    np.testing.assert_allclose(responses, 10 * np.array(means), rtol=1e-5)
    assert table["mei_ratio"].notna().all()
    assert table[["mei_ratio_low", "mei_ratio_high"]].isna().all(axis=None)
