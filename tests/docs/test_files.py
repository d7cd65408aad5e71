"""The page of all files and stages: up to date, and in agreement with a run."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.cli.reference_files import combined_files, session_files
from meiflow.io.checksums import bookkeeping
from meiflow.stages.registry import STAGES
from tests.project import ROOT, finished_project


def test_page_is_up_to_date() -> None:
    page = CliRunner().invoke(app, ["reference", "files"]).stdout
    path = ROOT / "docs" / "files.md"
    assert path.read_text() == page, "run: meiflow reference files > docs/files.md"
    assert all(page.count(f"\n| `{stage}` |") == 2 for stage in STAGES)


@pytest.mark.parametrize("listed", [session_files, combined_files])
def test_no_path_has_two_owners(listed) -> None:
    paths = [path for row in listed() for path in row.paths]
    assert len(paths) == len(set(paths))


def on_the_page(path: str) -> str:
    """Name of a file of a run on the page."""
    path = re.sub(r"^results/\w+/", "", path)
    path = re.sub(r"^neurons/\w+/", "neurons/{neuron}/", path)
    return re.sub(r"^(session/natural_scenes)/.*", r"\1", path)


@pytest.mark.workflow
@pytest.mark.thorough
def test_a_run_writes_the_files_of_the_page_by_the_stages_of_the_page(tmp_path_factory) -> None:
    project = finished_project(tmp_path_factory)
    told = project.snakemake("--summary", "--configfile", "small.yaml").stdout
    rows = csv.DictReader(told[told.index("output_file\t") :].splitlines(), delimiter="\t")
    made = {on_the_page(row["output_file"]): row["rule"] for row in rows}
    listed = {path: row.file for row in session_files() for path in row.paths}
    assert made.items() <= {path: file.stage for path, file in listed.items()}.items()
    assert {path for path, file in listed.items() if not file.when} <= made.keys()
    besides = {"logs", "benchmarks", "kept", *(path.name for path in bookkeeping(Path()))}
    files = [p.relative_to(project.folder) for p in project.results.rglob("*") if p.is_file()]
    found = {on_the_page(path.as_posix()) for path in files if not besides & set(path.parts)}
    assert found == made.keys()
