"""What was tried, said at the end of the tests.

For the outermost conftest.py: where tests run in several processes, the one that sums up has read
no other. What tests noted travels to it with their reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

# Names of the properties that tests note.
BAD_INPUT, FAULT = "bad input refused", "fault"


def _noted(reporter: pytest.TerminalReporter, wanted: str) -> Iterator[Any]:
    """Values of a property of the tests that passed."""
    for report in reporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == wanted:
                yield value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many bad inputs were refused, and how many faults of each kind overcome."""
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
