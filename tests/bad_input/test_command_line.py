"""Bad input on the command line and in the workflow: one line, status 1, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meiflow.cli import app as cli
from tests.bad_input.catalogue import changed, tables_session
from tests.project import make_project

Arguments = list[str]


def config(folder: Path, **session: Any) -> str:
    given = {"source": "tables", "trials": str(folder / "trials.csv")}
    given |= {"images": str(folder / "images.npy")} | session
    return json.dumps(
        {
            "session": given,
            "image": {"height": 8, "width": 12, "width_deg": 121.24, "height_deg": 94.8},
        }
    )


def tables(folder: Path, **session: Any) -> Arguments:
    images = str(folder / "images.npy")
    given = ["--config", config(folder, **session), "--images", images]
    return ["tables", *given, "--results", str(folder / "out")]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def a_pipe(folder: Path) -> Arguments:
    os.mkfifo(folder / "pipe.csv")
    return tables(folder, trials=str(folder / "pipe.csv"))


def an_address(folder: Path) -> Arguments:
    return tables(folder, trials="http://127.0.0.1:9/trials.csv")


def stimuli(neuron: str) -> Callable[[Path], Arguments]:
    def build(folder: Path) -> Arguments:
        return ["stimuli", "--config", "{}", f"--results={folder}", "--neuron", neuron]

    return build


def output_is_a_file(folder: Path) -> Arguments:
    written(folder, "out", "here already")
    return tables(folder)


COMMANDS: dict[str, tuple[Callable[[Path], Arguments], str]] = {
    "no such configuration": (lambda f: ["check", str(f / "none.yaml")], "none.yaml: no such"),
    "a folder as configuration": (lambda f: ["check", str(f)], "is a folder, not a file"),
    "a wrong key": (lambda f: ["check", str(written(f, "c.yaml", "mie: {}"))], "unknown key mie"),
    "a configuration in UTF-16": (
        lambda f: ["check", str(written(f, "c.yaml", "seed: 1".encode("utf-16")))],
        "c.yaml: not a readable text file",
    ),
    "a name with NUL": (lambda f: ["check", "a\0b"], "embedded null"),
    "a name too long": (lambda f: ["check", "x" * 300], "too long"),
    "a wrong count": (
        lambda f: tables(f, trials=str(written(f, "t.csv", changed(5, "spike_count", "-1")))),
        "t.csv: spike_count is '-1' in row 5",
    ),
    "an escaping neuron": (
        lambda f: tables(f, trials=str(written(f, "t.csv", changed(5, "neuron_id", "../x")))),
        "t.csv: invalid neuron_id '../x'",
    ),
    "a pipe for a table": (a_pipe, "pipe.csv: is not a file (a pipe"),
    "an address for a table": (an_address, "http://127.0.0.1:9/trials.csv: no such file"),
    "no such table": (lambda f: tables(f, trials=str(f / "no.csv")), "no.csv: no such file"),
    "tables without a window": (lambda f: tables(f, window_s=[0.0, None]), "session.window_s"),
    "a file for the output": (output_is_a_file, "out/tables: Not a directory"),
    "no such images": (lambda f: [*tables(f), "--images", str(f / "n.npy")], "n.npy: no such file"),
    "a session file for tables": (lambda f: [*tables(f), "--nwb", "x.nwb"], "not --nwb"),
    "neuron ..": (stimuli(".."), "--neuron '..'"),
    "neuron ../../x": (stimuli("../../x"), "--neuron '../../x'"),
    "neuron -rf": (stimuli("-rf"), "--neuron '-rf'"),
    "neuron $(touch x)": (stimuli("$(touch x)"), "--neuron '$(touch x)'"),
    "neuron with a line break": (stimuli("a\nb"), "--neuron 'a\\nb'"),
    "a source without download": (
        lambda f: ["download", "--config", config(f), f"--results={f}", f"--data={f}"],
        "session.source: nothing to download for tables",
    ),
    "hashes of nothing": (
        lambda f: ["provenance", str(f / "none"), "--results", str(f / "o")],
        "no such file or folder",
    ),
}  # fmt: skip
SAMPLE = ["a wrong key", "a wrong count", "a pipe for a table"]


def check(status: object, error: str, says: str) -> None:
    assert status == 1
    # notes on the inputs may precede the error
    lines = [line for line in error.splitlines() if not line.startswith(("trials: ", "images: "))]
    assert len(lines) == 1, error
    assert lines[0].startswith("meiflow: error: ")
    assert says in lines[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_ends_with_one_line(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tried: Any,
) -> None:
    arguments, says = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["meiflow", *arguments(tables_session(tmp_path))])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    check(ended.value.code, capsys.readouterr().err, says)
    assert not (tmp_path / "x").exists()
    tried("commands", name)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_process_ends_with_one_line(name: str, tmp_path: Path) -> None:
    """As a user sees it, with nothing printed before or after."""
    arguments, says = COMMANDS[name]
    command = [sys.executable, "-m", "meiflow.cli.app", *arguments(tables_session(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    check(done.returncode, done.stderr, says)
    assert not done.stdout


def test_insufficient_memory_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", lambda: np.zeros(2**50))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    check(ended.value.code, capsys.readouterr().err, "out of memory; give the job more")


WORKFLOW = {
    "a key twice": ("mei: {steps: 3}\nseed: 1\nmei: {mean: 0.4}\n", "duplicate key 'mei'"),
    "braces in a path": (
        "session: {source: tables, trials: '{neuron}.csv', images: '.'}\n",
        "session.trials: '{neuron}.csv' contains braces",
    ),
}


@pytest.mark.parametrize("name", WORKFLOW)
def test_the_workflow_stops_before_any_job(name: str, tmp_path: Path, tried: Any) -> None:
    text, says = WORKFLOW[name]
    project = make_project(tmp_path)
    (tmp_path / "wrong.yaml").write_text(text)
    done = project.snakemake("--dry-run", "--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert says in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results").exists()
    tried("workflow", name)
