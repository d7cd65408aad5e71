"""Methods of anyone in the benchmark: what they are given, how they are scored, how they fail."""

import ast
import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta
from typer.testing import CliRunner

from meiflow.benchmark import entry, methods, score
from meiflow.benchmark.enter import as_text, benchmark, open_source
from meiflow.benchmark.entry import Answer, Recording
from meiflow.benchmark.score import Plan, record, results_of, run_sessions, scored
from meiflow.benchmark.sources import (
    CONTRAST,
    MEAN,
    SCREEN,
    KindsSource,
    Pictures,
    RandomSource,
    Session,
    fingerprint,
)
from meiflow.benchmark.summary import summarise
from meiflow.benchmark.table import clopper_pearson
from meiflow.cli.app import app
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry

ROOT = Path(__file__).resolve().parents[2]
SMALL = Geometry(12, 16)
CODE = """
import numpy as np

def mean_image(recording):  # spike-triggered average
    contrast = recording.images - recording.images.mean(axis=0)
    counts = recording.mean_counts - recording.mean_counts.mean(axis=0)
    return recording.matched(np.tensordot(counts.T, contrast, 1))

def drawn(recording):  # from the global generator
    shape = recording.neurons, *recording.screen.shape
    return recording.matched(np.random.standard_normal(shape))
"""


class Linear:
    """Neurons that respond to the luminance of single columns of pixels."""

    names = ("left", "right")

    def rates(self, images):
        return 1 + images[:, :, [2, 12]].mean(axis=1)

    def maximal_drive(self, mean, contrast):
        return np.full(2, 1 - mean)


@pytest.fixture
def opened():
    images = np.random.default_rng(0).uniform(size=(10, *SMALL.shape)).astype(np.float32)
    return Session(images, Linear(), Linear(), SMALL)


@pytest.fixture
def custom(tmp_path, monkeypatch):
    """Module of a user in the current folder."""
    (tmp_path / "entered.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("entered", None)


def small(folder, neurons=2, seed=0):
    return Plan(RandomSource(Pictures(None, seed), seed), neurons, 12, 3, seed, folder)


def given_optima(plan):
    """The plan with made-up optima, which take long to find."""
    for session in plan.sessions:
        plan.optima(session).parent.mkdir(parents=True, exist_ok=True)
        names = [f"n{i}" for i in range(session[1])]
        pd.DataFrame({"name": names, "optimum": 1.0}).to_csv(plan.optima(session), index=False)
    return plan


@pytest.mark.parametrize(
    ("source", "known"),
    [
        (RandomSource(Pictures()), "53c0614a632a"),
        (RandomSource(Pictures(), published=True), "97361545f6db"),
        (KindsSource(Pictures()), "436132c1b3de"),
    ],
)
def test_a_version_never_changes(source, known):
    """If this fails, the source is another one: raise its version."""
    assert source.version == 1
    assert fingerprint(source) == known


def test_methods_are_given_data_only():
    assert {f.name for f in fields(Recording)} == {
        "images", "counts", "screen", "mean", "contrast", "seed",
    }  # fmt: skip
    for module in (methods, entry):
        tree = ast.parse(Path(module.__file__).read_text())
        names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not [n for n in names if "simulation" in n or n.endswith(("truths", "sources"))]


def test_what_a_method_is_given_does_not_change(opened):
    recording = record(opened, 3, (0, 0))
    assert recording.counts.shape == (3, 10, 2 + score.UNTUNED)
    assert (recording.mean, recording.contrast) == (MEAN, CONTRAST)
    for given in (recording.images, recording.counts):
        with pytest.raises(ValueError, match="read-only"):
            given[0] = 0
    other = record(opened, 3, (0, 1))
    assert (other.seed, other.counts.tolist()) != (recording.seed, recording.counts.tolist())


def test_the_drive_is_that_of_the_judge_above_grey(opened, monkeypatch):
    recording = record(opened, 3, (0, 0))
    stimuli = recording.matched(recording.images[:5])
    monkeypatch.setitem(
        methods.METHODS, "mine", lambda given: Answer(stimuli, stimuli[:, 0, 0] > 0.5)
    )
    rows, kept = scored("mine", recording, opened)
    np.testing.assert_array_equal(kept, stimuli)
    expected = [stimuli[0, :, 2].mean() - MEAN, stimuli[1, :, 12].mean() - MEAN]
    np.testing.assert_allclose(rows["drive"][:2], expected, atol=1e-6)
    assert rows["drive"][2:].isna().all()  # untuned
    assert rows["trusted"].tolist() == (stimuli[:, 0, 0] > 0.5).tolist()


def fails(recording):
    raise ZeroDivisionError("no spikes")


def leaves(recording):
    sys.exit(3)


def too_few(recording):
    return recording.matched(recording.images[:2])


def nothing(recording):
    return None


def wrong_trust(recording):
    return Answer(recording.matched(recording.images[:5]), np.ones(2, bool))


def own_drive(recording):
    return Answer(recording.matched(recording.images[:5]), details={"drive": np.ones(5)})


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (own_drive, "returns details named drive, which the table contains"),
        (fails, "ZeroDivisionError: no spikes"),
        (leaves, "SystemExit: 3"),
        (too_few, r"stimuli of shape (2, 12, 16); expected (5, 12, 16): neurons, height, width"),
        (nothing, "stimuli of shape (); expected (5, 12, 16): neurons, height, width"),
        (wrong_trust, "returns trusted of shape (2,); expected (5,)"),
    ],
)
def test_a_method_that_fails_is_a_line(opened, monkeypatch, method, reason):
    monkeypatch.setitem(methods.METHODS, "mine", method)
    rows, _ = scored("mine", record(opened, 3, (0, 0)), opened)
    assert (rows["status"] == "failed").all()
    assert all(reason in text for text in rows["reason"])


def test_too_little_memory_is_not_a_failure_of_the_method(opened, monkeypatch):
    def large(recording):
        raise MemoryError

    monkeypatch.setitem(methods.METHODS, "mine", large)
    with pytest.raises(MemoryError):
        scored("mine", record(opened, 3, (0, 0)), opened)


def test_single_stimuli_fail_alone(opened, monkeypatch):
    def partly(recording):
        good = recording.matched(recording.images[:5])
        good[1, 3, 3] = np.nan
        return good

    monkeypatch.setitem(methods.METHODS, "mine", partly)
    recording = record(opened, 3, (0, 0))
    rows, _ = scored("mine", recording, opened)
    assert rows["status"].tolist() == ["ok", "failed", "ok", "ok", "ok"]
    assert rows["reason"][1] == "no stimulus: not all pixels are finite"
    outside = recording.matched(recording.images[:1])[0]
    outside[0, 0] = 1.2
    assert "expected values in 0..1" in entry.fault_of(outside, recording)


def test_any_number_of_jobs_and_a_killed_run_give_the_same_table(custom, monkeypatch):
    monkeypatch.setattr(score, "SIZE", 1)
    chosen = ["entered:mean_image", "entered:drawn", "best-natural"]
    first = given_optima(small(custom / "a"))
    run_sessions(first, chosen, 1)
    whole = results_of(first, chosen)
    assert len(whole) == 2 * 3 * (1 + score.UNTUNED)
    second = given_optima(small(custom / "b"))
    # killed after the first method of the first session
    run_sessions(small(custom / "b", 1), chosen[1:2], 1)
    kept = second.unit((0, 1), chosen[1])
    written = kept.stat().st_mtime_ns
    run_sessions(second, chosen, 1)
    assert kept.stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(
        results_of(second, chosen).drop(columns="cpu_s"), whole.drop(columns="cpu_s")
    )
    # code that changes makes the method another one
    (custom / "entered.py").write_text(CODE + "\n# changed\n")
    assert not second.unit((0, 1), chosen[1]).exists()


def test_processes_give_the_same_table(custom):
    """Two sessions in two processes, each with other generators before the call."""
    chosen = ["entered:drawn"]
    together, alone = (given_optima(small(custom / name, 13)) for name in "ab")
    for plan, jobs in ((together, 2), (alone, 1)):
        np.random.seed(jobs)  # noqa: NPY002
        run_sessions(plan, chosen, jobs)
    pd.testing.assert_frame_equal(
        results_of(together, chosen).drop(columns="cpu_s"),
        results_of(alone, chosen).drop(columns="cpu_s"),
    )


def test_the_table_says_what_is_not_installed(custom, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plan = small(custom / "a", 1)
    summary = benchmark(plan, ["entered:mean_image", "openretina"], 1)
    assert summary.index.tolist() == ["entered:mean_image", "openretina", "best-natural"]
    assert summary.loc["openretina", "note"] == "not installed"
    assert np.isnan(summary.loc["openretina", "mean_fraction"])
    assert "not installed" in as_text(summary)
    assert 0 < summary.loc["entered:mean_image", "mean_fraction"] < 1
    assert "entered:mean_image" in (custom / "a" / "citation.txt").read_text()
    # what was finished earlier stays in the table
    assert "best-natural" in benchmark(plan, ["entered:drawn"], 1).index
    settings = json.loads((custom / "a" / "settings.json").read_text())
    assert settings["source"] == "random-1 development seed 0"
    with pytest.raises(MeiflowError, match="another --out"):
        benchmark(small(custom / "a", 1, seed=1), ["entered:drawn"], 1)


def test_the_summary_counts_failures_as_zero():
    def rows(method, fractions, **more):
        n = len(fractions)
        table = {"neuron": range(n), "method": method, "status": "ok", "reason": ""}
        return pd.DataFrame(table | {"fraction_of_optimum": fractions, "cpu_s": 2.0} | more)

    mine = rows("mine", [0.9, 0.9, 0.5, 0.0, 0.8], trusted=[True, True, True, False, False])
    mine.loc[3, ["status", "reason"]] = "failed", "no stimulus"
    untuned = mine.tail(2).assign(neuron=[-1, -2], trusted=[True, False])
    table = summarise(pd.concat([mine, untuned, rows("best-natural", [0.1, 0.95, 0.1, 0.1, 0.1])]))
    row = table.loc["mine"]
    assert (row["neurons"], row["failed"], row["trusted"], row["untuned_trusted"]) == (5, 1, 3, 1)
    assert row["mean_fraction"] == pytest.approx(0.62)
    assert row["mean_fraction_low"] < 0.62 < row["mean_fraction_high"]
    assert row["reaching"] == pytest.approx(0.6)
    assert row["above_natural"] == pytest.approx(0.6)
    assert (row["precision"], row["coverage"]) == pytest.approx((2 / 3, 2 / 3))
    assert (row["precision_low"], row["precision_high"]) == clopper_pearson(2, 3)
    assert row["note"] == "no stimulus"
    assert np.isnan(table.loc["best-natural", "trusted"])


def test_the_interval_is_clopper_and_pearsons():
    low, high = clopper_pearson(7, 9)
    assert low == pytest.approx(beta.ppf(0.025, 7, 3))
    assert high == pytest.approx(beta.ppf(0.975, 8, 2))
    assert clopper_pearson(0, 4)[0] == 0
    assert np.isnan(clopper_pearson(0, 0)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["walkr"], "walkr: no such method (did you mean 'walker'?)"),
        (["nowhere:f"], "nowhere:f: ModuleNotFoundError: No module named 'nowhere'"),
        (["entered:CODE"], "entered:CODE: AttributeError"),
        (
            ["--source", "none"],
            "--source: none is neither one of random, kinds nor",
        ),
        (["--source", "kinds", "--published"], "--published: only for the source random"),
        (["--judge", "a.tar"], "--judge: only for published networks"),
    ],
)
def test_impossible_requests_are_one_line(custom, arguments, message):
    done = CliRunner().invoke(app, ["benchmark", *arguments, "--out", str(custom / "a")])
    assert isinstance(done.exception, MeiflowError)
    assert message in str(done.exception)


def test_scenes_are_part_of_the_name(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (12, *SCREEN.shape), dtype=np.uint8)
    np.save(tmp_path / "a.npy", stack)
    np.save(tmp_path / "b.npy", stack + np.uint8(1))
    labels = [
        open_source("random", None, tmp_path / name, 0, True).label for name in ("a.npy", "b.npy")
    ]
    assert labels[0].startswith("random-1 published seed 0 scenes ")
    assert labels[0] != labels[1]
    pictures = Pictures(tmp_path / "a.npy")
    np.testing.assert_allclose(pictures.first(3, SCREEN), stack[:3] / 255, atol=1e-6)
    with pytest.raises(MeiflowError, match="has 12 images, not 13"):
        pictures.first(13, SCREEN)


def test_the_citation_names_versions_and_methods(tmp_path):
    done = CliRunner().invoke(app, ["benchmark", "--cite", "--published", "walker", "meiflow"])
    assert done.exit_code == 0
    source = RandomSource(Pictures(), published=True)
    assert f"source {source.label} (fingerprint {fingerprint(source)})" in done.stdout
    assert "10.1038/s41593-019-0517-x" in done.stdout
    assert "openretina" not in done.stdout
    assert f"random-{source.version}" in (ROOT / "CITATION.cff").read_text()
