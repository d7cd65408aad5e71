"""A report of the first neurons, made before anything of all neurons together is there."""

from __future__ import annotations

import re
import shutil
from html import unescape

import pytest

from meiflow.config.config import parse_config
from meiflow.io.files import read_array, read_csv, write_array
from meiflow.results.layout import Layout
from meiflow.results.neurons import first_neurons
from meiflow.stages.provisional import lead_to_report, write_provisional
from meiflow.stages.report import write_report
from tests.report.conftest import EVERYTHING

LATER = ("summary", "provenance", "learning_curve", "closed_loop", "trust", "recorded_tuning")
LATER += ("preferences", "predicted_gabors", "predicted_gratings", "recorded_svg")


def text_of(page: str) -> str:
    """What a reader sees, without scripts and styles."""
    seen = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", seen)).split())


@pytest.fixture
def begun(results, tmp_path) -> Layout:
    """Results of three neurons, of which only the first are compared yet."""
    folder = tmp_path / "small"
    shutil.copytree(results.root, folder)
    begun = Layout(folder)
    for path in begun.named(*LATER):
        path.unlink()
    shutil.rmtree(begun.root / "figures", ignore_errors=True)
    for figure in begun.selection_figures("oracle", "measures", "rastermap")[1::2]:
        figure.unlink()
    neurons = read_csv(begun.fitted_neurons).query("selected")["neuron_id"].tolist()
    for neuron in set(neurons) - set(first_neurons(neurons)):
        shutil.rmtree(begun.neuron(neuron).root)
    return begun


def test_page_says_which_neurons_it_has_and_what_is_missing(begun, report_config):
    changed = {
        "experiments": {"make": ["orientation"], "invariance": True},
        "stimuli": {"make": ["diverse"]},
    }
    config = parse_config(report_config.model_dump() | changed)
    write_provisional(config, begun, EVERYTHING)
    page = text_of(begun.provisional.read_text())
    assert "Provisional report of 2 of 3 fitted neurons." in page
    assert (
        "Still missing: whether each MEI can be trusted, the closed loop, the comparison with "
        "recorded tuning, the learning curves, the in-silico experiments, the invariances, the "
        "stimuli of other procedures, the figures of the selection, the hashes of the inputs."
    ) in page
    assert "2 of 2 neurons" in page
    assert "the confidence in the MEIs was not judged yet" in page
    assert "recorded tuning predicted – not compared yet" in page
    assert "3 selected" in page
    assert not list((begun.root / "figures").glob("*"))  # which are outputs of the report


def test_page_leads_to_the_report_when_that_is_there(results, begun, report_config, tmp_path):
    write_provisional(report_config, begun, EVERYTHING)
    date = begun.provisional.stat().st_mtime_ns
    finished = Layout(tmp_path / "finished")
    shutil.copytree(results.root, finished.root)
    shutil.copy2(begun.provisional, finished.provisional)
    write_report(report_config, finished, EVERYTHING)
    link = finished.provisional.read_text()
    assert 'url=report.html"' in link
    assert len(link) < 500
    assert finished.provisional.stat().st_mtime_ns == date

    # one that is made after the report leads there, too, unless that has older results of a neuron
    write_provisional(report_config, finished, EVERYTHING)
    assert finished.provisional.read_text() == link
    marked = '<!-- state of this page --><p class="banner outdated" data-result="x">old</p>'
    page = finished.report.read_text().replace("<!-- state of this page -->", marked)
    finished.report.write_text(page)
    write_provisional(report_config, finished, EVERYTHING)
    assert finished.provisional.read_text() == link
    first = first_neurons(read_csv(finished.fitted_neurons).query("selected")["neuron_id"].tolist())
    mei = finished.neuron(first[0]).mei
    write_array(read_array(mei) / 2, mei)
    write_provisional(report_config, finished, EVERYTHING)
    assert "Provisional report of 2 of 3" in text_of(finished.provisional.read_text())


def test_no_page_is_made_where_there_was_none(begun):
    lead_to_report(begun)
    assert not begun.provisional.exists()
