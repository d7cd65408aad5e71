"""The stage that lists the selected neurons whose fit succeeded."""

import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv
from meiflow.results.layout import Layout
from meiflow.stages.fitted_neurons import take_fitted


def test_no_neuron_left_is_an_error_for_a_single_session(tmp_path):
    results = Layout(tmp_path)
    selection = {"neuron_id": ["7"], "selected": True, "reason": "all"}
    write_csv(pd.DataFrame(selection), results.selection)
    status = {"neuron_id": ["7"], "fitted": False, "reason": "silent"}
    write_csv(pd.DataFrame(status), results.fit_status)
    with pytest.raises(MeiflowError, match=r"is left \(1 of 1: silent\); selected .* fits failed"):
        take_fitted(results)
    assert not results.fitted_neurons.exists()
    take_fitted(results, allow_empty=True)
    assert not read_csv(results.fitted_neurons)["selected"].any()
