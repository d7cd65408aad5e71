"""`import meiflow` is fast, and its functions go from arrays to a fitted population and back."""

import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import meiflow as mf
from meiflow.images.patterns import gabor

SCREEN = mf.Geometry(12, 20, 100.0, 60.0)
FAST = {
    "wavelengths_deg": [30.0, 45.0],
    "stride": 3,
    "ln": {"widths_deg": [12.0], "penalties": [0.01]},
    "gabor_energy": {"starts": 2, "steps": 60},
    "folds": 3,
}
NAMES = ["simple", "complex", "constant"]


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys\nimport meiflow\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'xarray', 'sklearn', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", sorted(mf.__all__))
def test_every_name_can_be_had_and_is_documented(name):
    assert inspect.getdoc(getattr(mf, name))


@pytest.fixture(scope="module")
def recording():
    """Images, rates (images, neurons) and counts (repeats, images, neurons)."""
    rng = np.random.default_rng(3)
    images = rng.uniform(0, 1, (60, *SCREEN.shape))
    pair = [gabor(SCREEN, 10.0, 5.0, 40.0, 30.0, phase, 12.0) for phase in (0.0, 90.0)]
    even, odd = (((images - 0.5) * field).sum((1, 2)) for field in pair)
    rates = np.column_stack([np.maximum(3 + 4 * even, 0), 5 * np.hypot(even, odd), np.full(60, 2)])
    counts = rng.poisson(rates, (4, 60, 3)).astype(float)
    counts[..., 2] = 2  # its response is constant
    return images, rates, counts


@pytest.fixture(scope="module")
def pop(recording):
    images, _, counts = recording
    return mf.fit(images, counts, SCREEN, neurons=NAMES, **FAST)


def test_tuned_neurons_are_fitted_and_the_control_is_not(recording, pop):
    rates = recording[1]
    assert pop.neurons == list(pop) == NAMES[:2]
    assert len(pop) == 2
    assert "simple" in pop
    assert "constant" not in pop
    scores = pop.score().set_index(["neuron_id", "model"])
    for column, neuron in enumerate(pop):
        assert np.corrcoef(pop.held_out.sel(neuron=neuron), rates[:, column])[0, 1] > 0.7
        assert scores.loc[(neuron, "model"), "cc_norm"] > 0.7
        assert abs(scores.loc[(neuron, "model_shuffled"), "cc_norm"]) < 0.4


def test_scores_are_those_of_the_held_out_predictions(recording, pop):
    means = recording[2].mean(axis=0)
    scores = pop.score().query("model == 'model'").set_index("neuron_id")
    for column, neuron in enumerate(pop):
        expected = np.corrcoef(pop.held_out.sel(neuron=neuron), means[:, column])[0, 1]
        assert scores.loc[neuron, "cc_abs"] == pytest.approx(expected, abs=1e-9)
    changed = pop.score()
    changed["cc_abs"] = 0
    assert (pop.score()["cc_abs"] != 0).any()


def test_models_are_differentiable_modules_and_predict_together_as_alone(recording, pop):
    images = recording[0][:7]
    together = pop.predict(images)
    assert together.dims == ("image", "neuron")
    assert together["neuron"].values.tolist() == pop.neurons
    for neuron in pop:
        np.testing.assert_allclose(
            together.sel(neuron=neuron), pop[neuron].predict(images), rtol=1e-4
        )
        assert pop[neuron].geometry == SCREEN
    shown = torch.rand(1, *SCREEN.shape, requires_grad=True)
    pop["simple"](shown).sum().backward()
    assert shown.grad.abs().max() > 0


def test_the_mei_of_a_fitted_neuron_has_the_mean_of_the_images(recording, pop):
    found = mf.mei(pop["simple"], restarts=2, steps=20)
    field = gabor(SCREEN, 10.0, 5.0, 40.0, 30.0, 0.0, 12.0)
    assert np.corrcoef(found.values.ravel(), field.ravel())[0, 1] > 0.8
    assert float(found.mean()) == pytest.approx(recording[0].mean(), abs=1e-5)


def test_neurons_without_a_model_say_why(pop):
    with pytest.raises(mf.MeiflowError, match=r"constant: has no model .*same for all images"):
        pop["constant"]
    with pytest.raises(mf.MeiflowError, match=r"'simpel' .did you mean 'simple'"):
        pop["simpel"]
    with pytest.raises(mf.MeiflowError, match="ids are text"):
        pop[0]


def test_it_shows_itself(pop):
    assert repr(pop).startswith("<FittedPopulation: 2 neurons (1 failed), images 12 x 20 pixels")
    page = pop._repr_html_()
    assert page.count("<tr>") == 3
    assert "simple" in page


def test_a_file_brings_it_back(recording, pop, tmp_path):
    pop.save(tmp_path / "population.pt")
    again = mf.FittedPopulation.load(tmp_path / "population.pt")
    np.testing.assert_array_equal(again.predict(recording[0]), pop.predict(recording[0]))
    pd.testing.assert_frame_equal(again.score(), pop.score())
    assert again.held_out.identical(pop.held_out)
    assert (again.failed, again.mean, again.geometry) == (pop.failed, pop.mean, SCREEN)


def test_a_file_of_another_kind_is_refused(pop, tmp_path):
    torch.save({"format": 2}, tmp_path / "other.pt")
    with pytest.raises(mf.MeiflowError, match="not a meiflow model"):
        mf.FittedPopulation.load(tmp_path / "other.pt")
    pop.save(tmp_path / "named.pt")
    document = torch.load(tmp_path / "named.pt", weights_only=True)
    document["neurons"]["simple"]["base_models"] = [{"kind": "custom", "spec": "os:system"}]
    torch.save(document, tmp_path / "code.pt")
    with pytest.raises(mf.MeiflowError, match="os:system"):
        mf.FittedPopulation.load(tmp_path / "code.pt")


def test_means_suffice_in_any_image_order_but_the_ceiling_is_unknown(recording, pop):
    """Same folds, fits and predictions; the noise ceiling needs single trials."""
    images, _, counts = recording
    order = np.random.default_rng(0).permutation(60)
    means = counts.mean(axis=0)[order]
    more = FAST | {"neurons": NAMES, "image_ids": order}
    found = mf.fit(images[order], means, SCREEN, **more)
    assert found.held_out.identical(pop.held_out)
    scores, full = (p.score().set_index(["neuron_id", "model"]) for p in (found, pop))
    pd.testing.assert_series_equal(scores["cc_abs"], full["cc_abs"])
    assert scores[["cc_norm", "cc_max", "feve", "cc_norm_low"]].isna().all(axis=None)
    assert "unknown without repeated images" in repr(found)


def test_a_fit_prints_nothing_and_leaves_the_callers_threads(recording, capfd):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        mf.fit(recording[0], recording[2][..., :1], SCREEN, base_models=["v1"], **FAST)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert capfd.readouterr() == ("", "")


IMAGES = np.full((6, 12, 20), 0.5)
COUNTS = np.ones((6, 1))


@pytest.mark.parametrize(
    ("images", "counts", "more", "reason"),
    [
        (np.full((6, 12, 20), 128, np.uint8), COUNTS, {}, "divide by 255"),
        (IMAGES - 0.6, COUNTS, {}, "undo the normalisation"),
        (IMAGES[:, :, :5], COUNTS, {}, r"use Geometry\(12, 5"),
        (IMAGES[0], COUNTS, {}, r"expected \(images, height, width\)"),
        (IMAGES * np.nan, COUNTS, {}, "NaN"),
        (IMAGES, COUNTS[:5], {}, r"shape \(5, 1\) for 6 images"),
        (IMAGES, COUNTS, {"image_ids": [1, 2]}, r"shape \(2,\) for 6 images"),
        (IMAGES, COUNTS, {"folds": 7}, "7 folds need at least as many images, got 6"),
        (IMAGES, COUNTS, {"strides": 2}, "unknown key model.strides .did you mean 'stride'"),
        (IMAGES, COUNTS, {"base_models": ["v2"]}, "base_models"),
        (IMAGES, COUNTS, {"custom": "mine:build"}, "custom"),
        (IMAGES, COUNTS, {"learn_from": ["scenes", "static_gratings"]}, "static_gratings"),
        (IMAGES, COUNTS, FAST, "no neuron could be fitted .u0: the mean response"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(images, counts, more, reason):
    with pytest.raises(mf.MeiflowError, match=reason):
        mf.fit(images, counts, SCREEN, **more)
