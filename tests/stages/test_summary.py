"""One row per neuron, and the sentences at the top of the report."""

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv
from meiflow.report.headline import agreement_line, fold_agreement
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.summary import write_summary


@pytest.fixture
def results(tmp_path):
    """Results of the stages for two selected neurons."""
    results = Layout(tmp_path)
    neurons = ["7", "8"]
    measures = ["oracle", "oracle_p", "cc_max", "fev", "variance", "mean_rate_hz"]
    table = pd.DataFrame({"neuron_id": [*neurons, "9"], "selected": [True, True, False]})
    write_csv(table.assign(**dict.fromkeys(measures, 0.5)), results.selection)
    write_csv(table, results.fitted_neurons)
    units = {"area": ["VISam5", "VISam2/3", "LGd"], "waveform_duration": [0.2, 0.7, 0.2]}
    write_csv(pd.DataFrame({"neuron_id": [*neurons, "9"]} | units), results.units)
    models = ["model", "v1", "ln", "gabor_energy", "pixel_ridge", "luminance", "model_shuffled"]
    scores = pd.DataFrame({"model": models, "cc_abs": 0.6, "cc_norm": 0.8, "folds": 5})
    shuffled = pd.DataFrame({"model": ["model_shuffled"] * 2, "cc_abs": [0.1, -0.1]})
    write_csv(shuffled, results.cross_validation)
    for i, neuron in enumerate(neurons):
        files = results.neuron(neuron)
        write_csv(scores, files.scores)
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
        write_csv(comparison.assign(**dict.fromkeys(columns, 1.0)), files.comparison)
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
    write_csv(curves, results.recorded_tuning)
    errors = {"field_error_deg": [4.0, np.nan], "orientation_error_deg": [2.0, 6.0]}
    others = {f"{name}_others": [30.0, 40.0] for name in errors}
    found = pd.DataFrame({"neuron_id": neurons, **errors, **others})
    write_csv(found, results.preferences)
    judged = {"trusted": [True, False], "expected_fraction": [0.97, 0.4]}
    judged |= {"cc_norm_low": [0.9, 0.1], "fold_agreement": [0.95, 0.4], "nuisance": ["", ""]}
    judged |= {"peak_ratio": [1.0, 0.3]}
    judged = pd.DataFrame({"neuron_id": neurons, **judged, "trust_reason": ["", "too low"]})
    write_csv(judged, results.trust)
    measured = pd.DataFrame({"neuron_id": neurons, "cell_type": ["simple", "complex"], "osi": 0.5})
    write_csv(measured, results.experiment_summary)
    return results


RECORDED = SessionHas(gabors=True, gratings=True)


def summarised(results, has=RECORDED, **config):
    write_summary(parse_config(config), results, has)
    return read_csv(results.summary)


def test_a_row_holds_what_every_stage_found(results):
    table = summarised(results).set_index("neuron_id")
    assert table.index.tolist() == ["7", "8"]
    row = table.loc["7"]
    assert row["mei_over_best_gabor"] == pytest.approx(1.25)
    assert (row["mei_over_best_natural_low"], row["mei_over_best_natural_high"]) == (4, 6)
    # an image that cannot have the common contrast is not a fair comparison
    assert np.isnan(table.loc["8", "mei_over_best_natural"])
    assert np.isnan(table.loc["8", "best_natural_response"])
    assert row["position_tuned"]
    assert row["position_cc_abs"] == 0.8
    assert row["field_error_deg"] == 4
    assert np.isnan(table.loc["8", "field_error_deg"])
    assert table["cell_type"].tolist() == ["simple", "complex"]
    assert table["model_above_chance"].all()


def test_a_row_says_who_the_neuron_is(results):
    table = summarised(results).set_index("neuron_id")
    found = table[["area", "layer", "spiking", "waveform_duration_ms"]].to_numpy().tolist()
    assert found == [["VISam", "L5", "fast", 0.2], ["VISam", "L2/3", "regular", 0.7]]
    write_csv(read_csv(results.units)[["neuron_id"]], results.units)  # a user's own tables
    assert not {"area", "layer", "spiking"} & set(summarised(results))


@pytest.mark.parametrize(("level", "holds"), [(0.58, True), (0.62, False)])
def test_a_model_above_chance_above_all_but_one_in_twenty_controls(results, level, holds):
    """The model's correlation of 0.6 counts; its CC_norm of 0.8 is in another unit."""
    control = np.append(level * np.linspace(0, 1, 96), np.linspace(0.7, 0.75, 5))
    table = pd.DataFrame({"model": "model_shuffled", "cc_abs": [*control, np.nan]})
    measured = pd.DataFrame({"model": ["model"] * 50, "cc_abs": 0.9})
    write_csv(pd.concat([table, measured]), results.cross_validation)
    table = summarised(results)
    assert (table["model_above_chance"] == holds).all()


def test_what_was_not_done_is_not_read(results):
    """Folders left by an earlier run are ignored."""
    off = {"experiments": {"make": []}, "model": {"custom": "nowhere:build"}}
    table = summarised(results, SessionHas(), **off)
    left = {"cell_type", "osi", "position_cc_abs", "field_error_deg", "trusted", "kind"}
    assert not left & set(table.columns)


def test_what_the_session_has_must_be_there(results):
    with pytest.raises(MeiflowError, match=r"closed_loop\.csv: no such file"):
        summarised(results, SessionHas(truth=True))
    for path in (results.recorded_tuning, results.experiment_summary, results.trust):
        kept = path.read_bytes()
        path.unlink()
        with pytest.raises(MeiflowError, match=rf"{path.name}: no such file"):
            summarised(results)
        path.write_bytes(kept)


def test_the_closed_loop_enters_a_simulated_session(results):
    loop = {"neuron_id": np.repeat(["7", "8"], 2), "stimulus": ["mei", "optimum"] * 2}
    loop |= {"kind": np.repeat(["simple", "complex"], 2)}
    write_csv(pd.DataFrame(loop).assign(fraction_of_optimum=[0.9, 1, 0.7, 1]), results.closed_loop)
    table = summarised(results, SessionHas(truth=True))
    assert table["kind"].tolist() == ["simple", "complex"]
    assert table["mei_true_fraction"].tolist() == [0.9, 0.7]
    assert "optimum_true_fraction" not in table


def test_whether_a_custom_module_is_above_chance_is_unknown(results):
    for neuron in ("7", "8"):
        path = results.neuron(neuron).scores
        scores = read_csv(path)
        write_csv(scores.assign(folds=np.where(scores["model"] == "model", 0, 5)), path)
    assert summarised(results)["model_above_chance"].isna().all()


def test_the_report_states_how_recorded_and_predicted_tuning_agree(results):
    line = agreement_line(results)
    assert "Gabor positions 0.80 (ceiling 0.90" in line
    assert "median error of the preference 4.00 degrees" in line
    assert "n = 1 neurons" in line
    assert "grating orientations 0.80" in line
    assert "not predictions" not in line
    path = results.recorded_tuning
    curves = pd.read_csv(path)
    write_csv(curves.assign(learned=True), path)
    assert "not predictions" in agreement_line(results)
    write_csv(curves.assign(tuned=False), path)
    assert "No neuron has significant recorded tuning" in agreement_line(results)


def test_the_report_states_how_certain_the_lead_over_the_gabor_is(results):
    table = summarised(results)
    assert "in 2 of 2 neurons the MEI is better by more than 2 %" in fold_agreement(table)
    assert fold_agreement(table.assign(mei_over_best_gabor_low=1.0)).startswith(" (in 0 of 2")
    assert fold_agreement(table.assign(mei_over_best_gabor_low=np.nan)) == ""
    assert fold_agreement(table[["neuron_id"]]) == ""
