"""Which neurons are selected and fitted: our tables, and those of others."""

import os

import numpy as np
import pandas as pd
import pytest

from meiflow.config.sections import Selection
from meiflow.errors import MeiflowError
from meiflow.io.files import write_csv
from meiflow.models.outcome import fitted_table
from meiflow.results.layout import Layout
from meiflow.results.neurons import (
    failed_fits,
    fitted_neurons,
    require_selected,
    selected_neurons,
)
from meiflow.selection.rule import apply_rule

MEASURES = pd.DataFrame(
    {
        "neuron_id": ["1", "2", "3", "4", "5"],
        "oracle": [0.5, 0.3, 0.05, 0.4, np.nan],
        "oracle_p": [0.001, 0.001, 0.4, 0.001, np.nan],
        "variance": [4.0, 2.0, 3.0, 0.01, 0.0],
    }
)


@pytest.fixture
def selection():
    return apply_rule(MEASURES, Selection(oracle_p_max=0.01, oracle_min=0.1, shuffles=200))


def test_unselected_neuron_is_refused_with_its_reason(selection, tmp_path):
    path = Layout(tmp_path).selection
    write_csv(selection, path)
    assert selected_neurons(path) == ["1", "2", "4"]
    require_selected(path, "2")
    with pytest.raises(
        MeiflowError, match=r"3 is not selected \(oracle_p > 0.01; oracle < 0.1\).*include"
    ):
        require_selected(path, "3")
    with pytest.raises(MeiflowError, match="'9' is not in this session"):
        require_selected(path, "9")


def test_a_neuron_whose_fit_failed_is_refused_with_its_reason(selection, tmp_path):
    status = pd.DataFrame({"neuron_id": list("12345"), "fitted": True, "reason": ""})
    status.loc[1, ["fitted", "reason"]] = [False, "the fit of ln failed"]
    path = Layout(tmp_path).fitted_neurons
    write_csv(fitted_table(selection, status), path)
    require_selected(path, "1")
    assert fitted_neurons(path) == selected_neurons(path) == ["1", "4"]
    assert failed_fits(path) == {"2": "the fit of ln failed"}
    with pytest.raises(MeiflowError, match="2 has no model: the fit of ln failed"):
        require_selected(path, "2")
    with pytest.raises(MeiflowError, match=r"3 is not selected \(oracle_p > 0.01"):
        require_selected(path, "3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("neuron_id,selected,reason\n1,perhaps,x\n", "selected must be True or False"),
        ("neuron_id,selected,reason\n../1,True,x\n", "leads outside its folder"),
        ("neuron_id\n1\n", "missing column selected"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, text, message):
    """A changed table is read again."""
    path = tmp_path / "neurons.csv"
    path.write_text("neuron_id,selected,reason\n1,True,x\n2,False,x\n")
    assert fitted_neurons(path) == ["1"]
    path.write_text(text)
    os.utime(path, (1, 1))
    with pytest.raises(MeiflowError, match=message):
        fitted_neurons(path)
