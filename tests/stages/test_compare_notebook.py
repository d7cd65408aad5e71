"""The stage that draws and measures a neuron like the notebook, from the command line."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.comparison.notebook import notebook_metrics
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.io.files import write_array, write_csv
from meiflow.results.layout import Layout
from tests.comparison.test_notebook import table
from tests.known import linear, write_models, write_stack

GRID = Geometry(30, 48)


@pytest.fixture
def results(tmp_path, rng):
    """A results folder with one neuron, as left by the earlier stages."""
    results = Layout(tmp_path)
    template = patterns.gabor(GRID, -10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    scaled = template / np.abs(template).sum() * 20
    write_models(results, GRID, {"7": linear(scaled, offset=-0.1, baseline=-2.0, scale=1.5)})
    image = (0.5 + 0.4 * template / np.abs(template).max()).astype(np.float32)
    for path in results.neuron("7").named("mei", "gabor"):
        write_array(image, path)
    files = results.procedure("notebook_mei")
    write_array(np.stack([0 * image, image]), files.images)
    logged = pd.DataFrame({"neuron_id": ["8", "7"], "logged_response": [0.0, 3.25]})
    write_csv(logged, files.table)
    write_stack(results, rng.uniform(size=(5, *GRID.shape)), GRID)
    trials = table(rng.poisson(1.0, 40), rng.choice([0.0, 45.0, 90.0], 40))
    write_csv(trials, results.gabor_trials)
    return results


def run(results, *more):
    config = json.dumps({"image": {"height": 30, "width": 48}})
    words = ["compare-notebook", "--config", config, "--results", str(results.root), *more]
    done = CliRunner().invoke(app, [*words, "--neuron", "7"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return pd.read_csv(results.neuron("7").notebook)


def test_the_stage_measures_everything_twice(results):
    found = run(results)
    names = ["notebook_mei", "notebook_gabor", "notebook_gabor_by_id", "mei", "recorded_gabor"]
    assert found["stimulus"].tolist() == [name for name in names for _ in range(2)]
    assert found["measured"].tolist() == ["notebook", "right"] * 5
    wide = found.set_index(["stimulus", "measured"])
    gabor = np.load(results.neuron("7").notebook_gabor)
    for key, value in notebook_metrics(gabor).items():
        assert wide.loc[("notebook_gabor", "notebook"), key] == pytest.approx(value, abs=1e-6)
    # one image under three names, measured equally; the notebook's spectrum includes the mean
    for name in ("mei", "recorded_gabor"):
        one, other = wide.loc[(name, "right")], wide.loc[("notebook_mei", "right")]
        assert one["symmetry_1"] == other["symmetry_1"]
        assert wide.loc[(name, "notebook"), "symmetry_2"] > one["symmetry_2"]
    assert found["logged_response"].dropna().tolist() == [3.25]
    assert found["predicted_response"].notna().all()
    assert found["matched_response"].notna().all()
    assert len(wide.loc[("notebook_gabor", "right"), "orientations"].split()) == 3
    files = results.neuron("7")
    for path in files.named("notebook_gabor_picture", "notebook_png", "notebook_svg"):
        assert path.stat().st_size > 300


def test_a_session_without_gabors_has_no_gabor_rows(results):
    found = run(results, "--has", "none")  # even if another session left some
    assert found["stimulus"].unique().tolist() == ["notebook_mei", "mei"]
    assert not results.neuron("7").notebook_gabor.exists()


def test_missing_inputs_are_named(results):
    results.gabor_trials.unlink()
    with pytest.raises(MeiflowError, match=r"gabor_trials\.csv: no such file"):
        run(results, "--has", "gabors")
    write_array(np.zeros((20, 20)), results.neuron("7").mei)
    with pytest.raises(MeiflowError, match=r"mei: the image has \(20, 20\) pixels"):
        run(results)  # without the option: no Gabors are found
