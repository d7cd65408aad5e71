"""What the tests of downloads share: a session file that is sent, and where it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.session.warehouse import SESSION, tiny_session


@pytest.fixture(scope="session")
def tiny_nwb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_session(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "allen" / f"session_{SESSION}" / f"session_{SESSION}.nwb"
