"""`meiflow.fit` on the tables of a session gives the same numbers as the models stage."""

import numpy as np
import pandas as pd
import pytest

import meiflow as mf
from meiflow.errors import MeiflowError
from tests.project import SMALL, finished_project

pytestmark = pytest.mark.workflow


def test_fit_gives_the_scores_and_models_of_the_workflow(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run = mf.open_results(finished_project(tmp_path_factory).results)
    settings = {k: v for k, v in SMALL["model"].items() if k != "learning_curve"}
    pop = mf.fit(run.images, run.trials, run.geometry, **settings)
    # tables are written with eight digits
    pd.testing.assert_frame_equal(pop.score(), run.scores, check_dtype=False, rtol=1e-6, atol=1e-7)
    for neuron in run:
        expected = run[neuron].model.predict(run.images.values)
        np.testing.assert_allclose(pop[neuron].predict(run.images.values), expected, rtol=1e-6)


def test_the_mei_of_an_opened_model_has_the_mean_luminance_of_the_images(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run = mf.open_results(finished_project(tmp_path_factory).results)
    found = mf.mei(run[run.neurons[0]].model, restarts=1, steps=1)
    assert float(found.mean()) == pytest.approx(float(run.images.mean()), abs=1e-5)
    with pytest.raises(MeiflowError, match="'u9' is not in this session"):
        run["u9"]
