"""Results folders of three neurons, the page of fifty, and a browser that opens it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
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
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
NO_STORAGE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("denied", "SecurityError"); } })"""
LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="session")
def report_config() -> Config:
    changed = {
        "stimuli": {"make": ["transparent"]},
        "selection": {"oracle_p_max": 0.01, "shuffles": 200},
    }
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


def found_browser() -> str | None:
    given = os.environ.get("MEIFLOW_CHROMIUM")
    return given or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = found_browser()
    if path is None:
        pytest.skip("no Chromium on PATH; install one or set MEIFLOW_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser, big_page):
    """Open the report; console errors and external requests fail the test."""
    contexts, faults = [], []

    def opened(path: Path = big_page, fragment: str = "", storage: bool = True, **options):
        settings = {"viewport": {"width": 1280, "height": 900}} | options
        context = browser.new_context(offline=True, accept_downloads=True, **settings)
        contexts.append(context)
        page = context.new_page()
        if not storage:
            page.add_init_script(NO_STORAGE)
        page.set_default_timeout(20_000)
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else 0)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(LOCAL) else faults.append(r.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture(scope="module")
def reported(results, view, report_config, tmp_path_factory) -> Layout:
    """The results with their report."""
    root = tmp_path_factory.mktemp("reported") / "small"
    shutil.copytree(results.root, root)
    found = Layout(root)
    found.report.write_text(render_report(view, report_config, []), encoding="utf-8")
    return found
