"""A copy of the workflow in an empty folder, as users have it, with a small session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from snakemake.utils import update_config

from tests import forks

COMPARED = (".csv", ".json", ".npy", ".npz", ".zip", ".png", ".svg", ".html")
ROOT = Path(__file__).resolve().parents[1]

SMALL = {
    "session": {
        "id": "demo",
        "movies": {"shown": []},
        "simulation": {
            "units": {"VISam": 4, "VISp": 2},
            "frames": 50,
            "repeats": 8,
            "gabor_repeats": 1,
            "grating_repeats": 0,
            "frame_height": 60,
            "frame_width": 78,
            "statistics": "ideal",
            "mean_rate_hz": 8.0,
        },
    },
    "image": {"height": 30, "width": 48},
    "model": {
        "wavelengths_deg": [12.0, 20.0],
        "orientations": 6,
        "stride": 2,
        "penalties": [0.03, 0.3],
        "folds": 3,
        "gain": "auto",
        "learning_curve": [0.5],
        "cnn": {"channels": 4, "networks": 1, "epochs": 10},
        "gabor_energy": {"starts": 2, "steps": 60},
    },
    "selection": {"oracle_p_max": 0.01, "shuffles": 200},
    "mei": {"steps": 20, "restarts": 1},
    "stimuli": {
        "diverse_images": 2,
        "diverse_steps": 10,
        "fade_steps": 10,
        "field_samples": 8,
        "published_steps": 10,
    },
    "experiments": {"phases": 4, "orientations": 8, "map_step_deg": 12.0},
    "gabor": {
        "wavelengths_deg": [12.0, 20.0],
        "orientations": 6,
        "spacing": 1.0,
        "refine_steps": 10,
        "refine_top": 3,
    },
}


def altered(*changes: dict) -> dict:
    """The small session's configuration with changes merged into it."""
    document = deepcopy(SMALL)
    for change in changes:
        update_config(document, change)
    return document


# One linear model, few images and pixels: a job takes hardly longer than its start.
SECONDS = {
    "session": {
        "simulation": {
            "frames": 24,
            "untuned_fraction": 0.0,
            "frame_height": 40,
            "frame_width": 52,
        }
    },
    "image": {"height": 20, "width": 32},
    "model": {
        "base_models": ["ln"],
        "folds": 2,
        "penalties": [0.1],
        "stride": 4,
        "learning_curve": [],
        "ln": {"widths_deg": [8.0], "penalties": [0.01]},
    },
    "mei": {"steps": 3},
    "stimuli": {"make": []},
    "experiments": {"make": []},
    "gabor": {
        "wavelengths_deg": [16.0],
        "orientations": 3,
        "spacing": 2.0,
        "refine_steps": 2,
        "refine_top": 1,
    },
}


@dataclass(frozen=True)
class Project:
    """A folder with Snakefile, workflow, profiles and config.yaml."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results" / "demo"

    @property
    def notes(self) -> Path:
        """Records of what every command opened and read; see `tests.audit`."""
        return self.folder / "notes"

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake there; stdout and stderr are both in ``stdout``."""
        self.notes.mkdir(exist_ok=True)
        first = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(forks.HOOK)}
        paths = {name: f"{p}{os.pathsep}{os.environ.get(name, '')}" for name, p in first.items()}
        return subprocess.run(
            [*forks.command("snakemake"), *arguments],
            cwd=self.folder,
            env=os.environ | paths | forks.environment() | {"MEIFLOW_AUDIT": str(self.notes)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1800,
        )

    def configure(self, name: str, document: dict) -> str:
        """Write a further configuration file; returns its name for ``--configfile``."""
        (self.folder / name).write_text(yaml.safe_dump(document))
        return name

    def copy(self, folder: Path, *left_out: str) -> Project:
        """A copy with all results, for a test that changes them; dates are kept for Snakemake."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(*left_out))
        return Project(folder)


def make_project(folder: Path, document: dict = SMALL) -> Project:
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "environment.yml", folder)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    project = Project(folder)
    project.configure("small.yaml", document)
    return project


def finished_project(
    factory: pytest.TempPathFactory, document: dict = SMALL, name: str = "finished"
) -> Project:
    """A project whose whole workflow has run once, on two cores; created once for all tests.

    All workers of a test session share it, so it must not be changed.
    """
    base = factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / name
    with FileLock(shared / f"{name}.lock"):
        if folder.is_dir():
            return Project(folder)
        begun = folder.with_suffix(".part")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir()
        project = make_project(begun, document)
        done = project.snakemake("--cores", "2", "--configfile", "small.yaml")
        assert done.returncode == 0, done.stdout[-5000:]
        project.folder.rename(folder)
    return Project(folder)


def contents(results: Path) -> dict[str, bytes]:
    """Everything that must be identical: tables, arrays, models, pictures; no logs, times, HDF5."""
    return {
        str(p.relative_to(results)): p.read_bytes()
        for p in sorted(results.rglob("*"))
        if p.suffix in COMPARED and "logs" not in p.parts
    }
