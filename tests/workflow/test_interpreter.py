"""Jobs run the meiflow of the interpreter that Snakemake runs in, of the Snakefile's version."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import meiflow
from tests.project import ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]
ONE_JOB = ("--cores", "1", "--configfile", "small.yaml", "--", "results/demo/session/truth.csv")


def run(project: Project, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", *arguments],
        cwd=project.folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )


def package(folder: Path, text: str) -> str:
    """A folder for PYTHONPATH in which ``meiflow`` is another package."""
    (folder / "meiflow").mkdir(parents=True)
    (folder / "meiflow" / "__init__.py").write_text(text)
    return str(folder)


def test_another_meiflow_on_the_path_and_modules_of_the_folder_do_not_answer(project):
    other = project.folder / "other"
    other.mkdir()
    (other / "meiflow").write_text("#!/bin/sh\ntouch answered\n")
    (other / "meiflow").chmod(0o755)
    # would replace a module of Python in `python -m`
    (project.folder / "random.py").write_text("raise SystemExit('this is not random')\n")
    done = run(project, *ONE_JOB, PATH=f"{other}:/usr/bin:/bin")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (project.results / "session" / "truth.csv").read_text().startswith("neuron_id,")
    assert not (project.folder / "answered").exists()


def test_another_path_of_the_environment_reruns_nothing(project, tmp_path_factory):
    done = run(project, *ONE_JOB)
    assert done.returncode == 0, done.stdout[-3000:]
    link = tmp_path_factory.mktemp("environment with a space") / "python"
    link.symlink_to(sys.executable)
    again = subprocess.run(
        [link, "-P", "-m", "snakemake", "-n", *ONE_JOB],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_snakefile_of_another_version_is_refused_before_any_job(project):
    snakefile = project.folder / "workflow" / "Snakefile"
    text = snakefile.read_text()
    snakefile.write_text(text.replace('VERSION = "', 'VERSION = "9.'))
    done = run(project, "-n", *ONE_JOB)
    assert done.returncode != 0
    wanted = f"this Snakefile is of meiflow 9.{meiflow.__version__}, but {sys.executable} imports "
    assert wanted + f"meiflow {meiflow.__version__}" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_older_package_is_refused_before_any_job(project, tmp_path_factory):
    older = package(tmp_path_factory.mktemp("older"), '__version__ = "0.0.1"\n')
    done = run(project, "-n", *ONE_JOB, PYTHONPATH=older)
    assert done.returncode != 0
    assert f"imports meiflow 0.0.1 ({older}/meiflow)" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_snakemake_without_meiflow_says_so_before_any_job(project, tmp_path_factory):
    none = package(tmp_path_factory.mktemp("none"), 'raise ImportError("No module")\n')
    done = run(project, "-n", *ONE_JOB, PYTHONPATH=none)
    assert done.returncode != 0
    assert f"Snakemake runs in {sys.executable}, which cannot import meiflow" in done.stdout
    assert "activate the environment" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_snakefile_has_the_version_of_the_package():
    text = (ROOT / "workflow" / "Snakefile").read_text()
    assert re.findall(r'^VERSION = "(.*)"$', text, re.MULTILINE) == [meiflow.__version__]


def test_a_job_of_another_version_ends_in_one_line():
    """Where jobs run in another environment than Snakemake, as with Conda."""
    done = subprocess.run(
        [sys.executable, "-m", "meiflow", "schema"],
        env=os.environ | {"MEIFLOW_WORKFLOW": "9.9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"meiflow: error: the workflow is of version 9.9, but its jobs run meiflow "
        f"{meiflow.__version__} ({Path(meiflow.__file__).parent})"
    )
