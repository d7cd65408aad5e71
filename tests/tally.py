"""Summary of what was tested, printed at the end of the tests.

For the outermost conftest.py: if tests run in several processes, the one that summarises has read
no other. The values recorded by tests reach it with their reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

# Names of the properties that tests record.
BAD_INPUT, FAULT = "bad input refused", "fault"


def _noted(reporter: pytest.TerminalReporter, wanted: str) -> Iterator[Any]:
    """Values of a property in the tests that passed."""
    for report in reporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == wanted:
                yield value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many bad inputs were refused, and how many faults of each kind were overcome."""
    inputs = set(_noted(terminalreporter, BAD_INPUT))
    if inputs:
        by_chance = sum(value.startswith("random ") for value in inputs)
        terminalreporter.write_line(
            f"bad input: {len(inputs)} distinct bad inputs refused, each in one clear line "
            f"({len(inputs) - by_chance} of the catalogue, {by_chance} random)"
        )
    faults: Counter[str] = Counter()
    for kind, number in _noted(terminalreporter, FAULT):
        faults[kind] += number
    if faults:
        said = ", ".join(f"{number} {kind}" for kind, number in faults.items())
        terminalreporter.write_line(f"faults: {said}")
