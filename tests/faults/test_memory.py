"""Too little memory: one line, wherever it is noticed; with enough, the same job succeeds."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from meiflow.cli import app as cli

SAID = "meiflow: error: out of memory; give the job more"
MB = 1 << 20


def numpy_array() -> None:
    np.ones(1 << 50)


def tensor() -> None:
    torch.empty(1 << 50)


def list_of_everything() -> None:
    _ = [0] * (1 << 50)


def noticed_too_late() -> None:
    raise SystemError("error return without exception set")


@pytest.mark.parametrize("ask", [numpy_array, tensor, list_of_everything, noticed_too_late])
def test_every_kind_of_allocation_is_one_line(ask, monkeypatch, capsys, count):
    monkeypatch.setattr(cli, "app", ask)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(SAID)
    assert said.count("\n") == 1
    count("kinds of memory errors")


def test_other_errors_are_not_mistaken_for_it(monkeypatch):
    def fail() -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        cli.main()


def test_a_limited_job_reports_it_and_succeeds_with_more(small_results, tmp_path, count):
    shutil.copytree(small_results.root / "tables", tmp_path / "tables")
    command = [sys.executable, "-m", "meiflow.cli.app", "selection", "--config", "{}"]
    command += ["--results", str(tmp_path)]
    for limit in (250 * MB, 350 * MB):
        limited = ["prlimit", f"--as={limit}", *command]
        done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert SAID in done.stderr
        assert not (tmp_path / "selection" / "neurons.csv").exists()
        count("memory limits")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "selection" / "neurons.csv").exists()
