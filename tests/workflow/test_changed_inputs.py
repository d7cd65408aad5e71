"""An input that changes in place reruns what depends on it, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.bad_input.catalogue import tables_session
from tests.project import Project
from tests.workflow.test_run import jobs

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]

MOVIE = """
import torch
from layers import Weighted

def build(geometry):
    return Weighted(torch.load("w.pt", weights_only=True)).eval()
"""
MODEL = """
import torch
from layers import Weighted

def build(neuron, geometry):
    weights = open(FILES + "/scale.txt").read()
    return Weighted(torch.load("w.pt", weights_only=True) * float(weights)).eval()

FILES = "".join(["par", "ameters"])  # not to be found in the text
"""
LAYERS = """
from torch import nn

class Weighted(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images):
        return 1 + (images.flatten(1)[:, :8] * self.weights).sum(1, keepdim=images.ndim == 5)
"""


def due(project: Project, config: tuple[str, ...], *targets: str) -> dict[str, int]:
    done = project.snakemake("-n", "--configfile", *config, "--", *targets)
    assert done.returncode == 0, done.stdout[-3000:]
    return jobs(done.stdout)


def made(project: Project, config: tuple[str, ...], *targets: str) -> None:
    done = project.snakemake("--cores", "2", "--configfile", *config, "--", *targets)
    assert done.returncode == 0, done.stdout[-3000:]
    assert due(project, config, *targets) == {}


def replace_by_older(path: Path, source: Path) -> None:
    """What `cp -p` and `mv` do with a file that is older than the results."""
    shutil.copy(source, path)
    os.utime(path, (1e9, 1e9))


def test_an_overwritten_picture_and_an_older_csv_rerun_the_tables(project):
    folder = tables_session(project.folder / "own")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, pixels in enumerate(np.load(folder / "images.npy")):
        Image.fromarray(pixels).save(pictures / f"{number:03d}.png")
    other = folder / "other.png"
    Image.fromarray(np.full((8, 12), 200, np.uint8)).save(other)
    # paths are relative to the file that gives them, not to the project
    session = {"source": "tables", "id": "own", "trials": "trials.csv"}
    document = {"session": session | {"images": "pictures"}}
    screen = {"height": 8, "width": 12, "width_deg": 90.0, "height_deg": 60.0}
    config = (project.configure("own/own.yaml", document | {"image": screen}),)
    target = "results/own/tables/images.npy"
    made(project, config, target)
    before = np.load(project.folder / target)
    shutil.copy(other, pictures / "003.png")
    assert due(project, config, target)["tables"] == 1
    made(project, config, target)
    after = np.load(project.folder / target)
    np.testing.assert_allclose(after[3], 200 / 255, atol=1e-6)
    np.testing.assert_array_equal(np.delete(after, 3, 0), np.delete(before, 3, 0))
    replace_by_older(pictures / "004.png", other)
    assert due(project, config, target)["tables"] == 1
    made(project, config, target)
    trials = (folder / "trials.csv").read_text()
    (folder / "other.csv").write_text(trials.replace("11,b,", "11,b,1"))
    replace_by_older(folder / "trials.csv", folder / "other.csv")
    assert due(project, config, target)["tables"] == 1
    made(project, config, target)


def test_weights_and_imported_modules_of_a_movie_model_rerun_its_movies(project):
    (project.folder / "mymovie.py").write_text(MOVIE)
    (project.folder / "layers.py").write_text(LAYERS)
    torch.save(torch.ones(8), project.folder / "w.pt")
    short = {"frames": 4, "restarts": 1, "steps": 2}
    config = (project.configure("own.yaml", {"movie": {"model": "mymovie:build"} | short}),)
    config = ("small.yaml", *config)
    target = "results/demo/stimuli/movies.npy"
    made(project, config, target)
    before = np.load(project.folder / target)
    torch.save(-torch.ones(8), project.folder / "w.pt")
    assert due(project, config, target) == {"movie": 1, "total": 1}
    made(project, config, target)
    assert np.abs(np.load(project.folder / target) - before).max() > 0.01
    (project.folder / "layers.py").write_text(LAYERS.replace("1 + (", "2 + ("))
    assert due(project, config, target) == {"movie": 1, "total": 1}


def test_files_of_a_custom_model_and_natural_images_rerun_what_uses_them(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    (project.folder / "mymodel.py").write_text(MODEL)
    (project.folder / "layers.py").write_text(LAYERS.replace(", keepdim=images.ndim == 5", ""))
    (project.folder / "parameters").mkdir()
    (project.folder / "parameters" / "scale.txt").write_text("1")
    torch.save(torch.ones(8), project.folder / "w.pt")
    pictures = project.folder / "photographs"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for name in "abcdefgh":
        pixels = rng.integers(0, 256, (30, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{name}.png")
    document = {
        "model": {"custom": "mymodel:build", "custom_files": ["parameters"]},
        "stimuli": {"natural_images": "photographs", "make": ["natural"]},
    }
    config = ("small.yaml", project.configure("own.yaml", document))
    natural = "results/demo/stimuli/natural.npy"
    targets = (natural, "results/demo/stimuli/best_gabors.npy", "results/demo/provenance.json")
    made(project, config, *targets)
    photograph = pictures / "c.png"
    Image.fromarray(np.full((30, 48), 9, np.uint8)).save(photograph)
    assert due(project, config, *targets) == {"natural": 1, "provenance": 1, "total": 2}
    made(project, config, *targets)
    (project.folder / "parameters" / "scale.txt").write_text("2")
    found = due(project, config, *targets)
    assert (found["natural"], found["gabor_search"], found["provenance"]) == (1, 1, 1)
    assert not {"tables", "fit_models", "selection"} & set(found)
    made(project, config, *targets)
    torch.save(-torch.ones(8), project.folder / "w.pt")
    found = due(project, config, *targets)
    assert (found["natural"], found["gabor_search"], found["provenance"]) == (1, 1, 1)
    listed = (project.results / "provenance.json").read_text()
    for name in ("mymodel.py", "layers.py", "w.pt", "parameters", "photographs"):
        assert f'"{name}"' in listed
