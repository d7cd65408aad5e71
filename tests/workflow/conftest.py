"""Projects as users have them: one without results, and one that has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project, finished_project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project without results."""
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project for this module. Tests may add to it."""
    folder = tmp_path_factory.mktemp("project") / "copy"
    return finished_project(tmp_path_factory).copy(folder)
