"""Results folders of three neurons, and the page of fifty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.report.columns import TableCell
from meiflow.report.page import render_report
from meiflow.report.provenance import read_provenance
from meiflow.report.view import NeuronPage, ReportView
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from tests.conftest import SMALL
from tests.report.results import make_results, many, view_of

EVERYTHING = SessionHas(spike_times=True, gabors=True, gratings=True, truth=True)
NEURONS = 3
MANY = 50
HOSTILE = "<script>alert(1)</script>\"' & é"


@pytest.fixture(scope="session")
def report_config() -> Config:
    changed = {"stimuli": {"make": []}, "selection": {"oracle_p_max": 0.01, "shuffles": 200}}
    return parse_config(SMALL | changed).for_source()


@pytest.fixture(scope="session")
def results(report_config, small_results, tmp_path_factory) -> Layout:
    """A finished simulated session."""
    from meiflow.io.files import read_csv

    results = Layout(tmp_path_factory.mktemp("results") / "small")
    ids = sorted(read_csv(small_results.units)["neuron_id"])[:NEURONS]
    make_results(report_config, small_results, results, EVERYTHING, ids)
    return results


@pytest.fixture(scope="session")
def view(report_config, results) -> ReportView:
    return view_of(report_config, results, EVERYTHING)


def renamed(page: NeuronPage, i: int) -> NeuronPage:
    """The page with another id and score; the id of the first page is hostile."""
    name = HOSTILE if i == 0 else f"u{1000 + i}"
    cells = [TableCell(name, name), *page.cells[1:]]
    cells[4] = TableCell(f"{(i * 37 % 50) / 50:.2f}", str((i * 37 % 50) / 50))
    return replace(page, id=name, name=f"neuron-{name}", cells=cells)


@pytest.fixture(scope="session")
def big_page(view, report_config, results, tmp_path_factory) -> Path:
    """report.html of fifty neurons."""
    assert [c.name for c in view.columns][:5] == [
        "neuron_id",
        "trusted",
        "expected_fraction",
        "model_above_chance",
        "cc_norm_model",
    ]
    html = render_report(
        many(view, MANY, renamed), report_config, read_provenance(results.provenance)
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path
