"""Figures for a publication, drawn from a finished session."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.stages.neuron_figures import FIGURES, draw_figures
from tests.project import ROOT


def test_figures_are_written_where_they_are_asked_for(reported, view, tmp_path):
    neuron = view.pages[0].id
    named = [name for name in FIGURES if name != "spectra"]  # which needs the models
    written = draw_figures(reported, [neuron], named, "pdf", None)
    folder = reported.neuron(neuron).root / "figures"
    assert written == [folder / f"{name}.pdf" for name in named]
    assert all(path.read_bytes().startswith(b"%PDF") for path in written)
    before = written[0].read_bytes()
    arguments = ["figure", neuron, "mei", "--results", str(reported.root)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.output.strip() == str(written[0])
    assert written[0].read_bytes() == before  # without a date
    everyone = draw_figures(reported, [], ["ascent"], "svg", tmp_path / "new")
    assert [path.name for path in everyone] == [f"{n}-ascent.svg" for n in sorted_ids(view)]
    assert "step of gradient ascent" in everyone[0].read_text()


def sorted_ids(view) -> list[str]:
    return sorted(page.id for page in view.pages)


def test_what_cannot_be_drawn_is_named(reported, view, tmp_path):
    neuron = view.pages[0].id
    for neurons, names, output, message in (
        (
            [neuron],
            ["meii"],
            None,
            r"figure 'meii': unknown \(did you mean 'mei'\?\); allowed: mei",
        ),
        (
            sorted_ids(view)[-1:],  # which does not respond
            ["transparent"],
            None,
            r"figure transparent: no transparent MEI was made of this neuron \(stimuli.make\)",
        ),
        (["nobody"], ["mei"], None, "neuron 'nobody' is not in this session"),
        ([], ["mei"], tmp_path / "a.pdf", "one file cannot hold several figures"),
        ([neuron], ["mei", "ascent"], tmp_path / "a.pdf", "one file cannot hold several"),
    ):
        with pytest.raises(MeiflowError, match=message):
            draw_figures(reported, neurons, names, "pdf", output)
    with pytest.raises(MeiflowError, match=r"report.html: no such file"):
        draw_figures(Layout(tmp_path), [], [], "pdf", None)
    assert not list(tmp_path.iterdir())


def test_help_and_page_name_every_figure():
    words = " ".join(CliRunner().invoke(app, ["figure", "--help"]).output.replace("│", "").split())
    assert f"The figures: {', '.join(FIGURES)}." in words
    page = (ROOT / "docs" / "one_neuron.md").read_text()
    section = page.partition("## Figures for a publication")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(FIGURES)
