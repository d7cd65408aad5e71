"""A folder in the layout of Sensorium 2022, with real-valued responses, from folder to report."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.results.session import open_results
from meiflow.session.sensorium import SensoriumScan, write_sensorium
from tests.project import altered, make_project

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

ONCE, TESTS, REPEATS = 100, 12, 10
SCREEN = Geometry(30, 48)


def scan():
    """Two linear neurons with negative responses, and noise: images shown once, tests ten times."""
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(ONCE + TESTS, 30, 48)).astype(np.float32)
    shown = np.concatenate([np.arange(ONCE), np.repeat(ONCE + np.arange(TESTS), REPEATS)])
    tiers = np.repeat(["train", "validation", "test"], [ONCE - 10, 10, TESTS * REPEATS])
    fields = gabor(SCREEN, [-20, 15], [5, -10], 22.0, [30, 120], 0.0, 9.0)
    drive = ((images[:, None] - 0.5) * fields).sum((2, 3))
    z = drive / drive.std(axis=0) - [1.0, 0.5]
    values = np.column_stack([0.02 * z, np.zeros(len(z))])[shown]
    values += rng.normal(0, 0.008, values.shape)
    order = rng.permutation(len(shown))
    neurons = {"neuron_id": np.array(["31", "32", "33"]), "area": np.array(["V1", "V1", "LM"])}
    trials, ids = np.arange(len(shown)), np.arange(len(images))
    given = trials, shown[order], tiers[order], values[order].astype(np.float32)
    return SensoriumScan(*given, ids, images, neurons)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    document = altered(
        {
            "model": {"base_models": ["ln"], "learning_curve": [], "gain": "none"},
            "stimuli": {"make": []},
            "experiments": {"make": ["orientation"]},
        }
    )
    document["session"] = {
        "id": "demo", "source": "sensorium", "response_unit": "events",
        "sensorium": {"folder": "static1-2-3"},
    }  # fmt: skip
    document["image"] |= {"width_deg": 121.24, "height_deg": 94.8}
    project = make_project(tmp_path_factory.mktemp("sensorium"), document)
    write_sensorium(scan(), project.folder / "static1-2-3")
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    return project.results


def test_the_test_images_are_a_fold_that_no_model_has_seen(results):
    folds = pd.read_csv(results / "models" / "folds.csv")
    own = folds[(folds["model"] == "model") & (folds["fold"] == 0)].set_index("neuron_id")
    assert (own.loc[[31, 32], "cc_abs"] > 0.5).all()
    info = json.loads((results / "tables" / "images.json").read_text())
    assert info["test_images"] == list(range(ONCE, ONCE + TESTS))
    assert info["response"] == {"average": "mean", "unit": "events"}


def test_neurons_are_selected_and_scored_by_the_repeated_images(results):
    chosen = pd.read_csv(results / "selection" / "neurons.csv").set_index("neuron_id")
    assert chosen["selected"].to_dict() == {31: True, 32: True, 33: False}
    scores = pd.read_csv(results / "models" / "cross_validation.csv")
    model = scores[scores["model"] == "model"].set_index("neuron_id")
    assert (model.loc[[31, 32], "cc_norm"] > 0.5).all()
    summary = pd.read_csv(results / "summary.csv")
    assert (summary["mei_response"] > summary["grey_response"]).all()
    assert (summary["mei_over_best_gabor"] > 0.95).all()
    assert open_results(results).responses.name == "response"


def test_the_report_speaks_of_responses(results):
    """Not of spikes, counts and rates, in captions, figures or tables."""
    page = (results / "report.html").read_text()
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", text)
    assert "These simulations had spike counts." in text
    for caveat in ("These simulations had spike counts.", "in simulated neurons with spike counts"):
        text = text.replace(caveat, "")
    for word in (r"spikes?\b", r"\bmean rate\b", r"predicted counts?\b", r"mean counts?\b"):
        assert re.findall(f".{{40}}{word}", text, re.IGNORECASE) == []
    assert "predicted response" in text
    figure = (results / "selection" / "measures.svg").read_text()
    assert "events" in figure


def test_provenance_lists_the_parts_of_the_folder(results):
    inputs = json.loads((results / "provenance.json").read_text())["inputs"]
    names = [one["path"] for one in inputs if one["path"].startswith("static1-2-3/")]
    assert [n.partition("/")[2] for n in names] == [
        "data/images", "data/responses", "meta/trials", "meta/neurons",
    ]  # fmt: skip
