"""The first answers count the neurons that can be believed, and none other."""

import pandas as pd

from meiflow.report.brief import answers

SUMMARY = pd.DataFrame(
    {
        "neuron_id": ["a", "b", "c"],
        "trusted": [True, True, False],
        "mei_peak_frequency_cpd": [0.04, 0.06, 0.5],
        "mei_size_deg": [20.0, 30.0, 90.0],
        "mei_over_best_gabor_low": [0.9, 0.99, 3.0],
    }
)


def test_neurons_that_are_not_trusted_count_for_nothing():
    believed, wanted, explained = (answer for _, answer in answers(SUMMARY))
    assert believed == "2 of 3 neurons, marked ✓: a, b."
    assert "0.050 cycles/deg, 25° wide" in wanted
    assert explained.startswith("Nothing in these 2")


def test_without_trusted_neurons_nothing_is_known():
    answered = dict(answers(SUMMARY.assign(trusted=False)))
    assert answered.pop("Whom to believe?") == "None of the 3 neurons."
    assert set(answered.values()) == {"Not known, because no neuron is trusted."}


def test_without_a_verdict_all_neurons_count():
    plain = SUMMARY.drop(columns="trusted")
    believed, wanted, explained = (answer for _, answer in answers(plain, provisional=True))
    assert believed == "Not judged yet; below are all 3 neurons."
    assert "0.060 cycles/deg, 30° wide" in wanted
    assert explained.startswith("1 of these 3")
    assert explained.endswith(": c.")
    without = plain.drop(columns="mei_over_best_gabor_low")
    assert answers(without)[2][1] == "Not known, because the ratios have no intervals."
