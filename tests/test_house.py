"""Rules of the house that a reader relies on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "meiflow"


def imports(path: Path) -> set[str]:
    return set(re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), flags=re.M))


def files_importing(*modules: str) -> set[str]:
    return {
        path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        if any(name.split(".")[0] in modules or name in modules for name in imports(path))
    }


def test_only_session_imports_allensdk():
    assert files_importing("allensdk") == {"session"}


def test_only_the_stages_that_compute_gradients_import_torch():
    allowed = {"models", "stimuli", "experiments", "validation", "images", "stages", "benchmark"}
    allowed |= {"cli"}
    assert files_importing("torch") <= allowed


def test_truth_is_read_by_validation_alone():
    """The simulation writes it; of what reads, only validation may know it."""
    assert files_importing("meiflow.simulation.truth") == {"simulation", "validation", "benchmark"}
    rules = (ROOT / "workflow" / "rules").glob("*.smk")
    users = {path.name for path in rules if "FILES.truth" in path.read_text()}
    assert users == {"common.smk", "session.smk", "validation.smk"}


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
    long = {p.name: n for p in SOURCE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 420}
    assert not long
