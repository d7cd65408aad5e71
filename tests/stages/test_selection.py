"""The selection stage: measures of every neuron of a session, and the selected neurons."""

import shutil

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.selection import select

RULE = {"oracle_p_max": None, "oracle_min": None, "shuffles": 100, "notebook_measures": True}
NWB = SessionHas(spike_times=True)


def copied(small_results, folder):
    """A copy of the tables only."""
    results = Layout(folder)
    shutil.copytree(small_results.trials.parent, results.trials.parent)
    return results


@pytest.fixture(scope="module")
def results(small_results, tmp_path_factory):
    results = copied(small_results, tmp_path_factory.mktemp("selection"))
    select(parse_config({"selection": RULE}), results, NWB)
    return results


def test_the_table_has_both_sets_of_numbers(results):
    table = read_csv(results.selection)
    assert table["notebook_oracle"].notna().any()
    assert sorted(table["raster_place"]) == list(range(len(table)))
    assert table["running_modulation"].notna().all()
    inside = table[table["oracle"].notna()]
    assert (inside["oracle_low"] <= inside["oracle_high"]).all()
    pairs = np.load(results.correlations, allow_pickle=False)
    row = table.iloc[0]
    partner = list(pairs["neuron_ids"]).index(str(row["most_correlated"]))
    assert pairs["signal"][0, partner] == pytest.approx(row["highest_correlation"], abs=1e-7)


def test_what_an_earlier_session_left_is_not_read(small_results, results, tmp_path):
    """Without spike times nothing is known about blocks and running, whatever files exist."""
    again = copied(small_results, tmp_path)
    select(parse_config({"selection": RULE}), again, SessionHas())
    without, table = read_csv(again.selection), read_csv(results.selection)
    assert without["running_modulation"].isna().all()
    assert without["drift"].isna().all()
    assert without["oracle"].equals(table["oracle"])


def test_no_neuron_left_is_an_error_for_a_single_session(small_results, tmp_path):
    results = copied(small_results, tmp_path)
    rule = parse_config({"selection": RULE | {"minimum": {"mean_rate_hz": 1e6}}})
    with pytest.raises(MeiflowError, match=r"no neuron is left .*mean_rate_hz < 1e\+06"):
        select(rule, results, NWB)
    assert not results.selection.exists()
    assert not results.correlations.exists()
    select(rule, results, NWB, allow_empty=True)
    assert not read_csv(results.selection)["selected"].any()
