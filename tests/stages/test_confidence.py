"""The confidence stage: evidence about a neuron's MEI without ground truth, and the judgement."""

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_array, write_csv
from meiflow.models.network import NeuronModel
from meiflow.results.layout import Layout
from meiflow.stages.confidence import judge_neurons, measure_confidence
from meiflow.validation.trust import calibration
from tests.known import write_models, write_stack
from tests.validation.test_trust import CONFIG, GRID, MEAN, matched, state_of


@pytest.fixture
def results(tmp_path):
    """Two neurons; the fold models agree only on the first."""
    results = Layout(tmp_path)
    level, even = state_of(0.0)
    upright, _ = state_of(90.0)
    folds = {"6": [level, level], "7": [level, upright]}
    write_models(results, GRID, {"6": level, "7": level}, folds)
    images = np.random.default_rng(0).uniform(size=(5, *GRID.shape))
    write_stack(results, images, GRID)
    # the model reproduces the responses of the first neuron, and half of those of the second
    predicted = NeuronModel(GRID, 0.0, 0.0, [level], [1.0]).predict(images)
    grey = NeuronModel(GRID, 0.0, 0.0, [level], [1.0]).predict(np.full((1, *GRID.shape), MEAN))
    means = pd.DataFrame({"image_id": np.arange(5), "6": predicted})
    write_csv(means.assign(**{"7": 2 * predicted - grey}), results.responses)
    for neuron in ("6", "7"):
        write_array(matched(even), results.neuron(neuron).mei)
    scores = pd.DataFrame({"model": ["model", "model_shuffled"] * 2, "cc_abs": [0.7, 0.1] * 2})
    scores.insert(0, "neuron_id", ["6"] * 2 + ["7"] * 2)
    write_csv(
        scores.assign(cc_norm=0.8, cc_norm_low=[0.9, 0, 0.6, 0], ceiling_error=0.01),
        results.cross_validation,
    )
    named = pd.DataFrame({"neuron_id": ["6", "7"], "nuisance": "", "cc_abs_contrast": 0.65})
    write_csv(named, results.nuisances)
    return results


def test_confidence_of_a_neuron_comes_from_its_files(results):
    (row,) = measure_confidence(CONFIG, results, ["7"]).to_dict("records")
    assert (row["neuron_id"], row["cc_norm_low"], row["cc_shuffled"]) == ("7", 0.6, 0.1)
    assert row["fold_agreement"] == pytest.approx(0.5, abs=0.1)
    assert row["fold_lowest"] == pytest.approx(0, abs=0.1)
    assert row["peak_ratio"] == pytest.approx(0.5)
    assert row["half_contrast"] == pytest.approx(0.5, abs=0.01)


def test_the_rule_of_this_version_judges_every_fitted_neuron(results):
    judge_neurons(CONFIG, results)
    table = read_csv(results.trust)
    assert table["neuron_id"].tolist() == ["6", "7"]
    assert table["fold_agreement"].tolist() == pytest.approx([1, 0.5], abs=0.1)
    judged = calibration().judge(table)
    assert table["trusted"].tolist() == judged["trusted"].tolist() == [True, False]
    np.testing.assert_allclose(table["expected_fraction"], judged["expected_fraction"], rtol=1e-5)
    assert "reach 0.5" in table["trust_reason"][1]


def test_a_neuron_that_a_nuisance_explains_is_not_trusted(results):
    named = pd.DataFrame({"neuron_id": ["6", "7"], "nuisance": ["contrast", ""]})
    write_csv(named.assign(cc_abs_contrast=0.65), results.nuisances)
    judge_neurons(CONFIG, results)
    table = read_csv(results.trust)
    assert table["trusted"].tolist() == [False, False]
    assert table["cc_nuisance"].iloc[0] == 0.65
    assert table["trust_reason"][0].startswith(
        "the RMS contrast of the whole image alone predicts the responses nearly as well as the "
        "model (correlation 0.65 compared with 0.70)"
    )


def test_a_neuron_without_an_mei_is_named(results):
    results.neuron("7").mei.unlink()
    with pytest.raises(MeiflowError, match=r"7/mei\.npy: no such file"):
        judge_neurons(CONFIG, results)
    assert not results.trust.exists()
