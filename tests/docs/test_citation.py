"""CITATION.cff: valid in its format, and of the version that the package and the changelog have."""

from __future__ import annotations

import re
import tomllib
from copy import deepcopy
from datetime import date
from typing import Any

import jsonschema
import pytest
import yaml

from meiflow import __version__
from tests.docs.pages import ROOT

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def text(**more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1} | more


def a_list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": items}


def keys(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


# The part of the schema of the Citation File Format 1.2.0 that a file like ours may use.
PERSON = keys(
    ("family-names",),
    **{name: text() for name in ("family-names", "given-names", "name-particle", "affiliation")},
    orcid=text(pattern=r"^https://orcid\.org/\d{4}-\d{4}-\d{4}-\d{3}[\dX]$"),
)
ENTITY = keys(("name",), name=text(), website=text(pattern="^https?://"))
AUTHORS = a_list_of({"anyOf": [PERSON, ENTITY]})
DOI = text(pattern=r"^10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+$")
REFERENCE = keys(
    ("authors", "title", "type"),
    authors=AUTHORS,
    title=text(),
    type={"enum": ["article", "book", "conference-paper", "data", "generic", "software"]},
    doi=DOI,
    year={"type": "integer"},
    **{name: text() for name in ("journal", "url", "volume", "version")},
)
SCHEMA = keys(
    ("cff-version", "message", "title", "authors"),
    authors=AUTHORS,
    doi=DOI,
    type={"enum": ["software", "dataset"]},
    keywords=a_list_of(text()),
    references=a_list_of(REFERENCE),
    **{"cff-version": {"const": "1.2.0"}, "date-released": text(pattern=r"^\d{4}-\d\d-\d\d$")},
    **{name: text() for name in ("abstract", "message", "title", "version", "license", "url")},
    **{"preferred-citation": REFERENCE, "repository-code": text(pattern="^https?://")},
)


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """With the date as text, as in JSON."""
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in document.items()}


def test_it_is_valid() -> None:
    jsonschema.validate(plain(CITATION), SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("title", ""),
        ("cff-version", "1.1.0"),
        ("authors", []),
        ("authors", [{"given-names": "Ada"}]),
        ("authors", [{"name": "A", "nmae": "B"}]),
        ("licence", "BSD-3-Clause"),
        ("doi", "https://doi.org/10.5281/zenodo.1"),
        ("references", [{"type": "paper", "title": "A", "authors": [{"name": "B"}]}]),
    ],
)
def test_what_the_format_forbids_is_found(key: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain(deepcopy(CITATION) | {key: value}), SCHEMA)


def release(changelog: str) -> tuple[str, str]:
    """Version and date of the newest section of a changelog."""
    found = re.search(r"^## (\S+) - (unreleased|\d{4}-\d\d-\d\d)$", changelog, flags=re.MULTILINE)
    assert found, "the first section is not '## VERSION - DATE' or '## VERSION - unreleased'"
    return found[1], found[2]


def test_version_date_and_licence_are_those_of_the_package() -> None:
    version, day = release((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert CITATION["version"] == version == __version__ == project["version"]
    assert str(CITATION.get("date-released", "unreleased")) == day
    assert CITATION["license"] == project["license"] == "BSD-3-Clause"


def test_a_forgotten_date_is_found() -> None:
    assert release("# Changelog\n\n## 0.2.0 - 2027-01-31\n\n## 0.1.0 - unreleased\n") == (
        "0.2.0",
        "2027-01-31",
    )
    with pytest.raises(AssertionError, match="the first section"):
        release("## 0.2.0 (January)\n")
