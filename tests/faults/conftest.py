"""The undisturbed run, and the count of faults (tests/tally.py prints it at the end)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.session import contents, undisturbed
from tests.project import Project
from tests.tally import FAULT


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The undisturbed run; must not be changed."""
    return undisturbed(tmp_path_factory)


@pytest.fixture(scope="session")
def expected(whole: Project) -> dict[str, bytes]:
    """Results of the undisturbed run."""
    return contents(whole.results)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Count faults of a kind: ``count("kills", 25)``."""

    def add(kind: str, number: int = 1) -> None:
        record_property(FAULT, (kind, number))

    return add
