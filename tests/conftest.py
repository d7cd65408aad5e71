"""Shared fixtures: a small simulated session, made once per test process."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.images.geometry import Geometry
from tests.tally import pytest_terminal_summary  # noqa: F401

SMALL = {
    "session": {
        "id": "small",
        "simulation": {
            "units": {"VISam": 8, "VISp": 3},
            "frames": 40,
            "repeats": 6,
            "gabor_repeats": 1,
            "grating_repeats": 1,
            "frame_height": 60,
            "frame_width": 78,
        },
    },
}

collect_ignore = ["data"]  # files, and the script of another environment that made them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


@pytest.fixture(scope="session")
def small_config() -> Config:
    return parse_config(SMALL)


@pytest.fixture(scope="session")
def small_session(small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with session.nwb, frames/ and truth.csv of a small simulated session."""
    from meiflow.simulation.simulate import simulate_session

    folder = tmp_path_factory.mktemp("session")
    simulate_session(small_config, folder / "session.nwb", folder / "frames", folder / "truth.csv")
    return folder


@pytest.fixture(scope="session")
def small_tables(
    small_config: Config, small_session: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    from meiflow.stages.tables import build_tables

    folder = tmp_path_factory.mktemp("tables")
    build_tables(small_config, small_session / "frames", small_session / "session.nwb", folder)
    return folder


@pytest.fixture
def grid() -> Geometry:
    """The default image grid."""
    return Geometry(60, 96)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)
