"""The paper: every number in it is that of a published table, and every citation has an entry."""

from __future__ import annotations

import csv
import re
from itertools import pairwise

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.docs.pages import ROOT

PAPER = ROOT / "paper" / "paper.md"
TEXT = PAPER.read_text(encoding="utf-8")
FRONT, BODY = TEXT.split("\n---\n", 1)
SECTIONS = ["Summary", "Statement of need", "State of the field", "Software design"]
SECTIONS += ["Research impact and limits", "AI usage disclosure", "Acknowledgements", "References"]
# Numbers of a design or a definition, which no table contains.
DESIGN = {"118", "50", "5", "25", "400", "500", "24", "0.8", "95"}
# 20<!-- = table.csv | column=value | column -->
MARKED = re.compile(
    r"(?P<said>\d[\d.]*(?: to \d[\d.]*)?(?: \(\d[\d.]* to \d[\d.]*\))?)(?P<percent> %)?"
    r"<!-- = (?P<where>[^>]+?) -->"
)


def table(name: str) -> list[dict[str, str]]:
    """Rows of a published table, or of the tables of a page."""
    path = ROOT / "docs" / name
    if path.suffix == ".csv":
        path = ROOT / "docs" / "benchmark" / name
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    rows, header = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if cells and header and not set(line) <= set("|-: "):
            rows.append(dict(zip(header, cells, strict=False)))
        header = header if cells and header else cells
    return rows


def published(where: str) -> str:
    """The cell that a mark names."""
    name, *keys, column = (part.strip() for part in where.split(" | "))
    chosen = [key.split("=", 1) for key in keys]
    rows = [row for row in table(name) if all(row.get(k) == value for k, value in chosen)]
    assert len(rows) == 1, f"{where}: {len(rows)} rows"
    return rows[0][column]


def is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?[\d.]+", text))


def agrees(said: str, percent: bool, cell: str) -> bool:
    """Whether the text gives the cell, as a number, a percentage or an interval."""
    if percent:
        return round(100 * float(cell)) == int(said)
    return said == cell or (is_number(said) and is_number(cell) and float(said) == float(cell))


@pytest.mark.parametrize("mark", list(MARKED.finditer(BODY)), ids=lambda mark: mark["where"])
def test_a_number_of_the_paper_is_that_of_the_table(mark: re.Match[str]) -> None:
    cell = published(mark["where"])
    assert agrees(mark["said"], bool(mark["percent"]), cell), f"{mark[0]}: the table has {cell}"


def test_there_is_no_other_number() -> None:
    assert BODY.count("<!-- = ") == len(MARKED.findall(BODY)) > 20
    rest = re.sub(r"<!--.*?-->", "", MARKED.sub("", BODY), flags=re.DOTALL)
    rest = re.sub(r"@\w+|`[^`]*`|\]\([^)]*\)|\bV[14]\b|^\d\. ", "", rest, flags=re.MULTILINE)
    assert set(re.findall(r"\d[\d.,]*\d|\d", rest)) <= DESIGN


def test_a_number_that_drifts_is_found() -> None:
    where = "trust_by_source.csv | use=measure | precision"
    cell = published(where)
    assert agrees(str(round(100 * float(cell))), True, cell)
    assert not agrees(str(round(100 * float(cell)) - 1), True, cell)
    assert not agrees("0.27 to 0.33", False, "0.21 to 0.33")
    with pytest.raises(AssertionError, match="0 rows"):
        published("trust_by_source.csv | use=nothing | precision")


def test_sections_and_length_are_those_of_the_journal() -> None:
    tokens = MarkdownIt().parse(BODY)
    titles = [b.content for a, b in pairwise(tokens) if a.tag == "h1"]
    assert [title for title in titles if title] == SECTIONS
    words = re.sub(r"<!--.*?-->", "", BODY, flags=re.DOTALL).split()
    assert 750 <= len(words) <= 1750
    front = yaml.safe_load(FRONT.removeprefix("---\n"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert front["title"] == citation["title"]
    assert [a["name"] for a in front["authors"]] == [a["name"] for a in citation["authors"]]


def test_every_citation_has_an_entry_and_every_entry_a_citation() -> None:
    bib = (PAPER.parent / "paper.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{(\w+),$", bib, flags=re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert set(re.findall(r"@(\w+)", BODY)) == set(entries)
    for entry in bib.split("\n\n"):
        assert re.search(r"^  (doi = \{10\.\d{4,}/\S+\}|url = \{https://\S+\},?)", entry, re.M), (
            entry
        )
        assert {"title", "author", "year"} <= set(re.findall(r"^  (\w+) = ", entry, re.M))


def test_pictures_and_commands_of_the_paper_exist() -> None:
    from meiflow.cli.app import app

    for link in re.findall(r"\]\(([^)\s]+)\)", BODY):
        assert (PAPER.parent / link).is_file(), link
    commands = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands}
    assert set(re.findall(r"`meiflow ([a-z-]+)", BODY)) <= commands
