"""Shared fixtures: a small simulated session, made once per test process."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.images.geometry import Geometry
from meiflow.results.layout import Layout
from tests.tally import pytest_terminal_summary  # noqa: F401

# The same examples in every run; to search further: pytest --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

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
            "statistics": "ideal",
            "mean_rate_hz": 4.0,
        },
    },
}

# Data and the script that created them in another environment; modules that change the interpreter.
collect_ignore = ["data", "rounding.py", "audit/hook"]


# A worker runs whole files. Those that take a minute or more come first, the longest before all,
# so that no worker is left with one at the end.
LONGEST = (
    "workflow/test_default.py",
    "faults/test_kills.py",
    "docs/test_commands.py",
    "workflow/test_run.py",
    "workflow/test_changed_inputs.py",
    "cli/test_run.py",
    "workflow/test_real_gabors.py",
    "workflow/test_sessions.py",
    "workflow/test_allen_report.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: the longest, further whole workflows, and the others."""
    place = {Path(__file__).parent / name: n for n, name in enumerate(LONGEST)}

    def order(item: pytest.Item) -> tuple[int, bool]:
        return place.get(item.path, len(place)), item.get_closest_marker("workflow") is None

    items.sort(key=order)


@pytest.fixture(scope="session")
def small_config() -> Config:
    return parse_config(SMALL)


@pytest.fixture(scope="session")
def small_session(small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Results of a small simulated session: session file, frames and truth."""
    from meiflow.stages.simulate import simulate

    layout = Layout(tmp_path_factory.mktemp("small"))
    simulate(small_config, layout)
    return layout


@pytest.fixture(scope="session")
def small_results(small_config: Config, small_session: Layout) -> Layout:
    """The same session with its tables; must not be changed."""
    from meiflow.stages.tables import build_tables

    build_tables(small_config, small_session, small_session.scenes, small_session.session_file)
    return small_session


@pytest.fixture
def grid() -> Geometry:
    """The default image grid."""
    return Geometry(60, 96)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)
