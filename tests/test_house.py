"""Rules about the structure of the code (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from meiflow.results.layout import Layout
from meiflow.stages.registry import STAGES

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "meiflow"
FILES = sorted(SOURCE.rglob("*.py"))
# Arrays in, arrays out; only session reads files.
LIBRARIES = ("images", "tables", "selection", "models", "stimuli", "experiments", "comparison")
LIBRARIES += ("validation", "combined", "simulation", "config", "session", "io", "pack")
ABOVE = ("stages", "figures", "results", "report", "cli", "benchmark")


def imported(text: str, package: str) -> Iterator[str]:
    """Full names of all imports of a module, also in functions and for types.

    For ``from a import b`` both ``a`` and ``a.b``, because ``b`` may be a module.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def imports_of(path: Path) -> set[str]:
    package = ".".join(("meiflow", *path.relative_to(SOURCE).parts[:-1]))
    return set(imported(path.read_text(encoding="utf-8"), package))


def folder_of(path: Path) -> str:
    """The folder or module directly below src/meiflow."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").as_posix()


def importing(module: str) -> set[str]:
    """The files that import a module or something from it."""
    return {
        name_of(path)
        for path in FILES
        if any(name == module or name.startswith(f"{module}.") for name in imports_of(path))
    }


def folders(names: set[str]) -> set[str]:
    return {name.split("/")[0] for name in names}


def folder_imports() -> dict[str, dict[str, str]]:
    """The folders that each folder imports, with one file that does."""
    found: dict[str, dict[str, str]] = {}
    for path in FILES:
        if path != SOURCE / "__init__.py":
            for name in imports_of(path):
                parts = name.split(".")
                if parts[0] == "meiflow" and len(parts) > 1 and parts[1] != folder_of(path):
                    found.setdefault(folder_of(path), {})[parts[1]] = name_of(path)
    return found


def cycles(graph: dict[str, dict[str, str]]) -> list[list[str]]:
    """The import cycles between folders, of which there should be none."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(way: list[str]) -> None:
        for other in sorted(graph.get(way[-1], {})):
            if other in way:
                found.append([*way[way.index(other) :], other])
            elif other not in done:
                visit([*way, other])
        done.add(way[-1])

    for start in sorted(graph):
        if start not in done:
            visit([start])
    return found


def test_imports_between_folders_go_one_way():
    assert cycles(folder_imports()) == []


def test_a_cycle_would_be_found():
    assert cycles({"a": {"b": "", "c": ""}, "b": {"c": ""}}) == []
    assert cycles({"a": {"b": ""}, "b": {"c": ""}, "c": {"a": ""}}) == [["a", "b", "c", "a"]]
    lazy = "def f():\n    from meiflow import stages\n    from ..report.page import render\n"
    names = set(imported(lazy, "meiflow.models"))
    assert {"meiflow.stages", "meiflow.report.page"} <= names


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_know_nothing_of_stages_and_results(library):
    found = folder_imports().get(library, {})
    assert {above: found[above] for above in ABOVE if above in found} == {}


def test_libraries_open_no_results():
    """Stages read and write; a library takes and returns arrays and tables."""
    allowed = {"session", "results", "stages", "report", "benchmark", "cli", "io"}
    assert folders(importing("meiflow.io.files")) <= allowed


def test_what_draws_and_what_reads_do_not_know_the_stages():
    found = folder_imports()
    assert not {"results", "stages", "report", "cli", "benchmark"} & set(found["figures"])
    assert not {"figures", "stages", "report", "cli", "benchmark"} & set(found["results"])
    assert not {"stages", "cli", "benchmark"} & set(found["report"])
    assert not {"cli", "benchmark"} & set(found["stages"])


def test_only_session_imports_allensdk():
    assert folders(importing("allensdk")) == {"session"}


def test_only_what_computes_gradients_imports_torch():
    users = importing("torch")
    libraries = {"models", "stimuli", "experiments", "validation", "images", "benchmark"}
    assert folders(users) - libraries <= {"stages", "cli"}
    assert {name for name in users if name.startswith("images/")} == {"images/projection"}
    assert {name for name in users if name.startswith("cli/")} == {"cli/stages"}
    climbing = {f"stages/{s.call.partition(':')[0]}" for s in STAGES.values() if s.gradients}
    assert {name for name in users if name.startswith("stages/")} <= climbing


def test_only_the_closed_loop_knows_the_ground_truth():
    """The simulation writes it; only the stage that shows stimuli to the true neurons reads it."""
    users = importing("meiflow.simulation.truth")
    assert folders(users) == {"simulation", "validation", "benchmark", "stages"}
    assert {name for name in users if name.startswith("stages/")} == {"stages/closed_loop"}
    assert Layout.truth.stage == "simulate"
    assert [stage.name for stage in STAGES.values() if "truth" in stage.inputs] == ["closed_loop"]
    rules = (ROOT / "workflow" / "rules").glob("*.smk")
    users = {path.name for path in rules if "R.truth" in path.read_text()}
    assert users == {"session.smk", "validation.smk"}


@pytest.mark.parametrize("arguments", [["--help"], ["check", str(ROOT / "config.yaml")]])
def test_light_commands_import_nothing_heavy(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['meiflow', *{arguments!r}]\n"
        "from meiflow.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'allensdk', 'pynwb', 'scipy', 'matplotlib', 'sklearn', 'pandas'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_no_file_is_long():
    long = {name_of(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 420}
    assert not long
