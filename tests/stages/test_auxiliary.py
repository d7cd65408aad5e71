"""Additional stimuli for fitting models, from the tables of a session."""

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_trials
from meiflow.stages.auxiliary import auxiliary_stimuli, drifting_stimuli

GRATINGS = SessionHas(gratings=True)


def extra_of(kinds, results, has, trials):
    config = parse_config({"model": {"learn_from": ["scenes", *kinds]}})
    return auxiliary_stimuli(config, results, has, trials, trials.neuron_ids[:2])


def test_blanks_and_gratings_of_some_neurons(small_results):
    trials = read_trials(small_results)
    extra = extra_of(["blanks", "static_gratings"], small_results, GRATINGS, trials)
    table = read_csv(small_results.grating_responses)
    assert extra.means.shape == (1 + len(table), 2)
    np.testing.assert_array_equal(extra.means[1:], table[trials.neuron_ids[:2]])
    blank = read_csv(small_results.blank_responses)
    np.testing.assert_allclose(extra.means[0], blank[trials.neuron_ids[:2]].iloc[0], atol=1e-7)
    nothing = extra_of([], small_results, GRATINGS, trials)
    assert nothing.images.shape == (0, 60, 96)
    assert nothing.means.shape == (0, 2)


def test_gratings_are_used_where_they_were_shown(small_results):
    """Not those that an earlier session left."""
    trials = read_trials(small_results)
    assert not len(extra_of(["static_gratings"], small_results, SessionHas(), trials).images)


def test_gabors_are_learned_on_request_and_where_they_were_shown(small_results):
    trials, has = read_trials(small_results), SessionHas(gabors=True)
    neurons = trials.neuron_ids[:2]

    def drifting(has, *kinds):
        config = parse_config({"model": {"learn_from": ["scenes", *kinds]}})
        return drifting_stimuli(config, small_results, has, 10.0, neurons)

    [gabors] = drifting(has, "gabors", "drifting_gratings")
    table = read_csv(small_results.gabor_responses)
    np.testing.assert_array_equal(gabors.means, table[neurons])
    np.testing.assert_allclose(gabors.weights, np.minimum(table["repeats"] / 10, 1))
    assert gabors.pairs.shape == (len(table), 2, 60, 96)
    assert drifting(has) == drifting(SessionHas(), "gabors") == []


def test_gratings_of_other_neurons_are_reported(small_results, tmp_path):
    trials, results = read_trials(small_results), Layout(tmp_path)
    table = read_csv(small_results.grating_responses)
    write_csv(table.drop(columns=trials.neuron_ids[1]), results.grating_responses)
    with pytest.raises(MeiflowError, match=rf"missing column {trials.neuron_ids[1]}"):
        extra_of(["static_gratings"], results, GRATINGS, trials)
