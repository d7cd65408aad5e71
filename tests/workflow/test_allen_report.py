"""A downloaded session without natural scenes, with the core that comes with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meiflow.models.documents import document_bytes
from meiflow.results.layout import Layout
from tests.audit import check
from tests.models.test_core_maps import published
from tests.project import SECONDS, SMALL, altered, make_project
from tests.session.warehouse import SESSION, Known, tiny_session, warehouse

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

MOVIE = "natural_movie_one_more_repeats"
BINS = 40
# Another source, and names of columns that only the tables need.
NOT_READ = check.leaves("session.dandi") | {"session.columns.units"}
RUN = ("--cores", "2", "--configfile", "small.yaml")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A session of type functional_connectivity, its movie, and a core."""
    folder = tmp_path_factory.mktemp("released")
    sizes = {key: SMALL["session"]["simulation"][key] for key in ("statistics", "mean_rate_hz")}
    sizes |= {"units": {"VISam": 3}, "repeats": 0, "gabor_repeats": 1}
    path = tiny_session(folder, movie_repeats={MOVIE: 8}, movie_frames=8 * BINS, **sizes)
    with warehouse(path) as running:
        running.known = (Known(type="functional_connectivity"),)
        running.movies = {1: np.load(Layout(folder).movies / f"{MOVIE}.npy")}
        running.core = document_bytes(published()[1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MEIFLOW_KNOWN_CORES", running.known_cores)
            yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory, server):
    # every base model, each with little to do
    less = {"folds": 2, "penalties": [0.1], "learning_curve": [], "cnn": {"epochs": 2}}
    less |= {"gabor_energy": {"starts": 1, "steps": 10}}
    few = {key: SECONDS[key] for key in ("mei", "gabor", "experiments")}
    document = altered(few, {"model": less, "stimuli": {"make": ["natural"]}})
    document["session"] = {
        "source": "allen",
        "id": str(SESSION),
        "warehouse": server.address,
        "bucket": server.bucket,
    }
    return make_project(tmp_path_factory.mktemp("allen"), document)


@pytest.fixture(scope="module")
def results(project, server):
    # without the core nothing is downloaded, and no model is fitted without it
    server.faults["core.pth"] = "404"
    failed = project.snakemake(*RUN)
    assert failed.returncode != 0
    assert "core sensorium could not be downloaded" in failed.stdout
    assert "set model.network.core: null to do without a core" in failed.stdout
    assert not [path for path in server.asked if path.endswith(".nwb")]
    server.faults.clear()
    done = project.snakemake(*RUN)
    assert done.returncode == 0, done.stdout[-5000:]
    return project.folder / "results" / str(SESSION)


@pytest.fixture(scope="module")
def jobs(results, project):
    return check.read_jobs(project.folder, project.notes)


def test_the_core_takes_part_in_every_model(results):
    scores = pd.read_csv(results / "models" / "cross_validation.csv")
    assert {"core_window", "v1_window", "cnn", "model"} <= set(scores["model"])
    search = np.load(results / "models" / "search.npz")
    assert "core_window" in search["base_models"]
    assert "last layers of a published network" in (results / "report.html").read_text()


def test_frames_take_the_place_of_scenes(results):
    info = json.loads((results / "tables" / "images.json").read_text())
    assert info["image_ids"] == list(range(BINS))
    assert [movie["name"] for movie in info["movies"]] == [MOVIE]
    assert len(pd.read_csv(results / "summary.csv"))
    assert "This session showed no natural scenes." in (results / "report.html").read_text()
    # not shown in these sessions
    assert not len(pd.read_csv(results / "tables" / "grating_responses.csv"))


def test_provenance_names_the_core_its_licence_and_the_movie(results, server):
    found = json.loads((results / "provenance.json").read_text())["inputs"]
    hows = {Path(one["path"]).name: one for one in found}
    assert hows["core.pth"]["sha256"] == server.known_core.sha256
    assert "licence MIT; cite Willeke et al. 2022" in hows["core.pth"]["how"]
    assert f"{MOVIE}.npy" in hows
    assert "Willeke et al. 2022" in (results / "report.html").read_text()


def test_nothing_is_left_to_do_and_a_forced_download_keeps_the_files(results, project, server):
    asked = len(server.asked)
    again = project.snakemake(*RUN, "--dry-run")
    assert "Nothing to be done" in again.stdout
    forced = project.snakemake(*RUN, "--forcerun", "core", "download", "--until", "download")
    assert forced.returncode == 0, forced.stdout[-3000:]
    assert len(server.asked) == asked
    after = project.snakemake(*RUN, "--dry-run")
    assert "Nothing to be done" in after.stdout


def test_without_the_core_by_configuration(results, project):
    project.configure("without.yaml", {"model": {"network": {"core": None}}})
    plan = project.snakemake("--dry-run", *RUN, "without.yaml")
    assert plan.returncode == 0, plan.stdout[-3000:]
    assert "fit_models" in plan.stdout
    assert "core.pth" not in plan.stdout


def test_no_stage_opens_or_reads_what_its_rule_does_not_pass_on(jobs):
    assert {"download", "tables", "fit_models", "report"} <= {job.stage.name for job in jobs}
    assert check.faults(jobs) == []


def test_every_key_and_input_of_the_download_is_used(jobs):
    downloads = [job for job in jobs if job.stage.name == "download"]
    files, keys = check.superfluous(downloads)
    # the core only comes first
    assert files == {"download": {"data/cores/core.pth"}}
    assert keys == {"download": NOT_READ}
    stage = downloads[0].stage
    for key in stage.keys:
        less = replace(stage, keys=tuple(other for other in stage.keys if other != key))
        found = check.faults([replace(job, stage=less) for job in downloads])
        used = sorted(check.leaves(key) - NOT_READ)
        assert found == [f"download reads {leaf}, which it is not given" for leaf in used]


def test_every_input_of_the_fits_is_noticed(jobs):
    (job,) = [job for job in jobs if job.stage.name == "fit_models"]
    assert "data/cores/core.pth" in job.inputs
    for path in job.inputs:
        found = check.faults([replace(job, inputs=job.inputs - {path})])
        # the bins of the movie are already among the images
        unread = Path(path).name in ("movies.npy", "movie_responses.csv")
        one = f"fit_models opens {path}, which its rule does not declare"
        assert found == ([] if unread else [one])
