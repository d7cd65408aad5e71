"""What the tests of downloads share: a session file that is sent, and where it is kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.session.warehouse import SCENES, SESSION, scene, tiny_session


@pytest.fixture(scope="session")
def tiny_nwb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_session(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The templates of all scenes, as they are after a download."""
    folder = tmp_path_factory.mktemp("templates")
    for number in range(SCENES):
        Image.fromarray(scene(number)).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture
def empty_home(tmp_path: Path) -> Path:
    """Where the session is kept; nothing is there yet."""
    return tmp_path / "allen" / f"session_{SESSION}" / f"session_{SESSION}.nwb"


@pytest.fixture
def home(empty_home: Path, templates: Path) -> Path:
    """The same with the templates of scenes, so that only tests of these fetch each of them."""
    shutil.copytree(templates, empty_home.parents[1] / "scenes", copy_function=os.link)
    return empty_home
