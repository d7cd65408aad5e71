"""The recorded Gabors and gratings, drawn; and the best recorded Gabor."""

import numpy as np
import pandas as pd
import pytest
import torch

from meiflow.config.config import parse_config
from meiflow.config.sections import Shown
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_array, write_csv
from meiflow.models.network import NeuronModel, save_model
from meiflow.session.presented import gabor_images, gabor_phases, grating_images
from meiflow.session.schedule import gabor_conditions
from meiflow.stages.stimuli import make_recorded_gabor
from meiflow.tables.conditions import Conditions

GRID = Geometry(60, 96)


def test_gabors_have_their_contrast_place_and_size_in_degrees():
    shown = Shown(gabor_contrast=0.6, gabor_diameter_deg=24.0)
    where = pd.DataFrame({"x_position": [20.0], "y_position": [-10.0], "orientation": [45.0]})
    image = gabor_images(GRID, where, shown, 0.0)[0]
    assert image.max() == pytest.approx(0.8, abs=0.01)
    assert image.min() == pytest.approx(0.2, abs=0.01)
    inside = np.abs(np.hypot(GRID.x[None] - 20, GRID.y[:, None] + 10)) < 12
    assert np.abs(image[~inside] - 0.5).max() < 0.31  # the edge is half a pixel of patch at most
    far = np.hypot(GRID.x[None] - 20, GRID.y[:, None] + 10) > 13.5
    assert np.ptp(image[far]) == 0
    assert (image[inside] != 0.5).mean() > 0.95


def test_a_drift_goes_through_a_whole_cycle():
    phases = gabor_phases(Shown())
    where = gabor_conditions().iloc[[40]]
    frames = [gabor_images(GRID, where, Shown(), phase)[0] for phase in phases]
    np.testing.assert_allclose(np.mean(frames, axis=0), 0.5, atol=1e-6)
    assert gabor_phases(Shown(gabor_drifts=False)).tolist() == [0.0]


def test_gratings_are_averaged_over_pixels():
    table = pd.DataFrame(
        {"orientation": [0.0, 0.0], "spatial_frequency": [0.02, 0.32], "phase": [0.25, 0.0]}
    )
    slow, fast = grating_images(GRID, table, Shown())
    assert np.ptp(slow, axis=0).max() < 1e-6  # vertical
    reach = 0.4 * np.sinc(0.02 * GRID.dx)
    assert np.abs(slow - 0.5).max() == pytest.approx(reach, rel=0.02)
    # a phase of a quarter is the cosine moved by a quarter of a cycle
    assert slow[0, 47] - 0.5 == pytest.approx(
        -reach * np.sin(2 * np.pi * 0.02 * GRID.x[47]), abs=1e-3
    )
    assert np.abs(fast - 0.5).max() < 0.4 * abs(np.sinc(0.32 * GRID.dx)) + 0.05


@pytest.fixture
def neuron(tmp_path):
    """A neuron of known filter with Gabor trials of known counts."""
    drawn = patterns.gabor(GRID, 10.0, 0.0, 12.5, 45.0, 60.0, 6.0)
    state = {
        "kind": "ln",
        "filter": torch.as_tensor(drawn, dtype=torch.float32),
        "offset": 0.0,
        "baseline": -4.0,
        "scale": 1.0,
    }
    save_model(NeuronModel(GRID, 10.0, 0.0, [state], [1.0]), tmp_path / "model.pt")
    conditions = gabor_conditions()
    target = conditions.query("x_position == 10 and y_position == 0 and orientation == 45").index[0]
    second = conditions.query("x_position == 10 and y_position == 0 and orientation == 0").index[0]
    order = np.repeat(np.arange(len(conditions)), 4)
    counts = np.ones(len(order), int)
    counts[order == target] = [4, 6, 4, 6]
    counts[order == second] = [4, 4, 5, 5]
    recorded = Conditions.of(conditions.iloc[order].reset_index(drop=True), counts[:, None], ["n"])
    write_csv(recorded.trial_table(), tmp_path / "tables" / "gabor_trials.csv")
    return tmp_path, target, second


def made(folder, **gabor):
    config = parse_config({"gabor": gabor})
    images = np.random.default_rng(0).random((4, *GRID.shape)).astype(np.float32)
    make_recorded_gabor(config, folder / "model.pt", images, folder / "tables", "n", folder)
    return pd.read_csv(folder / "gabor.csv"), read_array(folder / "gabor.npy")


def test_best_recorded_gabor_comes_with_its_error(neuron):
    folder, target, _ = neuron
    table, image = made(folder)
    row = table.iloc[0]
    assert len(table) == 1
    assert row["condition_id"] == target
    assert (row["x_deg"], row["y_deg"], row["orientation_deg"]) == (10, 0, 45)
    assert row["recorded_count"] == 5
    assert row["recorded_sem"] == pytest.approx(np.std([4, 6, 4, 6], ddof=1) / 2)
    assert row["rivals"] == 1  # 4.5 +- 0.3 against 5 +- 0.6
    assert row["repeats"] == 4
    # of all phases of the drift, that which the neuron likes best
    assert row["phase_deg"] in (45.0, 90.0)
    assert row["predicted_response"] > row["predicted_phase_mean"]
    assert image.mean() == pytest.approx(0.5, abs=0.02)


def test_best_conditions_can_be_merged(neuron):
    folder, target, second = neuron
    alone = made(folder)[1]
    table, image = made(folder, merge_top=2)
    assert table["condition_id"].tolist() == [target, second]
    assert table["predicted_response"].nunique() == 1
    assert np.corrcoef(alone.ravel(), image.ravel())[0, 1] < 0.95
    assert image.std() == pytest.approx(alone.std(), abs=1e-3)


def test_a_neuron_that_no_gabor_drives_has_nothing_but_rivals(neuron):
    folder, _, _ = neuron
    path = folder / "tables" / "gabor_trials.csv"
    write_csv(pd.read_csv(path).assign(n=0), path)
    assert made(folder)[0]["rivals"].tolist() == [242]
