"""Counting: every bad input that was refused is noted with its test's report."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bad_input.catalogue import PROPERTY


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Note one bad input that was refused: its theme, and a name that tells it from others."""

    def note(theme: str, name: str) -> None:
        request.node.user_properties.append((PROPERTY, f"{theme}: {name}"))

    return note
