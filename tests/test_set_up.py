"""environment.yml, pyproject.toml and the lock describe the same environment."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
LOCK = {
    canonicalize_name(line.split("==")[0]): line.split("==")[1].strip()
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line.strip() and not line.startswith("#")
}
DECLARED = [
    Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
]


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_lock_satisfies_pyproject(requirement):
    locked = LOCK[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(locked)


def test_lock_pins_exactly_and_names_no_source():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--|\+cpu| @ ", text)
    assert len(LOCK) > 50


def test_allensdk_is_separate_and_agrees():
    [line] = (ROOT / "requirements-nodeps.txt").read_text().split()
    assert [line] == PROJECT["optional-dependencies"]["allen"]
    assert "allensdk" not in LOCK
    [metadata] = PYPROJECT["tool"]["uv"]["dependency-metadata"]
    assert f"{metadata['name']}=={metadata['version']}" == line


def test_conda_environment_agrees():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.lock"]
    [python] = [d for d in environment["dependencies"] if str(d).startswith("python=")]
    assert PROJECT["requires-python"] == f"=={python.removeprefix('python=')}.*"


def test_installed_environment_is_the_locked_one():
    wrong = {}
    for name, locked in LOCK.items():
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            found = "missing"
        if found != locked:
            wrong[name] = (found, locked)
    assert not wrong


def test_versions_agree():
    import meiflow

    assert meiflow.__version__ == PROJECT["version"]
    assert f"version: {meiflow.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {meiflow.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_slurm_is_separate_and_agrees():
    """Installed without dependencies: its requirements are in the lock."""
    lines = (ROOT / "requirements-slurm.txt").read_text().split()
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    assert not set(pinned) & set(LOCK)
    [extra] = map(Requirement, PROJECT["optional-dependencies"]["slurm"])
    assert extra.specifier.contains(pinned[canonicalize_name(extra.name)])
    # requirements in the metadata of both
    assert {"numpy", "pandas", "pyyaml", "throttler"} <= set(LOCK)
