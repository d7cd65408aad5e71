"""The closed-loop stage: every stimulus shown to known neurons."""

import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.projection import project_array
from meiflow.io.files import read_csv, write_array, write_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.simulation.truth import render_filters
from meiflow.stages.closed_loop import close_loop
from meiflow.validation import closed_loop
from meiflow.validation.closed_loop import drives_to
from meiflow.validation.transparency import true_mask
from tests.known import write_fitted, write_stack
from tests.validation.test_closed_loop import CONTRAST, GRID, MEAN, known_neurons

TRUTH = SessionHas(truth=True)
STIMULI = ("mei", "best_gabor", "best_natural", "windowed_natural")
IMAGE = {"height": 30, "width": 48}


def config(made=()):
    mei = {"mean": MEAN, "contrast": CONTRAST}
    return parse_config({"image": IMAGE, "mei": mei, "stimuli": {"make": list(made)}})


@pytest.fixture(scope="module")
def looped(tmp_path_factory):
    results = Layout(tmp_path_factory.mktemp("results"))
    neurons = known_neurons()
    write_csv(neurons.rename_axis("neuron_id").reset_index(), results.truth)
    write_fitted(results, list(neurons.index))
    rng = np.random.default_rng(0)
    images = project_array(rng.uniform(size=(5, *GRID.shape)), MEAN, 0.2)
    write_stack(results, images, GRID)
    for neuron in neurons.index:
        for name, image in zip(STIMULI, images, strict=False):
            matched = project_array(image[None], MEAN, CONTRAST)[0]
            write_array(matched, getattr(results.neuron(neuron), name))
    close_loop(config(), results, TRUTH)
    return results


@pytest.fixture
def results(looped, tmp_path):
    shutil.copytree(looped.root, tmp_path / "results")
    return Layout(tmp_path / "results")


def test_table_has_every_stimulus_and_an_untuned_neuron_has_no_fraction(looped):
    table = read_csv(looped.closed_loop)
    by_neuron = table.groupby("neuron_id")["stimulus"].apply(list)
    assert all(shown == [*STIMULI, "optimum"] for shown in by_neuron)
    tuned = table[table["kind"] != "untuned"]
    assert (tuned["fraction_of_optimum"] <= 1 + 1e-6).all()
    optimum = tuned[tuned["stimulus"] == "optimum"]
    np.testing.assert_allclose(optimum["fraction_of_optimum"], 1, rtol=1e-4)
    untuned = table[table["kind"] == "untuned"]
    assert untuned["fraction_of_optimum"].isna().all()
    assert (untuned["true_drive"] == 0).all()


def test_what_a_procedure_made_is_shown_at_the_common_contrast(looped, results):
    """A stimulus that cannot have this contrast has no fraction, however high its drive."""
    neurons = known_neurons()
    one = neurons.index[0]
    write_fitted(results, [one])
    bright = np.random.default_rng(1).uniform(size=GRID.shape).astype(np.float32)
    files = results.procedure("population_mei")
    write_array(bright[None], files.images)
    write_csv(pd.DataFrame({"neuron_id": [one]}), files.table)
    write_array(bright, results.neuron(one).best_natural)
    close_loop(config(["population_mei"]), results, TRUTH)
    table = read_csv(results.closed_loop).set_index("stimulus")
    assert table.index.tolist() == [*STIMULI, "noise_mei", "optimum"]
    shown = project_array(bright[None], MEAN, CONTRAST)
    drive = drives_to(neurons.loc[[one]], GRID, shown)[0]
    assert table.loc["noise_mei", "true_drive"] == pytest.approx(drive, rel=1e-5)
    loud = drives_to(neurons.loc[[one]], GRID, bright[None])[0]
    assert table.loc["best_natural", "true_drive"] == pytest.approx(loud, rel=1e-5)
    assert np.isnan(table.loc["best_natural", "fraction_of_optimum"])
    before = read_csv(looped.closed_loop)
    before = before[before["neuron_id"] == one].set_index("stimulus")
    assert table.loc["mei", "fraction_of_optimum"] == pytest.approx(
        before.loc["mei", "fraction_of_optimum"], rel=0.02
    )


def test_neuron_without_truth_is_named(results):
    write_fitted(results, ["999"])
    with pytest.raises(MeiflowError, match=r"truth\.csv: no ground truth for neuron 999"):
        close_loop(config(), results, TRUTH)


def test_alpha_is_compared_with_the_true_filters(results, monkeypatch):
    monkeypatch.setattr(closed_loop, "_STEPS", 1)  # of the optimum, which is not looked at here
    neurons = known_neurons()
    tuned = (neurons["kind"] != "untuned").to_numpy()
    filters = render_filters(neurons, GRID).even.reshape(-1, *GRID.shape)
    made = []
    for neuron, even in zip(neurons.index, filters, strict=True):
        mei = project_array(even[None], MEAN, CONTRAST)[0]
        write_array(mei, results.neuron(neuron).mei)
        made.append([mei, true_mask(neurons.loc[[neuron]], GRID)])
    files = results.procedure("transparent")
    write_array(np.array(made, np.float32), files.images)
    table = pd.DataFrame({"neuron_id": neurons.index, "fraction_of_mei": 0.9, "mask_deg2": 100.0})
    write_csv(table, files.table)
    close_loop(config(["transparent"]), results, TRUTH)
    found = read_csv(results.transparency)
    assert found["neuron_id"].tolist() == list(neurons.index)
    own = found[tuned]
    np.testing.assert_array_equal(own[["true_overlap", "relative_area"]], 1)
    assert (own["other_overlap"] < 0.5).all()
    assert own["true_fraction_of_mei"].between(0.3, 1.1).all()
    assert found[~tuned].iloc[:, 2:].isna().all(axis=None)
    close_loop(config(), results, TRUTH)
    assert not results.transparency.exists()
