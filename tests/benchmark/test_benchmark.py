"""The benchmark: its recordings, its tables, and the published numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meiflow.benchmark import publish
from meiflow.benchmark.calibrate import choose_rule
from meiflow.benchmark.design import (
    BREAKING,
    GABOR_LIKE,
    MAIN,
    TUNED,
    UNTUNED,
    Cell,
    full_design,
    quick_design,
)
from meiflow.benchmark.recording import BenchmarkSession
from meiflow.benchmark.run import cell_file, listed, read_cells, run_cells
from meiflow.benchmark.table import at_main, by_data, by_model, by_stimulus
from meiflow.errors import MeiflowError
from meiflow.simulation.truth import KINDS
from meiflow.validation.trust import calibration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def session():
    return BenchmarkSession(3)


def test_it_contains_every_kind_of_neuron():
    assert set(TUNED) == set(KINDS) - {"untuned"}
    assert set(GABOR_LIKE) | set(BREAKING) == set(TUNED)
    assert set(quick_design()) <= set(full_design())
    assert len(set(full_design())) == len(full_design())


def test_a_smaller_recording_is_a_part_of_a_larger_one(session):
    keys = ["trial_id", "neuron_id"]
    whole = session.trials(Cell(3, 118, 50)).set_index(keys)
    part = session.trials(Cell(3, 25, 5)).set_index(keys)
    assert len(part) == (25 + 1) * 5 * (len(TUNED) + UNTUNED)
    pd.testing.assert_frame_equal(part, whole.loc[part.index])
    assert part["image_id"].value_counts().nunique() == 1
    assert sorted(part["image_id"].unique()) == list(range(-1, 25))


@pytest.mark.thorough
def test_recordings_are_reproducible_and_sessions_differ(session):
    again = BenchmarkSession(3)
    cell = Cell(3, 25, 5)
    pd.testing.assert_frame_equal(session.trials(cell), again.trials(cell))
    pd.testing.assert_frame_equal(session.gabors(0.2), again.gabors(0.2))
    other = BenchmarkSession(2).neurons
    assert not np.allclose(other["x_deg"], session.neurons["x_deg"])


def test_noise_is_in_the_gain_and_leaves_the_mean(session):
    quiet, loud = (session.trials(Cell(3, 118, 50, noise)) for noise in (0.0, 0.5))
    by_neuron = [t.groupby("neuron_id")["spike_count"] for t in (quiet, loud)]
    means = [g.mean() for g in by_neuron]
    np.testing.assert_allclose(means[1] / means[0], 1, atol=0.25)
    untuned = [f"untuned_{i + 1}" for i in range(UNTUNED)]
    fano = [(g.var() / g.mean())[untuned] for g in by_neuron]
    np.testing.assert_allclose(fano[0], 1, atol=0.06)  # Poisson
    assert (fano[1] > fano[0] + 0.05).all()
    assert fano[1].mean() > 1.1


def test_untuned_neurons_respond_to_no_image(session):
    trials = session.trials(Cell(3, 118, 50, 0.0))
    own = trials[trials["neuron_id"] == "untuned_1"].groupby("image_id")["spike_count"]
    spread, expected = own.mean().var(), own.var().mean() / 50
    assert spread == pytest.approx(expected, rel=0.4)


def rows(fractions, **keys):
    base = {"session": 0, "images": MAIN[0], "repeats": MAIN[1], "noise": 0.2} | keys
    return pd.DataFrame(
        [
            base
            | {
                "neuron_id": kind,
                "kind": kind,
                "model": model,
                "stimulus": stimulus,
                "fraction_of_optimum": value,
            }
            for kind, model, stimulus, value in fractions
        ]
    )


LOOP = [
    ("simple", "mixture", "mei", 0.9),
    ("complex", "mixture", "mei", 0.7),
    ("corner", "mixture", "mei", 0.6),
    ("simple", "mixture", "best_gabor", 0.5),
    ("corner", "ln", "mei", 0.65),
    ("untuned", "mixture", "mei", np.nan),
]


def test_means_by_kind_and_group():
    loop = pd.concat([rows(LOOP), rows([("simple", "mixture", "mei", 0.1)], images=25)])
    table = by_stimulus(at_main(loop))
    assert table.loc["Gabor-like", "mei"] == pytest.approx(0.8)
    assert table.loc["Gabor-like", "mei_lowest"] == pytest.approx(0.7)
    assert table.loc["all that violate the Gabor assumption", "mei"] == pytest.approx(0.6)
    assert table.loc["simple", "best_gabor"] == pytest.approx(0.5)
    models = by_model(at_main(loop))
    assert models.loc["corner, curve, two bars", ["mixture", "ln"]].tolist() == pytest.approx(
        [0.6, 0.65]
    )


def test_fractions_by_cell():
    loop = rows(LOOP)
    mei = loop[(loop["stimulus"] == "mei") & (loop["model"] == "mixture")]
    judged = publish.with_fractions(loop, mei.drop(columns=["fraction_of_optimum"])).assign(
        selected=[True, True, False, False], trusted=[True, False, True, False]
    )
    judged["right"] = judged["fraction_of_optimum"] >= 0.8
    (row,) = by_data(judged).to_dict("records")
    assert (row["neurons"], row["untuned"], row["untuned_trusted"]) == (3, 1, 0)
    assert row["gabor_like"] == pytest.approx(0.8)
    assert row["breaking"] == pytest.approx(0.6)
    assert row["trusted"] == pytest.approx(2 / 3)
    assert row["trusted_right"] == pytest.approx(0.5)


def test_finished_cells_are_kept_and_a_missing_one_is_reported(tmp_path, monkeypatch):
    from meiflow.benchmark import cell as module

    made = []

    def pretend(cell, session, optima, threads):
        made.append(cell)
        assert optima == {"simple": 2.0}
        table = pd.DataFrame({"neuron_id": ["simple"], "fraction_of_optimum": [0.5]})
        return table, table[["neuron_id"]]

    monkeypatch.setattr(module, "run_cell", pretend)
    monkeypatch.setattr(module, "true_optima", lambda session: {"simple": 2.0})
    cells = [Cell(0, 25, 5), Cell(0, 50, 50)]
    run_cells(cells, tmp_path, 1)
    cell_file(tmp_path, "loop", cells[1]).unlink()
    run_cells(cells, tmp_path, 1)
    assert made == [*cells, cells[1]]
    lines = listed(tmp_path, quick=False).splitlines()
    assert len(lines) == len(full_design())
    assert [line for line in lines if line.endswith("done")] == [f"{c.name}  done" for c in cells]
    assert read_cells(cells, tmp_path, "loop")["images"].tolist() == [25, 50]
    (tmp_path / "cells" / "version.txt").write_text("meiflow 0.0.1, benchmark 1\n")
    with pytest.raises(MeiflowError, match="another --output"):
        run_cells(cells, tmp_path, 1)
    with pytest.raises(MeiflowError, match="25x15"):
        read_cells([Cell(0, 25, 15)], tmp_path, "loop")


def fractions():
    """The published fractions; tuned neurons of the benchmark are named after their kind."""
    table = publish.published("fractions")
    return table.assign(kind=table["neuron_id"])


def test_a_fraction_that_differs_by_half_a_printed_digit_is_found():
    loop = publish.published("fractions").head(20)
    untuned = loop.tail(1).assign(neuron_id="untuned_1", fraction_of_optimum=np.nan)
    loop = pd.concat([loop, untuned], ignore_index=True)
    assert publish.compare_with_published(loop).empty
    close = loop.assign(fraction_of_optimum=loop["fraction_of_optimum"] + 0.0049)
    assert publish.compare_with_published(close).empty
    other = loop.copy()
    other.loc[3, "fraction_of_optimum"] -= 0.0051
    found = publish.compare_with_published(other)
    assert found["neuron_id"].tolist() == [loop.loc[3, "neuron_id"]]
    with pytest.raises(MeiflowError, match="lacks"):
        publish.compare_with_published(loop.assign(session=99))


def test_what_is_published_keeps_the_bars():
    """Mean fraction at 118 images x 50 repeats: 0.90 for Gabor-like kinds, 0.75 for the others."""
    loop = fractions()
    table = by_stimulus(at_main(loop))
    assert table.loc["Gabor-like", "mei"] >= 0.90
    assert table.loc["all that violate the Gabor assumption", "mei"] >= 0.75
    assert (table.loc[list(BREAKING), "mei"] >= 0.75).all()
    cells = loop[["session", "images", "repeats", "noise"]].drop_duplicates()
    cells = {Cell(*row) for row in cells.itertuples(index=False, name=None)}
    assert cells == set(full_design())


@pytest.mark.parametrize("name", ["by_kind", "by_group", "by_model"])
def test_tables_of_the_docs_follow_from_what_is_published(name):
    shown = pd.read_csv(ROOT / "docs" / "benchmark" / f"{name}.csv", index_col="kind")
    made = (by_model if name == "by_model" else by_stimulus)(at_main(fractions())).loc[shown.index]
    pd.testing.assert_frame_equal(shown, made.round(publish.DIGITS), check_dtype=False, atol=0.011)


def test_the_rule_has_the_precision_that_follows_from_what_is_published():
    """Chosen on some neurons and measured on others, both from the published table."""
    assert choose_rule(publish.published("trust")) == calibration()
