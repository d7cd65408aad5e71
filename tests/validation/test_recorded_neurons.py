"""Recorded neurons of mouse V1 (Allen two-photon), which are not part of the repository."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.recorded_neurons import mouse
from benchmarks.two_photon import write_session

from meiflow.config.config import parse_config, read_yaml
from meiflow.config.sections import Model
from meiflow.models.cross_validate import fit_all
from meiflow.models.fitting import fit_population
from meiflow.models.table import Scorer
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.tables import build_tables
from meiflow.validation.trust import calibration, follows_luminance
from tests.allen_gabors import DATA

FOLDER, SCENES = DATA.parent / "recorded", DATA.parent / "natural_scenes"


def correlations(recording):
    """Held-out correlations of the ensemble and of regional luminance."""
    config = Model(base_models=["v1", "v1_window"], stride=8, stacking_prior="session")
    images, means = recording.images, recording.means
    found = fit_all(images, means, np.ones(len(images)), recording.screen, config, 0, 2)
    return pd.DataFrame(
        {
            column: [
                np.corrcoef(p, m)[0, 1]
                for p, m in zip(found.predictions[name].T, means.T, strict=True)
            ]
            for column, name in (("cc_abs", "model"), ("cc_luminance", "luminance"))
        }
    )


@pytest.mark.skipif(not FOLDER.exists(), reason="the recorded neurons are not here")
def test_light_of_the_monitor_is_told_from_a_response():
    """In the images' own window, layer 5 follows the luminance of the screen; later, nothing does.

    Calcium responds with a delay. What is instantaneous in these two-photon recordings is light.
    """
    own, later = ([r for r in mouse(FOLDER, SCENES, lag) if "L5" in r.name] for lag in (0, 1))
    assert follows_luminance(correlations(own[0])).sum() >= 6
    assert follows_luminance(correlations(later[0])).sum() == 0


@pytest.mark.skipif(not FOLDER.exists(), reason="the recorded neurons are not here")
@pytest.mark.parametrize(("lag", "fewest", "most"), [(0, 6, 9), (1, 0, 0)])
def test_a_session_of_real_responses_names_the_light(lag, fewest, most, tmp_path):
    """As `benchmarks.two_photon` writes it, from tables to the reason for distrust."""
    experiment = FOLDER / "allen_2p" / "exp_614535829_VISp_L5.npz"
    document = read_yaml(write_session(experiment, SCENES, tmp_path, lag))
    config = parse_config(document | {"image": {"height": 30, "width": 48}})
    results, geometry = Layout(tmp_path / "results"), config.image.geometry
    build_tables(config, results, SCENES, None)
    shown, trials = read_responses(results), read_trials(results)
    assert (trials.counts < 0).any()
    scorer = Scorer.of(trials.of_images(), 0)
    model = Model(base_models=["v1", "v1_window"], stride=8, stacking_prior="session")
    given = scorer, geometry, model, 0, 2
    found = fit_population(shown.images, shown.means, shown.neuron_ids, *given, real=True)
    scores = found.scores.pivot(index="neuron_id", columns="model")
    columns = {"cc_abs": "model", "cc_norm_low": "model", "ceiling_error": "model"}
    table = pd.DataFrame({name: scores[name, own] for name, own in columns.items()})
    table = table.assign(cc_luminance=scores["cc_abs", "luminance"], fold_agreement=1.0)
    judged = calibration().judge(table)
    light = judged["trust_reason"].str.contains("they may contain light from the monitor")
    assert fewest <= light.sum() <= most
    assert not judged["trusted"][light].any()
