"""One row per neuron, and the sentences on top of the report."""

import numpy as np
import pandas as pd
import pytest

from meiflow.io.files import write_csv
from meiflow.report.headline import agreement_line, sure
from meiflow.stages.summary import summarise


@pytest.fixture
def results(tmp_path):
    """Results of two selected neurons, as the stages leave them."""
    neurons = ["7", "8"]
    measures = ["oracle", "oracle_p", "cc_max", "fev", "variance", "mean_rate_hz"]
    table = pd.DataFrame({"neuron_id": [*neurons, "9"], "selected": [True, True, False]})
    write_csv(table.assign(**dict.fromkeys(measures, 0.5)), tmp_path / "selection" / "neurons.csv")
    write_csv(table, tmp_path / "models" / "neurons.csv")
    models = ["model", "v1", "ln", "gabor_energy", "pixel_ridge", "model_shuffled"]
    scores = pd.DataFrame({"model": models, "cc_abs": 0.6, "cc_norm": 0.8, "folds": 5})
    shuffled = pd.DataFrame({"model": ["model_shuffled"] * 2, "cc_abs": [0.1, -0.1]})
    write_csv(shuffled, tmp_path / "models" / "cross_validation.csv")
    for i, neuron in enumerate(neurons):
        home = tmp_path / "neurons" / neuron
        write_csv(scores, home / "scores.csv")
        comparison = pd.DataFrame(
            {
                "stimulus": ["mei", "best_gabor", "best_natural"],
                "predicted_response": [10.0, 8.0, 2.0],
                "matched": [True, True, i == 0],
                "mei_ratio": [1.0, 1.25, 5.0],
                "mei_ratio_low": [1.0, 1.1, 4.0],
                "mei_ratio_high": [1.0, 1.4, 6.0],
                "similarity_to_mei": [1.0, 0.9, 0.1],
                "shifted_similarity_to_mei": [1.0, 0.95, 0.3],
            }
        )
        columns = ["orientation_deg", "peak_frequency_cpd", "x_deg", "y_deg", "size_deg"]
        columns += ["symmetry_1", "symmetry_2", "bandwidth_octaves", "gabor_r2"]
        columns += ["gabor_wavelength_deg", "gabor_orientation_deg"]
        write_csv(comparison.assign(**dict.fromkeys(columns, 1.0)), home / "comparison.csv")
    curves = pd.DataFrame(
        {
            "neuron_id": ["7", "8", "7", "8"],
            "curve": ["position", "position", "orientation", "orientation"],
            "tuned": [True, False, True, True],
            "cc_abs": [0.8, 0.1, 0.9, 0.7],
            "cc_max": [0.9, np.nan, 0.95, 0.95],
            "cc_others": [0.0, 0.0, 0.1, 0.3],
            "learned": False,
        }
    )
    write_csv(curves, tmp_path / "validation" / "recorded.csv")
    errors = {"field_error_deg": [4.0, np.nan], "orientation_error_deg": [2.0, 6.0]}
    others = {f"{name}_others": [30.0, 40.0] for name in errors}
    found = pd.DataFrame({"neuron_id": neurons, **errors, **others})
    write_csv(found, tmp_path / "validation" / "preferences.csv")
    judged = {"trusted": [True, False], "expected_fraction": [0.97, 0.4]}
    judged |= {"cc_norm_low": [0.9, 0.1], "fold_agreement": [0.95, 0.4]}
    judged = pd.DataFrame({"neuron_id": neurons, **judged, "trust_reason": ["", "too low"]})
    write_csv(judged, tmp_path / "validation" / "trust.csv")
    measured = pd.DataFrame({"neuron_id": neurons, "cell_type": ["simple", "complex"], "osi": 0.5})
    write_csv(measured, tmp_path / "experiments" / "summary.csv")
    return tmp_path


def test_a_row_holds_what_every_stage_found(results):
    table = summarise(results, None, recorded=True, experiments=True, trust=True).set_index(
        "neuron_id"
    )
    assert table.index.tolist() == ["7", "8"]
    row = table.loc["7"]
    assert row["mei_over_best_gabor"] == pytest.approx(1.25)
    assert (row["mei_over_best_natural_low"], row["mei_over_best_natural_high"]) == (4, 6)
    # an image that could not have the common contrast is no fair rival
    assert np.isnan(table.loc["8", "mei_over_best_natural"])
    assert np.isnan(table.loc["8", "best_natural_response"])
    assert row["position_tuned"]
    assert row["position_cc_abs"] == 0.8
    assert row["field_error_deg"] == 4
    assert np.isnan(table.loc["8", "field_error_deg"])
    assert table["cell_type"].tolist() == ["simple", "complex"]
    assert table["model_holds"].all()


def test_what_was_not_done_is_not_read(results):
    """Folders that an earlier run left behind do not enter."""
    table = summarise(results, None, recorded=False, experiments=False, trust=False)
    assert not {"cell_type", "osi", "position_cc_abs", "field_error_deg"} & set(table.columns)


def test_the_report_says_how_recorded_and_predicted_agree(results):
    line = agreement_line(results)
    assert "Gabor positions 0.80 (ceiling 0.90" in line
    assert "median 4.00 degrees apart" in line
    assert "1 neurons" in line
    assert "grating orientations 0.80" in line
    assert "no prediction" not in line
    path = results / "validation" / "recorded.csv"
    curves = pd.read_csv(path)
    write_csv(curves.assign(learned=True), path)
    assert "no prediction of these" in agreement_line(results)
    write_csv(curves.assign(tuned=False), path)
    assert "No neuron has significant recorded tuning" in agreement_line(results)


def test_the_report_says_how_sure_the_lead_over_the_gabor_is(results):
    table = summarise(results, None, recorded=True, experiments=True, trust=True)
    assert "in 2 of 2 neurons it falls short by 2% or more" in sure(table)
    assert sure(table.assign(mei_over_best_gabor_low=1.0)).startswith(" (in 0 of 2")
    assert sure(table.assign(mei_over_best_gabor_low=np.nan)) == ""
    assert sure(table[["neuron_id"]]) == ""
