"""Figures of a session by panel: their width, text and letters, and what cannot be drawn."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from meiflow.benchmark.calibrate import kept_back
from meiflow.cli.app import app
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv
from meiflow.results.layout import Layout
from meiflow.stages.paper_figures import PANELS, draw_paper
from tests.project import ROOT

MM = 72 / 25.4


def width_mm(svg: str) -> float:
    return float(re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)[1]) / MM


def sizes(svg: str) -> set[float]:
    return {float(v) for v in re.findall(r"font(?:-size)?: ?[^;\"]*?([\d.]+)px", svg)}


def letters(svg: str) -> list[str]:
    """Panel letters, which are the only bold text."""
    return re.findall(r"font-weight: 700;[^>]*>([a-z])<", svg)


@pytest.fixture(scope="module")
def drawn(reported) -> dict[str, str]:
    paths = draw_paper(reported, kept_back(), [], "svg", None)
    assert {path.parent for path in paths} == {reported.root / "figures" / "paper"}
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def test_panels_have_the_width_of_a_journal_and_text_of_7_to_8_points(drawn) -> None:
    assert list(drawn) == ["a_meis", "b_responses", "c_trust", "d_tuning", "figure"]
    wide = {name: round(width_mm(svg)) for name, svg in drawn.items()}
    assert wide == {"a_meis": 180, "b_responses": 85, "c_trust": 85, "d_tuning": 180, "figure": 180}
    for name, svg in drawn.items():
        assert sizes(svg) == {7.0, 8.0}, name
        assert letters(svg) == (list("abcd") if name == "figure" else [name[0]])


def test_they_show_the_neurons_of_the_session(drawn, reported) -> None:
    ids = [str(neuron) for neuron in read_csv(reported.summary)["neuron_id"]]
    assert all(re.search(rf">{neuron}<", drawn["a_meis"]) for neuron in ids[:8])
    assert ">this session<" in drawn["c_trust"]
    assert ">predicted count relative to the MEI<" in drawn["b_responses"]
    assert "noise ceiling" in drawn["d_tuning"]


def test_the_command_draws_chosen_panels_in_their_order(reported, tmp_path) -> None:
    arguments = ["figure", "--paper", "trust", "responses", "--results", str(reported.root)]
    arguments += ["--format", "pdf", "--output", str(tmp_path / "new")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    paths = [tmp_path / "new" / f"{name}.pdf" for name in ("a_trust", "b_responses", "figure")]
    assert done.output.split() == [str(path) for path in paths]
    first = [path.read_bytes() for path in paths]
    assert all(content.startswith(b"%PDF") for content in first)
    draw_paper(reported, kept_back(), ["trust"], "pdf", tmp_path / "new")
    assert paths[0].read_bytes() == first[0]  # without a date


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper", "trsut"], "panel 'trsut': unknown (did you mean 'trust'?); allowed: meis,"),
        (["--paper", "--output", "a.pdf"], "--output a.pdf: --paper writes several files"),
        ([], "figure: give a neuron id or all, or --paper for the whole session"),
    ],
)
def test_what_cannot_be_drawn_is_named(reported, arguments, message) -> None:
    done = CliRunner().invoke(app, ["figure", *arguments, "--results", str(reported.root)])
    assert isinstance(done.exception, MeiflowError)
    assert message in str(done.exception)


def test_a_session_without_gabors_or_trust_has_the_other_panels(reported, tmp_path) -> None:
    root = tmp_path / "small"
    shutil.copytree(reported.root, root)
    found = Layout(root)
    summary = read_csv(found.summary)
    write_csv(summary.drop(columns=["trusted", "expected_fraction"]), found.summary)
    names = [path.stem for path in draw_paper(found, kept_back(), [], "png", tmp_path)]
    assert names == ["a_meis", "b_responses", "c_tuning", "figure"]
    with pytest.raises(MeiflowError, match="panel trust: the trust rule does not apply"):
        draw_paper(found, kept_back(), ["trust"], "svg", tmp_path)


def test_the_calibration_is_that_of_the_measured_precision() -> None:
    table = kept_back()
    published = pd.read_csv(ROOT / "docs" / "benchmark" / "trust_by_source.csv")
    row = published[published["use"] == "measure"].iloc[0]
    right = table["fraction_of_optimum"] >= 0.8
    assert int(table["trusted"].sum()) == row["trusted"]
    assert int((table["trusted"] & right).sum()) == row["trusted_right"]
    assert np.isfinite(table["expected_fraction"]).all()


def test_help_and_page_name_every_panel() -> None:
    words = " ".join(CliRunner().invoke(app, ["figure", "--help"]).output.replace("│", "").split())
    assert f"all of them as one figure: {', '.join(PANELS)}." in words
    page = (ROOT / "docs" / "one_neuron.md").read_text()
    section = page.partition("## Figures of the session by panel")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(PANELS)
