"""Hashes of inputs compared with sha256sum; trust in words; the columns of the table."""

import hashlib
import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import write_text
from meiflow.report.columns import cell, number
from meiflow.report.page import render_report
from meiflow.report.provenance import hash_of, read_notes, read_provenance, versions
from meiflow.report.trust import precision_text, trust_of
from meiflow.results.layout import Layout
from meiflow.session.transfer import write_record
from meiflow.stages.provenance import write_provenance
from meiflow.tables.stack import BinnedMovie, StackInfo


def test_a_file_and_a_folder_hash_as_sha256sum_does(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "b.png").write_bytes(b"two")
    (folder / "a.png").write_bytes(b"one")
    (folder / ".hidden").write_bytes(b"no")
    one = hash_of(folder / "a.png")
    assert one["sha256"] == hashlib.sha256(b"one").hexdigest()
    assert one["bytes"] == 3
    done = subprocess.run(
        "sha256sum * | sha256sum",
        cwd=folder,
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    both = hash_of(folder)
    assert both["sha256"] == done.stdout.split()[0]
    assert both["bytes"] == 6
    assert both["how"] == "folder of 2 files"


def test_the_hash_of_a_download_is_not_computed_again(tmp_path):
    path = tmp_path / "session.nwb"
    path.write_bytes(b"recorded")
    write_record(path, "https://example.org/session.nwb")
    path.write_bytes(b"RECORDED")  # of the same size, so only hashing it again would notice
    assert hash_of(path)["sha256"] == hashlib.sha256(b"recorded").hexdigest()
    assert "example.org" in hash_of(path)["how"]
    path.write_bytes(b"another length")
    assert hash_of(path)["sha256"] == hashlib.sha256(b"another length").hexdigest()


def test_movies_of_a_download_without_scenes_are_listed(tmp_path):
    """The folder of the scenes, which are not downloaded then, may even be missing."""
    results = Layout(tmp_path / "results")
    scenes, movies = tmp_path / "natural_scenes", tmp_path / "natural_movies"
    movies.mkdir()
    for name in ("one", "of_another_session"):
        (movies / f"{name}.npy").write_bytes(name.encode())
    info = StackInfo.of(np.zeros((5, 6, 8)), np.arange(5), Geometry(6, 8))
    write_text("{}", results.download_record)
    write_text(replace(info, movies=(BinnedMovie("one", 5, 0.3),)).to_json(), results.image_info)
    write_provenance(results, [scenes])
    assert [one["path"] for one in read_provenance(results.provenance)] == [str(movies / "one.npy")]
    write_text(info.to_json(), results.image_info)
    with pytest.raises(MeiflowError, match="natural_scenes: no such file or folder"):
        write_provenance(results, [scenes])
    scenes.mkdir()
    write_provenance(results, [scenes])
    assert [one["path"] for one in read_provenance(results.provenance)] == [str(scenes)]


def test_notes_are_read_and_missed(tmp_path):
    path = tmp_path / "notes.json"
    write_text('["images.npy: 1 of 3 images were never shown (2)"]', path)
    assert read_notes(path) == ["images.npy: 1 of 3 images were never shown (2)"]
    path.unlink()
    with pytest.raises(MeiflowError, match=r"notes\.json: .*rebuild the tables"):
        read_notes(path)


def test_provenance_is_written_read_and_missed(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    results = Layout(tmp_path / "results")
    write_provenance(results, [tmp_path / "a"])
    found = read_provenance(results.provenance)
    assert [one["path"] for one in found] == [str(tmp_path / "a")]
    with pytest.raises(MeiflowError, match="no such file or folder"):
        hash_of(tmp_path / "b")
    write_text(json.dumps({"inputs": [{"path": "a"}]}), results.provenance)
    with pytest.raises(MeiflowError, match="run meiflow provenance"):
        read_provenance(results.provenance)


def test_notes_on_the_inputs_are_shown(view, report_config, results):
    """Escaped, under Provenance."""
    inputs = read_provenance(results.provenance)
    assert read_notes(results.notes) == []
    assert "Nothing was noted" in render_report(view, report_config, inputs)
    notes = ["trials: <b> is silent", "images: 1 of 6 is uniform (1)"]
    page = render_report(view, report_config, inputs, notes=notes)
    part = page[page.index('<section id="provenance"') :]
    assert "<li>trials: &lt;b&gt; is silent</li>" in part
    assert "<li>images: 1 of 6 is uniform (1)</li>" in part


def test_versions_are_those_that_run():
    found = versions()
    assert found["numpy"] == np.__version__
    assert {"meiflow", "Python", "torch", "snakemake", "scipy"} <= set(found)


def test_trust_is_a_symbol_and_words():
    assert trust_of({"neuron_id": "a"}) is None
    yes = trust_of({"trusted": True, "expected_fraction": 0.9, "trust_reason": np.nan})
    assert (yes.mark, yes.text, yes.reason, yes.expected) == ("✓", "trusted", "", 0.9)
    no = trust_of({"trusted": np.False_, "expected_fraction": 0.2, "trust_reason": "noisy"})
    assert (no.mark, no.kind, no.reason) == ("✗", "no", "noisy")
    unknown = trust_of({"trusted": np.nan, "expected_fraction": np.nan, "trust_reason": np.nan})
    assert (unknown.mark, unknown.kind, unknown.expected) == ("?", "unknown", None)
    assert precision_text(None) == ""


def test_cells_sort_by_their_value_and_read_well():
    assert cell("osi", np.nan).value == ""
    assert cell("osi", np.nan).text == "–"
    assert cell("model_above_chance", np.True_).value == "1"
    assert cell("mei_peak_frequency_cpd", 0.04567).text == "0.046"
    assert number(0.00049975) == "0.0005"
    assert number(12345.678) == "12346"
