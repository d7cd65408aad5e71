"""What stages keep of single neurons: used if nothing has changed, and only then."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.images.geometry import Geometry
from meiflow.io.checksums import CHECKSUMS
from meiflow.io.files import write_array, write_arrays
from meiflow.results.layout import Layout
from meiflow.stages.kept import EVERY_STAGE, FORCED, STATE, Made, of_neurons
from tests.known import linear, write_models, write_stack

GRID = Geometry(6, 8)
CONFIG = parse_config({})
NEURONS = ["007", "b", "c"]
OTHERS = {"seed": 1, "mei": {"contrast": 0.04}, "device": "auto"}


def write_filters(results: Layout, scale: float) -> None:
    write_models(results, GRID, {n: linear(np.full((6, 8), scale)) for n in NEURONS})


@pytest.fixture
def results(tmp_path, monkeypatch) -> Layout:
    """Results of three neurons, as a job of a run sees them."""
    results = Layout(tmp_path)
    write_filters(results, 0.1)
    write_stack(results, np.full((2, 6, 8), 0.5), GRID)
    for neuron in NEURONS:
        write_array(np.zeros(GRID.shape), results.neuron(neuron).mei)
    monkeypatch.setenv(STATE, "1.0 code")
    monkeypatch.setenv(FORCED, "")
    return results


class Stage:
    """Makes a number of images and rows of each neuron, and notes for which neurons."""

    def __init__(self, results: Layout) -> None:
        self.results, self.asked = results, [""]

    def make(self, neurons: list[str]) -> Made:
        self.asked = neurons
        values = np.array([NEURONS.index(n) + 0.1 for n in neurons])
        rows = pd.DataFrame({"neuron_id": neurons, "value": values, "whole": 3})
        twice = pd.concat([rows, rows.assign(value=np.nan)], ignore_index=True)
        twice = twice.assign(text=[f"é{n}" for n in (*neurons, *neurons)], fine=True)
        return Made({"rows": twice}, {"images": values[:, None] * np.ones((2, 3), np.float32)[:1]})

    def run(self, neurons=NEURONS, config=CONFIG, stage="suppressive", **more) -> list[str]:
        """The neurons that were computed; what is returned is always that of all neurons."""
        self.asked = []
        made = of_neurons(self.make, stage, config, self.results, neurons, **more)
        asked, whole = self.asked, self.make(neurons)
        order = whole.tables["rows"].sort_values("neuron_id", kind="stable").reset_index(drop=True)
        found = made.tables["rows"].sort_values("neuron_id", kind="stable").reset_index(drop=True)
        pd.testing.assert_frame_equal(found, order)
        np.testing.assert_array_equal(made.arrays["images"], whole.arrays["images"])
        return asked


@pytest.fixture
def stage(results) -> Stage:
    return Stage(results)


def test_only_added_neurons_are_computed(stage):
    assert stage.run(["007", "c"]) == ["007", "c"]
    assert stage.run(["007", "c"]) == []
    assert stage.run() == ["b"]
    assert stage.run(["b"]) == []  # the others are still there
    assert stage.run() == []


def test_whatever_changes_a_result_computes_it_again(stage, monkeypatch):
    results = stage.results
    stage.run()
    for key, value in OTHERS.items():
        other = parse_config({key: value})
        assert stage.run(config=other) == NEURONS, key
        stage.run()
    write_array(np.ones(GRID.shape), results.neuron("b").mei)
    assert stage.run() == ["b"]
    write_filters(results, 0.2)
    assert stage.run() == NEURONS
    write_stack(results, np.full((2, 6, 8), 0.4), GRID)  # changes the description of the stack
    assert stage.run() == NEURONS
    assert stage.run(own={"c": "its stimuli"}) == ["c"]
    assert stage.run(own={"c": "its stimuli"}, further=["has"]) == NEURONS
    monkeypatch.setenv(STATE, "1.0 changed code")
    assert stage.run(own={"c": "its stimuli"}, further=["has"]) == NEURONS


def test_what_changes_no_result_computes_nothing(stage):
    stage.run(aside=["image_info"])
    write_stack(stage.results, np.full((2, 6, 8), 0.4), GRID)
    assert stage.run(aside=["image_info"]) == []
    write_models(stage.results, GRID, {n: linear(np.full((6, 8), 0.1)) for n in NEURONS})
    assert stage.run(aside=["image_info"]) == []  # the same models, written again


@pytest.mark.parametrize("forced", ["suppressive", f"natural {EVERY_STAGE}", None])
def test_a_forced_stage_computes_everything(stage, forced, monkeypatch):
    stage.run()
    monkeypatch.setenv(FORCED, "natural")
    assert stage.run() == []
    if forced is None:  # not a job of a run that says so
        monkeypatch.delenv(FORCED)
    else:
        monkeypatch.setenv(FORCED, forced)
    assert stage.run() == NEURONS


def test_a_command_called_by_hand_neither_uses_nor_keeps_anything(stage, monkeypatch):
    monkeypatch.delenv(STATE)
    assert stage.run() == stage.run() == NEURONS
    assert not stage.results.kept("suppressive").exists()


def test_a_damaged_or_foreign_file_is_ignored(stage):
    path = stage.results.kept("suppressive")
    stage.run()
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (flipped, whole[:middle], b"", b"<html>"):
        for listed in (True, False):  # with and without its checksum
            path.write_bytes(content)
            if not listed:
                path.with_name(CHECKSUMS).unlink(missing_ok=True)
            assert stage.run() == NEURONS
            assert stage.run() == []
    write_arrays({"a": np.zeros(3), "007/rows": np.zeros(2)}, path)
    assert stage.run() == NEURONS


def test_stages_do_not_share_what_they_keep(stage):
    assert stage.run() == NEURONS
    assert stage.run(stage="diverse") == NEURONS
    assert stage.run(stage="diverse") == []
