"""A report says when it is older than its results, and only then."""

import os

import numpy as np
import pytest

from meiflow.io.files import write_array, write_text
from meiflow.results.layout import CombinedLayout, Layout
from meiflow.stages import outdated
from meiflow.stages.outdated import (
    PLACE,
    as_text,
    is_outdated,
    made_of,
    made_of_sessions,
    mark_report,
)

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
    mark_report(results, "cnn_mei")
    assert results.report.read_bytes() == before
    write_array(np.full((2, 3), 9.0), results.neuron("b2").mei)
    mark_report(results, "stimuli", "b2")
    page = results.report.read_text()
    assert is_outdated(results.report)
    assert "Results have changed since it was written, among them those of neuron b2." in page
    assert f"-- {results.report}</code>" in page
    # Snakemake goes by the date, and makes the page again
    assert results.report.stat().st_mtime == 1e9
    mark_report(results, "comparison", "b2")
    assert results.report.read_text().count("outdated.</strong>") == 1
    # the old content again: the page is true again, to the byte
    write_array(np.full((2, 3), 1), results.neuron("b2").mei)
    mark_report(results, "stimuli", "b2")
    assert results.report.read_bytes() == before
    assert not is_outdated(results.report)


def test_shared_results_and_removed_ones_count(results):
    write_text("neuron_id,cc_norm_model\n", results.summary)
    mark_report(results, "stimuli", "a1")
    assert not is_outdated(results.report)
    mark_report(results, "summary")
    assert "among them those of all neurons together." in results.report.read_text()
    results.neuron("a1").mei.unlink()
    write_text("neuron_id\n", results.summary)
    mark_report(results, "summary")  # what was marked is true again, and another is not
    assert "among them those of neuron a1." in results.report.read_text()


def test_what_a_job_costs_does_not_grow_with_the_neurons(results, monkeypatch):
    neurons = [f"n{i}" for i in range(40)]
    for neuron in neurons:
        write_array(np.zeros(3), results.neuron(neuron).mei)
    listed = as_text(made_of(results, neurons))
    page = f'<meta name="meiflow-results" content="{listed}">\n{PLACE}\n<main></main>'
    write_text(page, results.report)
    read, written = [], []
    checksums, atomic = outdated.read_checksums, outdated.atomic
    monkeypatch.setattr(outdated, "read_checksums", lambda p: (read.append(p), checksums(p))[1])
    monkeypatch.setattr(outdated, "atomic", lambda p: (written.append(p), atomic(p))[1])
    for neuron in neurons:  # the same again
        mark_report(results, "stimuli", neuron)
    assert read == [results.neuron(n).root for n in neurons]
    for neuron in neurons:
        write_array(np.ones(3), results.neuron(neuron).mei)
        mark_report(results, "stimuli", neuron)
    assert (len(read), written) == (80, [results.report])


def test_the_page_of_all_sessions_is_marked_as_well(tmp_path):
    sessions = {"m1": ["7"], "m2": ["7"]}
    for session in sessions:
        results = Layout(tmp_path / session)
        write_text("neuron_id\n", results.summary)
        for neuron in ("7", "8"):
            write_array(np.zeros(3), results.neuron(neuron).mei)
    page = CombinedLayout(tmp_path / "combined").report
    listed = as_text(made_of_sessions(tmp_path, sessions))
    write_text(f'<meta name="meiflow-results" content="{listed}">\n{PLACE}\n<main></main>', page)
    m2 = Layout(tmp_path / "m2")
    for neuron in ("7", "8"):
        write_array(np.ones(3), m2.neuron(neuron).mei)
    mark_report(m2, "stimuli", "8")  # whose MEI is not shown there
    assert not is_outdated(page)
    mark_report(m2, "stimuli", "7")
    assert "among them those of neuron 7 of session m2." in page.read_text()
    write_array(np.zeros(3), m2.neuron("7").mei)
    mark_report(m2, "stimuli", "7")
    assert not is_outdated(page)
    write_text("neuron_id,cc_norm_model\n", m2.summary)
    mark_report(m2, "summary")
    assert "among them those of session m2." in page.read_text()


def test_the_report_stage_and_pages_of_other_versions_are_left_alone(results, caplog):
    write_array(np.full((2, 3), 9.0), results.neuron("b2").mei)
    mark_report(results, "report")
    assert not is_outdated(results.report)
    write_text("<main></main>", results.report)
    mark_report(results, "stimuli", "b2")
    assert results.report.read_text() == "<main></main>"
    results.report.write_bytes(b"\xff")  # not text: logged, and the stage goes on
    mark_report(results, "stimuli", "b2")
    results.report.unlink()
    mark_report(results, "stimuli", "b2")
    assert not is_outdated(results.report)
