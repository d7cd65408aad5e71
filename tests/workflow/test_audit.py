"""Rules and stages agree: a stage opens and reads what its rule declares and passes on."""

from __future__ import annotations

import shutil

import pytest

from meiflow.results.layout import Layout
from meiflow.results.neurons import first_neurons, fitted_neurons
from meiflow.stages.inputs import input_paths
from tests.audit import check

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

# Not recorded, or not used in the small session.
NOT_OPENED = {
    # HDF5 opens its files itself
    "tables": {"results/demo/session/session.nwb"},
    # whether a session showed scenes is asked of downloads only
    "provenance": {"results/demo/tables/images.json"},
}
_FITTED = check.leaves("model.network") | check.leaves("model.window")
_FITTED |= check.leaves("session.stimulus_parameters") | {"model.movie_images"}
_FITTED |= {f"session.movies.{k}_s" for k in ("lag", "candidate_lags", "candidate_widths")}
NOT_READ = {
    "simulate": {
        *("session.simulation.movie_frames", "session.simulation.judge"),
        *check.leaves("session.simulation.truth_input"),
    },
    # neurons of a published network
    "closed_loop": check.leaves("session.simulation.truth_input"),
    # other session sources, the id is checked for one of them; movies
    "tables": {
        *("session.id", "session.trials", "session.gabors", "session.static_gratings"),
        *("session.drifting_gratings", "session.flashes"),
        *("session.response", "session.response_unit", "session.average"),
        *check.leaves("session.movies"),
        *check.leaves("session.sensorium"),
    },
    # optional base models, and gratings as training data
    "fit_models": _FITTED,
    # base models that have no learning curve by default
    "learning_curve": _FITTED
    | {f"model.{key}" for key in ("stride", "reweightings", "penalties")}
    | check.leaves("model.ln")
    | check.leaves("model.gabor_energy")
    | check.leaves("model.cnn"),
    # gratings, which the small session does not have or whose tuning is not compared
    "recorded": {
        f"session.stimulus_parameters.{key}"
        for key in ("grating_contrast", "drifting_frequency_cpd", "drifting_contrast")
    },
    # another mask; the score of a custom module
    "comparison": {"comparison.disc_diameter_deg", "seed"},
}

# Stimuli that models can learn from, but that are not in model.learn_from.
NOT_LEARNED = {
    name: {"results/demo/tables/gabor_responses.csv"} for name in ("fit_models", "learning_curve")
}


@pytest.fixture(scope="module")
def jobs(finished):
    found = check.read_jobs(finished.folder, finished.notes)
    assert len(found) > 20
    return found


def test_no_stage_opens_or_reads_what_its_rule_does_not_pass_on(jobs):
    assert check.faults(jobs) == []


def test_no_rule_passes_on_what_its_stage_does_not_use(jobs):
    files, keys = check.superfluous(jobs)
    files = {name: f - NOT_OPENED.get(name, set()) for name, f in files.items()}
    keys = {name: k - NOT_READ.get(name, set()) for name, k in keys.items()}
    assert {n: f for n, f in files.items() if f} == {}
    assert {n: k for n, k in keys.items() if k} == {}


def test_the_registry_lists_the_inputs_that_the_rules_declare(finished, jobs):
    results = Layout("results/demo")
    everyone = fitted_neurons(finished.results / "models" / "neurons.csv")
    for job in jobs:
        neurons = [job.neuron] if job.neuron else everyone
        neurons = first_neurons(everyone) if job.stage.name == "provisional" else neurons
        listed = {str(path) for path in input_paths(job.stage, results, neurons)}
        made = {path for path in listed if (finished.folder / path).exists()}
        declared = {path for path in job.inputs if path.startswith("results/")}
        for folder in map(str, (results.scenes, results.movies)):
            inside = {path for path in declared if path.startswith(f"{folder}/")}
            declared = declared - inside | ({folder} if inside else set())
        assert made - NOT_LEARNED.get(job.stage.name, set()) == declared, job.stage.name


FILM = """
from torch import nn


class Film(nn.Module):
    def forward(self, movies):  # (batch, channels, frames, height, width)
        return movies[:, 0, :, :4].mean((1, 2, 3))[:, None]


def build(geometry):
    return Film().eval()
"""


def test_stages_that_run_on_request_agree_with_their_rules(finished, tmp_path):
    """Those that the small session does not run by default."""
    project = finished.copy(tmp_path / "copy")
    shutil.rmtree(project.notes)
    (project.folder / "films.py").write_text(FILM)
    document = {
        "stimuli": {"make": ["cnn_mei", "notebook_mei"]},
        "comparison": {"notebook": True},
        "movie": {"model": "films:build", "frames": 4, "steps": 3, "restarts": 1},
    }
    more = project.configure("more.yaml", document)
    neuron = fitted_neurons(project.results / "models" / "neurons.csv")[0]
    files = ["stimuli/cnn_mei.npy", "stimuli/movies.npy"]
    files += [f"neurons/{neuron}/{name}" for name in ("notebook.csv", "model.pt")]
    targets = [f"results/demo/{file}" for file in files]
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml", more, "--", *targets)
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = check.read_jobs(project.folder, project.notes)
    stages = {"cnn_mei", "movie", "compare_notebook", "extract_neuron"}
    assert {job.stage.name for job in jobs} == stages
    assert check.faults(jobs) == []
    assert check.superfluous(jobs) == ({}, {})
