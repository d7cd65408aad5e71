"""environment.yml, pyproject.toml and the locks describe the same environment."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


def locked_in(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    found = [Requirement(line) for line in lines if line.strip()]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


RUN, DEV = locked_in("requirements.lock"), locked_in("requirements-dev.lock")
LOCK = DEV | RUN
NEEDED = [Requirement(t) for t in PROJECT["dependencies"] + EXTRAS["workflow"] + EXTRAS["allen"]]
DECLARED = [*NEEDED, *map(Requirement, EXTRAS["dev"])]


def version_in(lock: dict[str, Requirement], name: str) -> str:
    [pin] = lock[canonicalize_name(name)].specifier
    assert pin.operator == "=="
    return pin.version


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_lock_satisfies_pyproject(requirement):
    assert requirement.specifier.contains(version_in(LOCK, requirement.name))


@pytest.mark.parametrize("requirement", NEEDED, ids=str)
def test_users_need_no_tools_of_developers(requirement):
    assert canonicalize_name(requirement.name) in RUN


def test_lock_pins_exactly_and_names_no_source():
    text = "".join((ROOT / f"requirements{kind}.lock").read_text() for kind in ("", "-dev"))
    assert not re.search(r"https?:|file:|--|\+cpu| @ ", text)
    assert len(RUN) > 50
    for name in LOCK:
        assert version_in(LOCK, name)
    both = RUN.keys() & DEV.keys()  # with another marker
    assert {n: version_in(RUN, n) for n in both} == {n: version_in(DEV, n) for n in both}


def test_lock_leaves_the_build_of_pytorch_open():
    """PyTorch pins its CUDA packages itself; its build for the CPU has none."""
    assert not [name for name in LOCK if re.match(r"nvidia-|cuda-|triton$", name)]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_lock_is_for_all_versions_of_python_and_both_systems(python, system):
    assert python in SpecifierSet(PROJECT["requires-python"])
    machine = {"linux": "x86_64", "darwin": "arm64"}[system]
    place = {"python_version": python, "python_full_version": f"{python}.0"}
    place |= {"sys_platform": system, "platform_machine": machine}
    left_out = {n for n, r in LOCK.items() if r.marker and not r.marker.evaluate(place)}
    assert left_out <= {"appnope", "greenlet", "colorama"}


def test_allensdk_is_separate_and_agrees():
    [line] = (ROOT / "requirements-nodeps.txt").read_text().split()
    assert line == "allensdk==2.16.2"
    assert "allensdk" not in LOCK


IMPORTS_OF_ALLENSDK = """
import builtins, sys
direct, plain = set(), builtins.__import__

def recorded(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and str((globals or {}).get("__name__", "")).startswith("allensdk."):
        direct.add(name.partition(".")[0])
    return plain(name, globals, locals, fromlist, level)

builtins.__import__ = recorded
from meiflow.session import sdk
sdk.ecephys_project()
print(*sorted((direct & set(sys.modules)) - set(sys.stdlib_module_names) - {"allensdk"}))
"""


def test_exactly_what_allensdk_imports_is_declared():
    code = [sys.executable, "-W", "ignore", "-c", IMPORTS_OF_ALLENSDK]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    owners = packages_distributions()
    imported = {canonicalize_name(owners[name][0]) for name in done.stdout.split()}
    for_it = {canonicalize_name(Requirement(text).name) for text in EXTRAS["allen"]}
    declared = {canonicalize_name(requirement.name) for requirement in NEEDED}
    assert imported <= declared
    assert for_it <= imported


def test_conda_environment_agrees():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.lock"]
    [python] = [d for d in environment["dependencies"] if str(d).startswith("python>")]
    assert PROJECT["requires-python"] == python.removeprefix("python")


def test_installed_environment_is_the_locked_one():
    wrong = {}
    for name, requirement in LOCK.items():
        if requirement.marker and not requirement.marker.evaluate():
            continue
        locked = version_in(LOCK, name)
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
