"""Counts of what was tried, said at the end of the tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.session import contents, undisturbed
from tests.project import Project


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The undisturbed run: not to be changed."""
    return undisturbed(tmp_path_factory)


@pytest.fixture(scope="session")
def expected(whole: Project) -> dict[str, bytes]:
    """Its results."""
    return contents(whole.results)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Count faults of a kind: ``count("kills", 25)``."""

    def add(kind: str, number: int = 1) -> None:
        record_property("fault", (kind, number))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Under xdist, too: properties travel with the reports."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name == "fault" and report.when == "call":
                counts[value[0]] += value[1]
    if counts:
        said = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        terminalreporter.write_line(f"faults: {said}")
