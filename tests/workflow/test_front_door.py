"""`meiflow.fit` on the tables of a session gives the same numbers as the models stage."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import meiflow as mf
from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.models.archive import ModelArchive
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.fit_models import fit_models
from tests.project import SMALL, finished_project

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]


def test_fit_gives_the_scores_and_models_of_the_stage(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    made = finished_project(tmp_path_factory).results
    run = mf.open_results(made)
    settings = {k: v for k, v in SMALL["model"].items() if k not in ("gain", "learning_curve")}
    pop = mf.fit(run.images, run.trials, run.geometry, **settings)
    # without the gain of single trials, which needs their order in time
    shutil.copytree(made / "tables", tmp_path / "tables")
    results = Layout(tmp_path)
    config = parse_config(SMALL | {"model": SMALL["model"] | {"gain": "none"}})
    fit_models(config, results, SessionHas.found(results), threads=1)
    # tables are written with eight digits
    scores = read_csv(results.cross_validation)
    pd.testing.assert_frame_equal(pop.score(), scores, check_dtype=False, rtol=1e-6, atol=1e-7)
    archive = ModelArchive(results.models, run.geometry)
    for neuron in run:
        expected = archive.model(neuron).predict(run.images.values)
        np.testing.assert_allclose(pop[neuron].predict(run.images.values), expected, rtol=1e-6)


def test_the_mei_of_an_opened_model_has_the_mean_luminance_of_the_images(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run = mf.open_results(finished_project(tmp_path_factory).results)
    found = mf.mei(run[run.neurons[0]].model, restarts=1, steps=1)
    assert float(found.mean()) == pytest.approx(float(run.images.mean()), abs=1e-5)
    with pytest.raises(MeiflowError, match="'u9' is not in this session"):
        run["u9"]
