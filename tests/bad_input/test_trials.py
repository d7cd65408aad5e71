"""Trial tables: every cell, the columns, and files that are not tables."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meiflow.results.layout import Layout
from meiflow.results.tables import read_trials
from meiflow.stages.tables import build_tables
from tests.bad_input.catalogue import (
    HEADER,
    ROWS,
    Case,
    changed,
    csv,
    named,
    refused,
    tables_config,
    tables_session,
)

NUMBERS = ["-1", "1.5", "nan", "inf", "-inf", "many", "1e+300", "9223372036854775808", "1000001"]
NUMBERS += ["0x10", "1_000", "\u00bd", "\uff13", "0.001", "TRUE", "--", "1 2", "=1+1", "None", "NA"]
NAMES = ["../x", "a/b", "/etc/passwd", ".", "..", "-rf", "$(touch x)", "x;touch y", "`id`", "a|b"]
NAMES += ["<script>", "n" * 65, "\u00e9", "a b", "~", "*", "a\\b", "%2e%2e", "{neuron}", "\u202ea"]
NAMES += ["image_id", "trial_id", "orientation", "a'b", "a&b", "_a", "\U0001f42d", "\x1b[31m"]


def cells() -> list[Case]:
    found = []
    for column, others in (("spike_count", []), ("image_id", ["7.png", "scene", "-2"])):
        for value in [*(v for v in NUMBERS if (column, v) != ("image_id", "-1")), *others]:
            says = (f"{column} is {value!r} in row 5", "expected a whole number")
            found.append(Case(f"{column} {value}", changed(5, column, value), says))
    for value in NAMES:
        name = ascii(value)
        found.append(Case(f"neuron_id {name}", changed(7, "neuron_id", value), ("neuron_id",)))
    for column in HEADER:
        for name, value in (("nothing", ""), ("spaces", "   ")):
            says = (f"{column} is empty in row 9",)
            found.append(Case(f"{column} {name}", changed(9, column, value), says))
    return found


def columns() -> list[Case]:
    found = []
    for i, name in enumerate(HEADER):
        rest = [c for j, c in enumerate(HEADER) if j != i]
        rows = [[c for j, c in enumerate(row) if j != i] for row in ROWS]
        found.append(Case(f"no {name}", csv(rest, rows), (f"missing column {name}",)))
        other = [c.upper() if c == name else c for c in HEADER]
        says = (f"missing column {name}", name.upper())
        found.append(Case(f"{name} in capitals", csv(other, ROWS), says))
        double = csv([*HEADER, name], [[*row, row[i]] for row in ROWS])
        found.append(Case(f"{name} twice", double, (f"duplicate column {name}",)))
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        found.append(Case(f"separated by {word}", csv(HEADER, ROWS, mark), (word, "commas")))
    return found


def two_images(column: str, value: str) -> str:
    rows = [list(row) for row in ROWS]
    rows[1][HEADER.index(column)] = value
    return csv(HEADER, rows)


GOOD = csv(HEADER, ROWS)
MANY = [[str(t), f"n{t}", "1", str(t % 6)] for t in range(25_000)]
FILES = [
    Case("empty", "", ("not a readable CSV",)),
    Case("blank lines alone", "\n\n\n", ("not a readable CSV",)),
    Case("header alone", csv(HEADER, []), ("no trials",)),
    Case("no header", csv(ROWS[0], ROWS[1:]), ("missing column trial_id",)),
    Case("UTF-16", GOOD.encode("utf-16"), ("NUL", "UTF-8")),
    Case("Latin-1", changed(5, "neuron_id", "\u00e9").encode("latin-1"), ("UTF-8",)),
    Case("packed", gzip.compress(GOOD.encode(), mtime=0), ("NUL",)),
    Case("a spreadsheet", b"PK\x03\x04\x14\x00\x06\x00" + bytes(80), ("NUL",)),
    Case("NUL in a cell", changed(5, "neuron_id", "a\0x"), ("NUL",)),
    Case("an open quotation mark", changed(5, "neuron_id", '"a'), ("not a readable CSV",)),
    Case("a line break in an id", changed(5, "trial_id", '"1\n2"'), ("trial_id", "quotation")),
    Case("an escape in an id", changed(5, "trial_id", "1\x1b[2J"), ("trial_id", "non-printable")),
    Case("a longer row", GOOD + "99,a,1,2,3\n", ("not a readable CSV", "line 26")),
    Case("all rows longer", csv(HEADER, [[*r, "7"] for r in ROWS]), ("more cells than",)),
    Case("decimal commas", csv(HEADER, [[*r[:3], r[3] + ",0"] for r in ROWS]), ("more cells",)),
    Case("a shorter row", GOOD + "99,a,1\n", ("image_id is empty in row 26",)),
    Case("a wrong row after a blank one", "\n".join([*GOOD.split("\n")[:3], "", "9,a,x,1"]),
         ("spike_count is 'x' in row 5",)),
    Case("a pair twice", GOOD + GOOD.splitlines()[1] + "\n", ("trial 0, neuron a", "rows 2, 26")),
    Case("a pair twice, as 0 and 0.0", GOOD + "0.0,a,1,0\n", ("trial 0, neuron a", "rows 2, 26")),
    Case("a pair twice, with a space", GOOD + "0,a ,1,0\n", ("trial 0, neuron a", "rows 2, 26")),
    Case("one trial, two images", two_images("image_id", "3"), ("trial 0 has more than one",)),
    Case("truth values", csv(HEADER, [[*r[:2], "True", r[3]] for r in ROWS]), ("True and False",)),
    Case("three images", csv(HEADER, [[*r[:3], str(int(r[3]) % 3)] for r in ROWS]), ("only 3",)),
    Case("blanks alone", csv(HEADER, [[*r[:3], "-1"] for r in ROWS]), ("only 0 different images",)),
    Case("an image nobody has", changed(3, "image_id", "0") + "99,a,1,77\n", ("lacks frame 77",)),
    Case("more spikes than can be", changed(5, "spike_count", "600"), ("600 spikes", "window_s")),
    Case("a million columns", ",".join(f"c{i}" for i in range(10**6)), ("first line is",)),
    Case("one endless line", "x" * 3_000_000, ("first line is longer",)),
    Case("trials that are neurons", csv(HEADER, MANY), ("25,000 different trial_ids",)),
]  # fmt: skip
CASES = [*cells(), *columns(), *FILES]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tables_session(tmp_path_factory.mktemp("own"))


def tables(path: Path, session: Path, output: Path) -> Layout:
    results = Layout(output)
    config = tables_config(session, trials=str(path))
    build_tables(config, results, session / "images.npy", None)
    return results


@named(CASES)
def test_a_wrong_trial_table_is_explained(
    case: Case, session: Path, tmp_path: Path, tried: Any
) -> None:
    """With the file, the location and what is expected; no table is written."""
    path, output = case.write(tmp_path / "wrong.csv"), tmp_path / "out"
    place = "images.npy" if case.name == "an image nobody has" else "wrong.csv"
    place = "session.trials" if "only" in "".join(case.says) else place
    refused(lambda: tables(path, session, output), place, *case.says)
    assert not output.exists()
    tried("trials", case.name)


SAME = [
    Case("byte-order mark", b"\xef\xbb\xbf" + GOOD.encode()),
    Case("Windows line ends", csv(HEADER, ROWS, end="\r\n")),
    Case("old line ends", csv(HEADER, ROWS, end="\r")),
    Case("no last line end", GOOD.rstrip()),
    Case("blank lines", GOOD.replace("\n", "\n\n")),
    Case("quoted", csv([f'"{c}"' for c in HEADER], [[f'"{c}"' for c in r] for r in ROWS])),
    Case("other columns", csv([*HEADER, "note"], [[*r, "x"] for r in ROWS])),
    Case("another order", csv(HEADER[::-1], [r[::-1] for r in ROWS])),
    Case("spaces", csv(HEADER, [[f" {c} " for c in r] for r in ROWS])),
    Case("counts with a point", csv(HEADER, [[r[0], r[1], r[2] + ".0", r[3]] for r in ROWS])),
    Case("trials with a point", csv(HEADER, [[r[0] + ".0", *r[1:]] for r in ROWS])),
    Case("silent pairs left out", csv(HEADER, [ROWS[0], *(r for r in ROWS if r[2] != "0")])),
]  # fmt: skip


@named(SAME)
def test_other_ways_to_write_it_give_the_same_counts(
    case: Case, session: Path, tmp_path: Path
) -> None:
    good = read_trials(tables(session / "trials.csv", session, tmp_path / "good"))
    other = read_trials(tables(case.write(tmp_path / "other.csv"), session, tmp_path / "other"))
    assert other.neuron_ids == good.neuron_ids
    assert other.trial_ids.tolist() == good.trial_ids.tolist()
    np.testing.assert_array_equal(other.counts, good.counts)
    np.testing.assert_array_equal(other.image_ids, good.image_ids)
