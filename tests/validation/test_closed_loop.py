import numpy as np
import pandas as pd
import pytest

from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.simulation.truth import KINDS, calibrate_gain, draw_neurons, render_filters, true_drive
from meiflow.validation import closed_loop
from meiflow.validation.closed_loop import fractions_of_optimum, true_optimum

GRID = Geometry(30, 48)
MEAN, CONTRAST = 0.46, 0.05


def known_neurons() -> pd.DataFrame:
    """One neuron of every kind."""
    rng = np.random.default_rng(4)
    images = np.clip(rng.normal(0.45, 0.2, (30, *GRID.shape)), 0, 1)
    table = draw_neurons(list(KINDS), rng, GRID)
    # low thresholds, because these white-noise images hardly drive the filters
    table = calibrate_gain(table, images, GRID, np.full(len(KINDS), 5.0))
    table.index = [str(100 + i) for i in range(len(table))]
    return table


@pytest.fixture(scope="module")
def neurons() -> pd.DataFrame:
    return known_neurons()


def test_optimum_of_a_simple_cell_is_its_matched_filter(neurons):
    """Without clipping, Cauchy-Schwarz gives the best drive of a linear filter in closed form."""
    one = neurons[neurons["kind"] == "simple"]
    filters = render_filters(one, GRID)
    even = filters.even[0]
    reach = CONTRAST * np.sqrt(even.size) * np.linalg.norm(even - even.mean())
    offset = (MEAN - 0.5) * even.sum()
    best = filters.gain[0] * (reach + offset - filters.threshold[0])
    none = np.empty((0, *GRID.shape))
    image, drive = true_optimum(one, GRID, MEAN, CONTRAST, none, 0)
    assert drive == pytest.approx(best, rel=0.02)
    assert drive <= best * (1 + 1e-4)
    assert image.std() == pytest.approx(CONTRAST, abs=1e-4)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "untuned"])
def test_no_stimulus_beats_the_optimum(neurons, kind, rng):
    one = neurons[neurons["kind"] == kind]
    others = project_array(rng.uniform(size=(20, *GRID.shape)), MEAN, CONTRAST)
    _, drive = true_optimum(one, GRID, MEAN, CONTRAST, others[:2], 0)
    flat = others.reshape(20, -1).astype(float)
    assert drive > true_drive(render_filters(one, GRID), flat).max()


def test_the_optimum_is_no_worse_than_a_stimulus_it_is_compared_with(neurons, monkeypatch):
    """A search too short to find the optimum starts from the stimuli and keeps the best."""
    one = neurons[neurons["kind"] == "texture"]
    none = np.empty((0, *GRID.shape))
    image, drive = true_optimum(one, GRID, MEAN, CONTRAST, none, 0)
    monkeypatch.setattr(closed_loop, "_STEPS", 1)
    assert true_optimum(one, GRID, MEAN, CONTRAST, none, 0)[1] < 0.98 * drive
    again = true_optimum(one, GRID, MEAN, CONTRAST, image[None], 0)[1]
    assert again == pytest.approx(drive, rel=1e-4)


def test_an_unmatched_stimulus_has_no_fraction_and_sets_no_optimum(rng):
    """More contrast gives more drive: such an image would win, and lower all other fractions."""
    images = project_array(rng.uniform(size=(5, *GRID.shape)), MEAN, CONTRAST)
    images[3] = project_array(images[3:4], MEAN, 1.1 * CONTRAST)[0]
    images[4] = project_array(images[4:5], MEAN + 0.01, CONTRAST)[0]
    drives = np.array([2.0, 8.0, 4.0, 40.0, 20.0])
    found = fractions_of_optimum(images, drives, MEAN, CONTRAST)
    np.testing.assert_array_equal(found, [0.25, 1.0, 0.5, np.nan, np.nan])
    # without any drive at the common contrast, there is no optimum to divide by
    only_loud = np.where(np.arange(5) == 3, 40.0, 0.0)
    assert np.isnan(fractions_of_optimum(images, only_loud, MEAN, CONTRAST)).all()
