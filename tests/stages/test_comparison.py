import numpy as np
import pandas as pd
import pytest

from meiflow.comparison.compare import compare_neuron
from meiflow.config.config import parse_config
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.masks import equivalent_diameter

GRID = Geometry(60, 96)
CONTRACT = ["stimulus", "predicted_response", "luminance", "contrast", "symmetry_1", "symmetry_2"]
CONTRACT += ["peak_frequency_cpd", "orientation_deg"]
MEI = {"x": 10.0, "y": -5.0, "wavelength": 14.0, "orientation": 30.0, "phase": 50.0, "sigma": 6.0}


class Linear:
    """A neuron that responds to the MEI's own pattern."""

    field = patterns.gabor(GRID, *MEI.values())

    def predict(self, images):
        return np.maximum(((images - 0.5) * self.field).sum((1, 2)), 0)


class Fold(Linear):
    """One that responds to all else, too, to some degree of its own."""

    def __init__(self, offset):
        self.offset = offset

    def predict(self, images):
        return super().predict(images) + self.offset


FOLDS = [Fold(offset) for offset in (1.0, 2.0, 3.0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    moved = MEI | {"x": MEI["x"] + 4 * GRID.dx, "y": MEI["y"] - 3 * GRID.dy}
    images = {
        "mei": 0.5 + 0.3 * patterns.gabor(GRID, *MEI.values()),
        "best_gabor": 0.5 + 0.3 * patterns.gabor(GRID, *moved.values()),
        "best_natural": np.random.default_rng(1).random(GRID.shape),
        "windowed_natural": np.full(GRID.shape, 0.5),
    }
    home = tmp_path_factory.mktemp("neuron")
    for name, image in images.items():
        np.save(home / f"{name}.npy", image.astype(np.float32))
    return home


def compared(folder, output, **comparison):
    targets = {"mean": 0.5, "contrast": 0.3 * float(Linear.field.std())}
    config = parse_config({"comparison": comparison, "mei": targets})
    stack = np.random.default_rng(0).random((3, *GRID.shape)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meiflow.models.network.load_model", lambda *_: Linear())
        patch.setattr("meiflow.models.network.load_ensemble", lambda *_: FOLDS)
        compare_neuron(
            config, folder / "model.pt", folder / "ensemble.pt", stack, folder, False, output
        )
    return pd.read_csv(output).set_index("stimulus")


@pytest.fixture(scope="module")
def table(folder):
    return compared(folder, folder / "comparison.csv")


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


def test_the_mask_of_the_mei_and_the_spectra_are_kept(folder, table):
    mask = np.load(folder / "mei_mask.npy")
    assert set(np.unique(mask)) == {0.0, 1.0}
    size = equivalent_diameter(mask > 0, GRID)
    assert size == pytest.approx(table.loc["mei", "tight_size_deg"], rel=1e-5)
    spectra = pd.read_csv(folder / "spectra.csv")
    assert spectra.columns.tolist() == ["stimulus", "profile", "value", "power"]
    assert set(spectra["stimulus"]) == set(table.index)
    for profile, truth, within in (("axial", MEI["orientation"], 0), ("radial", 1 / 14, 0.01)):
        mei = spectra[(spectra["stimulus"] == "mei") & (spectra["profile"] == profile)]
        assert mei.loc[mei["power"].idxmax(), "value"] == pytest.approx(truth, abs=within)
    for name in ("spectra.png", "spectra.svg", "mei_mask.png"):
        assert (folder / name).stat().st_size, name


def test_the_mask_changes_what_is_measured_in_it_and_nothing_else(folder, table, tmp_path):
    disc = compared(folder, tmp_path / "comparison.csv", mask="disc", disc_diameter_deg=40.0)
    assert disc.loc["mei", "size_deg"] == pytest.approx(40, abs=1)
    inside = ["luminance", "contrast", "x_deg", "y_deg", "size_deg"]
    assert (disc.loc["mei", inside] != table.loc["mei", inside]).all()
    pd.testing.assert_frame_equal(disc.drop(columns=inside), table.drop(columns=inside))
    # what does not hang on the mask is the same file, too
    assert (tmp_path / "spectra.csv").read_bytes() == (folder / "spectra.csv").read_bytes()
    assert (tmp_path / "mei_mask.npy").read_bytes() == (folder / "mei_mask.npy").read_bytes()
