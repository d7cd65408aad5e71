"""The number of bad inputs; no two are the same."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.bad_input import (
    test_command_line,
    test_conditions,
    test_configurations,
    test_pictures,
    test_session_files,
    test_trials,
)

THEMES = {
    "configuration": test_configurations.CASES,
    "trials": test_trials.CASES,
    "gabors": test_conditions.cases("gabors"),
    "static gratings": test_conditions.cases("static_gratings"),
    "drifting gratings": test_conditions.cases("drifting_gratings"),
    "flashes": test_conditions.cases("flashes"),
    "pictures": test_pictures.PICTURES,
    "stacks": test_pictures.STACKS,
    "picture folders": test_pictures.NAMES,
    "session files": test_session_files.CASES,
}


@pytest.mark.parametrize("theme", THEMES)
def test_every_case_is_distinct(theme: str) -> None:
    contents = [c.content for c in THEMES[theme] if isinstance(c.content, str | bytes)]
    assert [c for c, n in Counter(contents).items() if n > 1] == []
    assert [n for n, k in Counter(c.name for c in THEMES[theme]).items() if k > 1] == []


def test_the_catalogue_has_more_than_two_hundred_without_the_configuration() -> None:
    """Invalid values of every key are generated; the others were written by hand."""
    numbers = {theme: len(cases) for theme, cases in THEMES.items()}
    assert sum(numbers.values()) - numbers["configuration"] >= 200, numbers
    assert len(test_command_line.COMMANDS) >= 20
