"""The rule that selects neurons by their measures, and how it explains itself."""

import numpy as np
import pandas as pd
import pytest

from meiflow.config.sections import Selection
from meiflow.errors import MeiflowError
from meiflow.selection.measures import measure_neurons, measure_session
from meiflow.selection.rule import UNDEFINED, apply_rule, require_somebody
from meiflow.tables.counts import Trials


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "neuron_id": ["1", "2", "3", "4", "5"],
            "oracle": [0.5, 0.3, 0.05, 0.4, np.nan],
            "oracle_p": [0.001, 0.001, 0.4, 0.001, np.nan],
            "variance": [4.0, 2.0, 3.0, 0.01, 0.0],
        }
    )


def rule(**changes):
    base = {"oracle_p_max": 0.01, "oracle_min": 0.1, "variance_quantile": None, "shuffles": 200}
    return Selection(**(base | changes))


def chosen(table, **changes):
    result = apply_rule(table, rule(**changes))
    return result.loc[result["selected"], "neuron_id"].tolist()


def test_every_condition_must_hold_and_names_itself(table):
    assert chosen(table) == ["1", "2", "4"]
    reasons = apply_rule(table, rule(variance_quantile=0.5))["reason"].tolist()
    assert reasons == [
        "all conditions hold",
        "all conditions hold",
        "oracle_p > 0.01; oracle < 0.1",
        "variance below the 0.5 quantile",
        "oracle undefined: no image was repeated, or the counts do not vary; "
        "variance below the 0.5 quantile",
    ]


def test_top_k_include_exclude(table):
    assert chosen(table, top_k=2) == ["1", "4"]
    assert chosen(table, include=["3"], exclude=["1"]) == ["2", "3", "4"]


def test_quantile_rule_like_the_notebooks(table):
    assert chosen(
        table, oracle_p_max=None, oracle_min=None, oracle_quantile=0.6, variance_quantile=0.5
    ) == ["1"]


def test_any_measure_by_value_or_quantile(table):
    table["fev"] = [0.3, 0.05, 0.2, 0.4, np.nan]
    assert chosen(table, minimum={"fev": 0.1}) == ["1", "4"]
    assert chosen(table, maximum={"variance": 2.0}) == ["2", "4"]
    # the middle one equals the median and is not above it
    assert chosen(table, quantile_min={"variance": 0.5}) == ["1", "2"]
    assert chosen(table, quantile_above={"variance": 0.5}) == ["1"]
    assert chosen(table, top_k=1, rank_by="variance") == ["1"]
    # a separate key and a limit in `minimum` both apply
    assert chosen(table, minimum={"oracle": 0.0}) == ["1", "2", "4"]
    assert chosen(table, minimum={"oracle": 0.45}) == ["1"]
    with pytest.raises(MeiflowError, match=r"selection.minimum: no measure 'fef'.*'fev'"):
        apply_rule(table, rule(minimum={"fef": 1}))
    with pytest.raises(MeiflowError, match=r"selection.rank_by: no measure 'neuron_id'"):
        apply_rule(table, rule(top_k=1, rank_by="neuron_id"))


def test_an_undefined_measure_never_passes(table):
    off = {"oracle_p_max": None, "oracle_min": None}
    for limits in ({"minimum": {"oracle": -1}}, {"maximum": {"oracle_p": 1}}):
        result = apply_rule(table, rule(**off, **limits))
        assert result["selected"].tolist() == [True] * 4 + [False]
        assert result["reason"][4].startswith("oracle undefined: no image was repeated")
    table["fev"] = [0.3, np.nan, 0.2, 0.4, 0.1]
    result = apply_rule(table, rule(**off, minimum={"fev": 0.25}))
    assert result["reason"].tolist()[1:3] == ["fev undefined", "fev < 0.25"]


def test_excluded_neurons_do_not_count_for_top_k(table):
    assert chosen(table, top_k=2, exclude=["1"]) == ["2", "4"]
    with pytest.raises(ValueError, match="include: '1' is also in exclude"):
        rule(include=["1"], exclude=["1"])
    with pytest.raises(ValueError, match=r"oracle_p_max: 0.001 cannot be reached with 200 shuff"):
        rule(oracle_p_max=0.001)
    with pytest.raises(
        ValueError, match=r"maximum.oracle_p: 0.001 cannot be reached with 200 shuff"
    ):
        rule(maximum={"oracle_p": 0.001})


def test_no_neuron_left_and_unknown_ids_are_explained(table):
    with pytest.raises(MeiflowError, match=r"no neuron is left .*oracle < 0.9"):
        require_somebody(apply_rule(table, rule(oracle_min=0.9)))
    with pytest.raises(MeiflowError, match=r"selection.include: no neuron '77'"):
        apply_rule(table, rule(include=["77"]))


@pytest.mark.parametrize("neurons", [1, 2])
def test_few_neurons_pass_the_default_rule(rng, neurons):
    ids = np.repeat(np.arange(20), 10)
    counts = rng.poisson(rng.uniform(0, 9, (20, neurons))[ids])
    trials = Trials(np.arange(200), [f"n{i}" for i in range(neurons)], ids, counts)
    table, _ = measure_neurons(trials, 0.25, 1000, 0)
    table = pd.concat([table, measure_session(trials, None)], axis=1)
    assert apply_rule(table, Selection(shuffles=1000))["selected"].any()


def test_one_trial_per_image_is_explained(rng):
    counts = rng.poisson(3.0, (30, 2))
    trials = Trials(np.arange(30), ["a", "b"], np.arange(30), counts)
    table, _ = measure_neurons(trials, 0.25, 100, 0)
    with pytest.raises(MeiflowError, match="oracle undefined: no image was repeated"):
        require_somebody(apply_rule(table, rule()))


def test_a_session_without_spikes_is_explained():
    trials = Trials(np.arange(24), ["a", "b"], np.repeat(np.arange(6), 4), np.zeros((24, 2), int))
    table, _ = measure_neurons(trials, 0.25, 100, 0)
    table = pd.concat([table, measure_session(trials, None)], axis=1)
    assert table["preferred_image"].isna().all()
    assert table["fano_factor"].isna().all()
    with pytest.raises(MeiflowError, match=r"no neuron is left .*oracle undefined"):
        require_somebody(apply_rule(table, rule()))


@pytest.mark.parametrize(
    ("reason", "status", "advice"),
    [
        ("oracle < 0.9", None, "; relax the criteria or list neurons in selection.include"),
        (UNDEFINED, None, "; use null for selection.oracle_p_max and selection.oracle_min, or"),
        ("selection.exclude", None, "; remove neurons from selection.exclude"),
        ("fitting ln failed", "fit failed", "which neither criteria nor selection.include can"),
    ],
)
def test_advice_can_help(reason, status, advice):
    judged = pd.DataFrame({"neuron_id": ["a", "b"], "selected": False, "reason": reason})
    if status is not None:
        judged["status"] = status
    with pytest.raises(MeiflowError) as caught:
        require_somebody(judged)
    assert advice in str(caught.value)
