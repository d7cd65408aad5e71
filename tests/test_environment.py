"""`make env`: which Python it takes, and what a failure leaves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("bash", "env", "dirname", "grep", "mv", "rm", "sed", "uname", "touch", "make")


class Machine:
    """A clone on a machine with only these tools."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.bin = folder / "clone", folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path
            (self.bin / tool).symlink_to(path)
        (self.clone / "scripts").mkdir(parents=True)
        for name in ("Makefile", "scripts/environment.sh"):
            shutil.copy(ROOT / name, self.clone / name)
        for name in ("pyproject.toml", "requirements.lock", "requirements-nodeps.txt"):
            (self.clone / name).write_text("torch==1.0\n")
        (self.clone / ".venv").mkdir()
        (self.clone / ".venv" / "precious").touch()
        self.old = self.clone / ".venv" / "precious"

    def has(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # never through a link to the machine's own
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "env", *arguments],
            cwd=self.clone,
            env={"PATH": str(self.bin), "HOME": str(self.clone)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path):
    if not shutil.which("make"):
        pytest.skip("no make")
    return Machine(tmp_path)


def answers(version: str) -> str:
    """A Python that only tells its version."""
    pair = f"({version.replace('.', ', ')})"
    code = f"${{2//sys.version_info[[]:2[]]/{pair}}}"
    return f'[ "$1" = -c ] && exec {sys.executable} -c "{code}"; exit 1'


@pytest.mark.parametrize("versions", [(), ("3.10",), ("3.14", "3.9")])
def test_without_a_python_that_fits_it_says_how_to_get_one(machine, versions):
    for version in versions:
        machine.has(f"python{version}", answers(version))
        machine.has("python3", answers(version))
    done = machine.make()
    assert done.returncode != 0
    message = next(line for line in done.stderr.splitlines() if line.startswith("meiflow: "))
    assert "no Python 3.11, 3.12 or 3.13 that can create environments was found" in message
    for way in ("apt install python3", "brew install", "docs.astral.sh/uv", "make PYTHON="):
        assert way in message
    assert machine.old.exists()


def test_a_python_that_does_not_fit_is_named(machine):
    machine.has("python3.10", answers("3.10"))
    done = machine.make("PYTHON=python3.10")
    assert done.returncode != 0
    assert "(PYTHON=python3.10 is none)" in done.stderr
    assert machine.old.exists()


def test_where_none_fits_uv_is_asked_before_anything_is_removed(machine):
    machine.has("uv", 'echo "uv $*" >> "$HOME/asked"; exit 1')
    done = machine.make()
    assert done.returncode != 0
    assert (machine.clone / "asked").read_text().startswith("uv python install")
    assert "uv could not download one" in done.stderr
    assert machine.old.exists()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_takes_what_it_finds_and_a_failure_restores(machine, version):
    """The index cannot be reached after the old environment was moved away.

    `make` puts `.venv/bin` first in the path, but its Python and its uv are moved away too.
    """
    machine.has(f"python{version}", answers(version))
    old = machine.clone / ".venv" / "bin"
    old.mkdir()
    for tool in (f"python{version}", "uv"):
        shutil.copy2(machine.bin / f"python{version}", old / tool)
    called = '[ "$1" = venv ] && mkdir -p "${@: -1}" && exit; exit 1'
    machine.has("uv", f'echo "uv $*" >> "$HOME/asked"; {called}')
    machine.has("mkdir", f'exec {shutil.which("mkdir")} "$@"')
    done = machine.make()
    assert done.returncode != 0
    first, *others = (machine.clone / "asked").read_text().splitlines()
    assert f"--python {machine.bin}/python{version} .venv" in first
    assert others[-1].endswith("-r requirements.lock")
    assert "the previous .venv is kept" in done.stderr
    assert machine.old.exists()
    assert not (machine.clone / ".venv.old").exists()


def test_pytorch_for_the_cpu_is_tried_only_without_an_nvidia_driver(machine):
    machine.has("python3.12", answers("3.12"))
    machine.has("mkdir", f'exec {shutil.which("mkdir")} "$@"')
    called = '[ "$1" = venv ] && mkdir -p "${@: -1}"; [[ "$*" != *requirements.lock* ]]'
    machine.has("uv", f'echo "uv $*" >> "$HOME/asked"; {called}')
    machine.has("uname", "echo Linux")
    asked = machine.clone / "asked"
    machine.make()
    assert "--index-url https://download.pytorch.org/whl/cpu torch==1.0" in asked.read_text()
    for arguments, driver in [((), True), (("TORCH_INDEX=",), False)]:
        asked.unlink()
        machine.has("nvidia-smi", "exit 0" if driver else "exit 9")
        machine.make(*arguments)
        assert "torch==1.0" not in asked.read_text()
