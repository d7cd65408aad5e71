"""A report says when it is older than its results, and only then."""

import os

import numpy as np
import pytest

from meiflow.io.files import write_array, write_text
from meiflow.results.layout import Layout
from meiflow.stages.outdated import PLACE, as_text, is_outdated, made_of, mark_report

NEURONS = ["a1", "b2"]


@pytest.fixture
def results(tmp_path):
    """Two neurons and a page that shows them, an hour old."""
    results = Layout(tmp_path / "demo")
    for value, neuron in enumerate(NEURONS):
        write_array(np.full((2, 3), value), results.neuron(neuron).mei)
    write_text("neuron_id\n", results.summary)
    state = as_text(made_of(results, NEURONS))
    page = f'<meta name="meiflow-results" content="{state}">\n{PLACE}\n<main></main>'
    write_text(page, results.report)
    os.utime(results.report, (1e9, 1e9))
    return results


def test_a_neuron_made_again_marks_the_page_and_leaves_its_date(results):
    before = results.report.read_bytes()
    write_array(np.zeros(3), results.procedure("cnn_mei").images)  # not shown there
    mark_report(results, "stimuli")
    assert results.report.read_bytes() == before
    write_array(np.full((2, 3), 9.0), results.neuron("b2").mei)
    mark_report(results, "stimuli")
    page = results.report.read_text()
    assert is_outdated(results.report)
    assert "This page is outdated.</strong> Results of neuron b2 have changed" in page
    assert f"-- {results.report}</code>" in page
    # Snakemake goes by the date, and makes the page again
    assert results.report.stat().st_mtime == 1e9
    mark_report(results, "comparison")
    assert results.report.read_text().count("outdated.</strong>") == 1
    # the old content again: the page is true again, to the byte
    write_array(np.full((2, 3), 1), results.neuron("b2").mei)
    mark_report(results, "stimuli")
    assert results.report.read_bytes() == before
    assert not is_outdated(results.report)


def test_shared_results_and_removed_ones_count(results):
    results.neuron("a1").mei.unlink()
    write_text("neuron_id,cc_norm_model\n", results.summary)
    mark_report(results, "summary")
    assert "neuron a1 and of all neurons together have" in results.report.read_text()


def test_the_report_stage_and_pages_of_other_versions_are_left_alone(results, caplog):
    write_array(np.full((2, 3), 9.0), results.neuron("b2").mei)
    mark_report(results, "report")
    assert not is_outdated(results.report)
    write_text("<main></main>", results.report)
    mark_report(results, "stimuli")
    assert results.report.read_text() == "<main></main>"
    results.report.write_bytes(b"\xff")  # not text: logged, and the stage goes on
    mark_report(results, "stimuli")
    results.report.unlink()
    mark_report(results, "stimuli")
    assert not is_outdated(results.report)
