"""The commands around a run that start nothing: templates, the newest report, names, groups."""

from __future__ import annotations

import os
import re

import pytest
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.cli.variants import prepare, results_of, share
from meiflow.config.config import load_config
from meiflow.errors import MeiflowError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def meiflow(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("source", ["tables", "allen", "nwb"])
def test_a_template_is_a_valid_configuration_with_every_section(source, here):
    assert "meiflow run mine.yaml" in meiflow("new", source, "mine.yaml")
    text = (here / "mine.yaml").read_text()
    assert load_config("mine.yaml").session.source == source
    assert {f"{name}:" for name in ("model", "mei", "stimuli", "experiments")} <= set(
        re.findall(r"^\w+:", text, re.MULTILINE)
    )
    with pytest.raises(MeiflowError, match="already exists"):
        meiflow("new", source, "mine.yaml")


def test_the_newest_report_is_opened(here):
    with pytest.raises(MeiflowError, match="no report in this folder; run: meiflow run"):
        meiflow("open")
    reports = [here / "results/a/report.html", here / "variants/louder/results/a/report.html"]
    for age, report in zip((50, 10), reports, strict=True):
        (report.parent / "models").mkdir(parents=True)
        report.touch()
        os.utime(report, (1e9 - age, 1e9 - age))
    assert meiflow("open") == "variants/louder/results/a/report.html\n"
    assert meiflow("open", "results/a") == "results/a/report.html\n"
    assert meiflow("open", "louder") == "variants/louder/results/a/report.html\n"
    (here / "results/a/provisional.html").touch()  # of a run that is at work
    assert meiflow("open") == "results/a/provisional.html\n"
    with pytest.raises(MeiflowError, match=r"lauder: neither .*\(did you mean 'louder'\?\)"):
        results_of("lauder")


def test_a_command_may_be_written_like_its_rule():
    assert "--threads" in meiflow("fit_models", "--help")


def test_help_comes_in_groups():
    groups = re.findall(r"^╭─ ([\w ]+?) ─", meiflow("--help"), re.MULTILINE)
    expected = ["Run", "One stage", "Stimuli", "Look up", "Data and models"]
    expected += ["Next experiment", "Benchmarks"]
    assert [group for group in groups if group != "Options"] == expected


def test_a_variant_sees_the_inputs_at_the_same_paths_and_dates(here):
    (here / "data").mkdir()
    (here / "trials.csv").write_text("a")
    os.utime(here / "trials.csv", (1e9, 1e9))
    (here / "mine.yaml").write_text("session: {trials: trials.csv}")
    folder = prepare(here / "mine.yaml", "v")
    assert folder == here / "variants" / "v"
    link = folder / "trials.csv"
    assert link.is_symlink()
    assert link.lstat().st_mtime == 1e9  # or Snakemake would take it for a changed input
    assert not (folder / "mine.yaml").is_symlink()
    (here / "trials.csv").unlink()
    (here / "mine.yaml").write_text("session: {trials: ../trials.csv}")
    with pytest.raises(MeiflowError, match=r"session\.trials: \.\./trials\.csv leads out of"):
        prepare(here / "mine.yaml", "v")


def test_only_results_are_shared_and_only_when_nobody_writes_them(here):
    for name in ("a/models/models.zip", "a/logs/x.log", "a/models/.lock", "b/models/models.zip"):
        path = here / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    locks = here / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    folder = here / "variants" / "v"
    folder.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    with pytest.raises(MeiflowError, match="a run is working on the results"):
        share(here, folder, ("a",))
    (locks / "0.input.lock").unlink()
    assert share(here, folder, ("a",)) == 2
    shared = folder / "results" / "a"
    assert (shared / "models/models.zip").samefile(here / "results/a/models/models.zip")
    # a log is written in place
    assert not (shared / "logs/x.log").samefile(here / "results/a/logs/x.log")
    assert share(here, folder, ("a",)) == 0
