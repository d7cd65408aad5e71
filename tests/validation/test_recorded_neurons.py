"""Recorded neurons of mouse V1 (Allen two-photon), which are not part of the repository."""

import pytest
from benchmarks.nuisances import MODEL
from benchmarks.recorded_neurons import mouse, nuisances_of_recording
from benchmarks.two_photon import write_session

from meiflow.config.config import parse_config, read_yaml
from meiflow.config.given_paths import resolve_paths
from meiflow.models.fitting import fit_population
from meiflow.models.folds import fold_stream, folds_of
from meiflow.models.nuisances import image_nuisances, nuisance_scores
from meiflow.models.table import Scorer
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.tables import build_tables
from tests.allen_gabors import DATA

FOLDER, SCENES = DATA.parent / "recorded", DATA.parent / "natural_scenes"


@pytest.mark.thorough
@pytest.mark.skipif(not FOLDER.exists(), reason="the recorded neurons are not here")
def test_light_of_the_monitor_is_told_from_a_response():
    """In the images' own window, layer 5 follows the luminance of the screen; later, nothing does.

    Calcium responds with a delay. What is instantaneous in these two-photon recordings is light.
    """
    config = parse_config({"model": MODEL}).model
    own, later = (next(r for r in mouse(FOLDER, SCENES, lag) if "L5" in r.name) for lag in (0, 1))
    assert nuisances_of_recording(own, config)["nuisance"].eq("luminance_lower").sum() >= 7
    assert nuisances_of_recording(later, config)["nuisance"].eq("").all()


@pytest.mark.skipif(not FOLDER.exists(), reason="the recorded neurons are not here")
@pytest.mark.parametrize(("lag", "fewest", "most"), [(0, 6, 9), (1, 0, 0)])
def test_a_session_of_real_responses_names_the_light(lag, fewest, most, tmp_path):
    """From the tables that `benchmarks.two_photon` writes to the nuisance."""
    experiment = FOLDER / "allen_2p" / "exp_614535829_VISp_L5.npz"
    path = write_session(experiment, SCENES, tmp_path, lag)
    document = resolve_paths(read_yaml(path), path)
    document["image"] |= {"height": 30, "width": 48}
    document["model"] = MODEL
    config = parse_config(document)
    results, model = Layout(tmp_path / "results"), config.model
    build_tables(config, results, SCENES, None)
    shown, trials = read_responses(results), read_trials(results)
    assert (trials.counts < 0).any()
    scorer = Scorer.of(trials.of_images(), 0)
    given = scorer, config.image.geometry, model, 0, 2
    found = fit_population(shown.images, shown.means, shown.neuron_ids, *given, real=True)
    predicted = found.fitted.predictions["model"]
    folds = folds_of(shown.images, (), model.folds, fold_stream(0))
    columns = range(len(shown.neuron_ids))
    nuisances = image_nuisances(shown.images), shown.means, predicted, folds, ()
    table = nuisance_scores(*nuisances, scorer, columns, model.penalties, 0)
    named = table["nuisance"].str.startswith("luminance")
    assert fewest <= named.sum() <= most
