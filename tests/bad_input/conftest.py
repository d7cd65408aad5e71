"""Counting: every bad input that was refused is recorded in the report of its test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meiflow.config.config import parse_config
from meiflow.results.layout import Layout
from tests.tally import BAD_INPUT


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Record one bad input that was refused: its theme, and a unique name."""

    def note(theme: str, name: str) -> None:
        request.node.user_properties.append((BAD_INPUT, f"{theme}: {name}"))

    return note


@pytest.fixture(scope="session")
def good_nwb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session file with three units and only natural scenes; copies of it are broken."""
    from meiflow.stages.simulate import simulate

    layout = Layout(tmp_path_factory.mktemp("good"))
    sizes = {"units": {"VISam": 3}, "failing_fraction": 0.0, "frames": 4, "repeats": 2}
    sizes |= {"gabor_repeats": 0, "grating_repeats": 0, "frame_height": 40, "frame_width": 40}
    config = parse_config({"session": {"simulation": sizes}})
    simulate(config, layout)
    return layout.session_file
