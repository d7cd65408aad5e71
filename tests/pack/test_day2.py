"""A simulated day 2: a pack shown to the true neurons with noise, and read back."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, read_csv, write_csv
from meiflow.pack.stimuli import BLANK
from meiflow.results.pack import DayLayout, PackLayout, read_pack
from meiflow.stages.read_pack import score_responses
from tests.pack.day2 import CONTRAST, NEURONS, show, true_rates


@pytest.fixture(scope="module")
def day(known, pack):
    """Folder of pack, responses and scores, and the truth; must not be changed."""
    root, table = pack.parent, known[1]
    show(pack, table, root / "responses.csv")
    score_responses(pack, root / "responses.csv", root / "day2")
    return root, table


@pytest.fixture
def scores(day):
    return read_csv(DayLayout(day[0] / "day2").comparisons)


def true_fractions(day):
    """Of the true drives, by neuron, stimulus and contrast, and of the optimum's the MEI's."""
    root, table = day
    pack = PackLayout(root / "pack")
    rates = true_rates(table, read_array(pack.luminance))
    stimuli = read_csv(pack.stimuli)
    found = {}
    for k, neuron in enumerate(table.index):
        own = stimuli[stimuli["neuron_id"] == neuron]
        drive = rates[:, k] - rates[-1, k]
        for contrast, here in own.groupby("contrast"):
            ids = here.set_index("stimulus")["stimulus_id"]
            for stimulus in ids.index:
                found[neuron, stimulus, contrast] = drive[ids[stimulus]] / drive[ids["mei"]]
    return found


def test_true_fractions_of_the_closed_loop_are_within_their_intervals(day, scores):
    truth = true_fractions(day)
    rows = scores[scores["stimulus"] != BLANK]
    inside = [
        row.fraction_low <= truth[row.neuron_id, row.stimulus, row.contrast] <= row.fraction_high
        for row in rows.itertuples()
    ]
    assert len(inside) == NEURONS * 2 * 5
    # 95 % intervals: of 60, fewer than 51 in one of 2,000 runs; over seeds 94 %
    assert np.mean(inside) >= 0.85


def test_fraction_of_the_optimum_over_neurons_is_within_its_interval(day):
    truth = true_fractions(day)
    table = read_csv(DayLayout(day[0] / "day2").stimuli).set_index(["neurons_are", "stimulus"])
    for stimulus in ("optimum", "best_gabor", "scrambled_mei"):
        own = [
            value for (_, s, c), value in truth.items() if s == stimulus and np.isclose(c, CONTRAST)
        ]
        row = table.loc[("all", stimulus)]
        assert row["fraction_low"] < np.mean(own) < row["fraction_high"]
        assert row["fraction_high"] - row["fraction_low"] < 0.8
    assert table.loc[("all", "optimum"), "fraction"] > 1.05  # these MEIs are not the optimum


def test_stimuli_are_ranked_as_by_the_true_neurons(day):
    root, table = day
    measured = read_csv(DayLayout(root / "day2").responses)
    rates = true_rates(table, read_array(PackLayout(root / "pack").luminance))
    for k, neuron in enumerate(table.index):
        own = measured[measured["neuron_id"] == neuron]
        truth = rates[own["stimulus_id"], k]
        assert np.corrcoef(own["response"], truth)[0, 1] > 0.97
        clear = np.abs(truth[:, None] - truth) > 3 * np.hypot(
            *np.meshgrid(own["standard_error"] + 0.1, own["standard_error"] + 0.1)
        )
        order = np.sign(own["response"].to_numpy()[:, None] - own["response"].to_numpy())
        assert (order == np.sign(truth[:, None] - truth))[clear].mean() > 0.995


def test_verdicts_agree_with_the_truth(day, scores):
    """The MEI wins where the other stimulus drives the neuron clearly less, and nowhere else."""
    truth = true_fractions(day)
    rows = scores[(scores["stimulus"] != BLANK) & np.isclose(scores["contrast"], CONTRAST)]
    for row in rows.itertuples():
        fraction = truth[row.neuron_id, row.stimulus, row.contrast]
        if fraction < 0.4:
            assert row.mei_wins
        if fraction > 1:
            assert not row.mei_wins
    neurons = read_csv(DayLayout(day[0] / "day2").neurons).set_index("neuron_id")
    assert not neurons["beats_all"].any()  # the optimum is among the stimuli
    controls = rows[rows["stimulus"].isin(["other_mei", "scrambled_mei"])]
    wins = controls.groupby("neuron_id")["mei_wins"].all()
    assert (neurons["beats_controls"] == wins).all()
    summary = json.loads(DayLayout(day[0] / "day2").summary.read_text())
    assert summary["trusted_beat_controls"] == wins[neurons["trusted"]].sum()
    assert (summary["trusted_neurons"], summary["untrusted_neurons"]) == (NEURONS - 1, 1)
    assert (neurons["cc_norm"] > 0.9).all()


def test_shuffled_responses_show_no_winner(day, tmp_path):
    root, _ = day
    table = read_csv(root / "responses.csv")
    rng = np.random.default_rng(0)
    names = [c for c in table if c != "frame"]
    table[names] = table[names].to_numpy()[rng.permutation(len(table))]
    write_csv(table, tmp_path / "shuffled.csv")
    said = score_responses(root / "pack", tmp_path / "shuffled.csv", tmp_path / "day2")
    assert said.startswith(f"of {NEURONS - 1} trusted MEIs, 0 drove their neuron more")
    assert (read_csv(tmp_path / "day2" / "neurons.csv")["cc_abs"].abs() < 0.4).all()


def test_other_names_and_another_order_give_the_same_scores(day, tmp_path):
    """By stimulus_id instead of frame, rows in another order, and two neurons renamed."""
    root, _ = day
    shown = read_csv(root / "responses.csv")
    frames = read_csv(PackLayout(root / "pack").frames)
    other = shown.assign(stimulus_id=frames["stimulus_id"]).drop(columns="frame")
    kept = other[["stimulus_id", "n2", "n0"]].rename(columns={"n2": "7", "n0": "cell"})
    write_csv(kept, tmp_path / "other.csv")
    match = pd.DataFrame({"neuron_id": ["n2", "n0"], "recorded_id": ["7", "cell"]})
    write_csv(match, tmp_path / "match.csv")
    score_responses(root / "pack", tmp_path / "other.csv", tmp_path / "d", tmp_path / "match.csv")
    found = read_csv(tmp_path / "d" / "comparisons.csv")
    whole = read_csv(DayLayout(root / "day2").comparisons)
    assert list(found["neuron_id"].unique()) == ["n0", "n2"]
    whole = whole[whole["neuron_id"].isin(["n0", "n2"])].reset_index(drop=True)
    pd.testing.assert_series_equal(found["fraction"], whole["fraction"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="frame"), "no column frame"),
        (
            lambda t: t.assign(frame=t["frame"] + 1),
            r"column frame, line \d+: \d+; expected a whole",
        ),
        (lambda t: t.assign(frame=0), "frame 0 occurs twice"),
        (lambda t: t.assign(stimulus_id=0), "shows stimulus .*, not 0; if the order was another"),
        (lambda t: t.assign(n1=-1), "column n1, line 2: -1; expected spike counts"),
        (lambda t: t.assign(n1=np.where(t["frame"] == 4, np.nan, 1)), "line 6: an empty cell"),
        (lambda t: t.assign(n1="many"), "column n1 must contain numbers"),
        (lambda t: t[["frame"]], "no column of a neuron of the pack"),
        (lambda t: t.iloc[:50], "fewer than 2 presentations of stimulus"),
    ],
)
def test_invalid_responses_give_one_clear_line(day, tmp_path, change, message):
    write_csv(change(read_csv(day[0] / "responses.csv")), tmp_path / "r.csv")
    with pytest.raises(MeiflowError, match=message):
        score_responses(day[0] / "pack", tmp_path / "r.csv", tmp_path / "day2")
    assert not (tmp_path / "day2").exists()


def test_what_is_no_pack_or_a_changed_one_is_refused(day, tmp_path):
    with pytest.raises(MeiflowError, match="not a stimulus pack"):
        read_pack(tmp_path)
    shutil.copytree(day[0] / "pack", tmp_path / "pack")
    stimuli = PackLayout(tmp_path / "pack").stimuli
    stimuli.write_text(stimuli.read_text().replace("best_gabor", "mei", 1))
    with pytest.raises(MeiflowError, match=r"stimuli\.csv"):
        read_pack(tmp_path / "pack")
