"""Results of the experiments for neurons whose filters are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meiflow import experiments as ex
from meiflow.config.sections import Experiments
from meiflow.figures.experiments import neuron_figure
from meiflow.simulation.truth import GABOR_KINDS
from tests.experiments.truth import GRID, experiments_on_truth, model_of, nearly, neurons


@pytest.fixture(scope="module")
def found():
    return experiments_on_truth(neurons(12, seed=3), ["orientation", "frequency", "phase"], seed=4)


def test_simple_and_complex_cells_are_distinguished(found):
    right = found["cell_type"] == found["kind"].str.removesuffix("_normalised")
    assert len(found) == 12 * len(GABOR_KINDS)
    assert right.mean() >= 0.9, found.loc[~right, ["kind", "f1_f0"]]
    # with the response to grey, simple cells would seem complex
    assert (found["f1_f0_with_grey"] < found["f1_f0"] + 1e-6).all()


def test_orientation_and_frequency_are_recovered_near_the_rf_position(found):
    away = (found["preferred_orientation_deg"] - found["orientation_deg"] + 90) % 180 - 90
    assert (away.abs() < 10).mean() >= 0.9, away.describe()
    ratio = found["preferred_frequency_cpd"] * found["wavelength_deg"]
    assert ((ratio > 1 / 1.2) & (ratio < 1.2)).mean() >= 0.9, ratio.describe()
    assert found["osi"].min() > 0.5


def test_size_surround_and_masks_suppress_normalised_neurons_alone():
    make = ["phase", "size", "contrast", "surround", "plaid", "shift", "bars"]
    found = experiments_on_truth(neurons(3, seed=5), make, seed=6)
    normalised = found["kind"].str.endswith("_normalised")
    assert found.loc[normalised, "cross_orientation_index"].min() > 0.05
    assert found.loc[~normalised, "cross_orientation_index"].abs().max() < 0.02
    assert found.loc[normalised, "suppression_index"].min() > 0.05
    assert found.loc[~normalised, "suppression_index"].max() < 0.05
    assert found.loc[normalised, "surround_iso_index"].min() > 0.01
    # normalised: divided by 1 + local contrast / semi-saturation, so half-maximal below 0.5
    assert found.loc[normalised, "half_contrast"].max() < 0.45
    assert found.loc[~normalised, "half_contrast"].min() > 0.5
    assert (found["contrast_r2"] > 0.99).all()
    complex_ = found["kind"].str.startswith("complex")
    assert found.loc[complex_, "shift_invariance"].min() > 0.6
    assert found.loc[~complex_, "shift_invariance"].max() < 0.45
    away = (found["bar_orientation_deg"] - found["orientation_deg"] + 90) % 180 - 90
    assert away.abs().max() < 10
    assert found.loc[complex_, "bar_on_off_index"].abs().max() < 0.05


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_neurons_that_nothing_drives_have_no_tuning(slope):
    """A neuron that does not respond, and one that any contrast suppresses, get no numbers."""
    preferred = nearly(neurons(1, seed=9).iloc[0], np.random.default_rng(0))
    mei = 0.5 + 0.1 * np.sin(np.arange(GRID.height * GRID.width)).reshape(GRID.shape)

    def respond(images):
        return 3 + slope * np.abs(images - 0.5).mean((1, 2))

    made = ex.standard_experiments(preferred, Experiments(phases=4, map_step_deg=15.0), mei)
    tables = {name: ex.run(experiment, respond) for name, experiment in made.items()}
    row = ex.summarise_experiments(tables, 3.0)
    assert row.pop("cell_type") == ""
    assert row.pop("grey_response") == 3
    row.pop("f1_f0_with_grey")
    assert np.isnan(list(row.values())).all(), row
    curves = {"cell_type": "", "grey_response": 3.0, "neuron_id": "x"} | row
    neuron_figure(tables, ex.maps(tables, 3.0), pd.Series(curves))


def test_rf_positions_are_recovered():
    table = neurons(1, seed=7, kinds=("simple", "complex", "on_centre", "off_centre"))
    found = experiments_on_truth(table, ["position", "spots"], seed=8)
    off = np.hypot(found["field_x_deg"] - found["x_deg"], found["field_y_deg"] - found["y_deg"])
    assert off.max() < 3  # slightly more than half a step of the map
    assert found["on_off_index"].iloc[2] > 0.3
    assert found["on_off_index"].iloc[3] < -0.3
    assert abs(found["on_off_index"].iloc[1]) < 0.05


def test_a_meaningless_wavelength_sets_no_scale():
    """The best Gabor of a round field can have any wavelength far above its size."""
    neuron = neurons(1, seed=7, kinds=("on_centre",)).iloc[0]
    respond = model_of(neuron.to_frame().T)
    sigma = neuron["sigma_deg"]
    blob = ex.Preferred(GRID, neuron["x_deg"], neuron["y_deg"], 79.0, 0.0, 0.0, 1.7 * sigma, 0.5)
    scaled = ex.at_preferred_frequency(blob, respond)
    # a difference of Gaussians with a surround of 2.5 sigmas peaks near 0.12 cycles per sigma
    assert 6 * sigma < scaled.wavelength_deg < 11 * sigma
    options = Experiments(make=["position", "spots", "size", "frequency"])
    rows = []
    for preferred in (blob, scaled):
        made = ex.standard_experiments(preferred, options)
        tables = {name: ex.run(experiment, respond) for name, experiment in made.items()}
        rows.append(
            ex.summarise_experiments(tables, float(respond(np.full((1, *GRID.shape), 0.5))[0]))
        )
    assert rows[1]["field_area_deg2"] < 0.5 * rows[0]["field_area_deg2"]
    assert rows[1]["on_off_index"] > rows[0]["on_off_index"]

    def silent(images):
        return np.full(len(images), 2.0)

    assert ex.at_preferred_frequency(blob, silent) == blob
