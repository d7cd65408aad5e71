"""The wheel contains all that is needed without the clone. `.ci/run` also installs it elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from meiflow.cli.app import PROVIDED
from meiflow.cli.project import lay_out
from meiflow.errors import MeiflowError

ROOT = Path(__file__).resolve().parents[2]
SMOKE = Path(__file__).with_name("smoke.py")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel built from it; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        env=os.environ | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "arning" not in done.stdout
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with ZipFile(built[1]) as wheel:
        wheel.extractall(folder)
    return folder


def here(installed: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run with the extracted wheel before the clone on the path."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=installed.parent,
        env=os.environ | {"PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.thorough
def test_wheel_contains_every_file_of_the_package_and_of_the_workflow(installed):
    kept = "__pycache__", ".DS_Store"
    for source, target in [
        ("src/meiflow", "meiflow"),
        *((name, f"meiflow/project/{name}") for name in ("workflow", "profiles", "config")),
    ]:
        for path in (ROOT / source).rglob("*"):
            if path.is_file() and not set(kept) & set(path.parts):
                copy = installed / target / path.relative_to(ROOT / source)
                assert copy.read_bytes() == path.read_bytes(), path
    assert {p.name.partition("-")[0] for p in installed.iterdir()} == {"meiflow"}


@pytest.mark.thorough
def test_sdist_has_what_tests_and_locks_need(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"Makefile", "requirements.lock", "tests/packaging/smoke.py", "Snakefile"} <= names
    assert not [name for name in names if name.startswith((".venv", "results/demo", "data/allen"))]


@pytest.mark.workflow
@pytest.mark.thorough
def test_a_project_without_a_clone_runs_the_rules_of_the_wheel(installed, tmp_path):
    done = here(installed, SMOKE, "workflow", tmp_path / "project")
    assert done.returncode == 0, done.stdout[-3000:]
    assert not (tmp_path / "project" / "workflow" / "rules").exists()
    code = "import meiflow.cli.project as p; print(p.SNAKEFILE)"
    found = here(installed, "-c", code).stdout.strip()
    assert found == str(installed / "meiflow" / "project" / "workflow" / "Snakefile")


def test_init_writes_nothing_over_anything(tmp_path):
    written = lay_out(tmp_path / "new")
    assert yaml.safe_load((tmp_path / "new" / "config.yaml").read_text()) == yaml.safe_load(
        (ROOT / "config.yaml").read_text()
    )
    for path in written[1:]:
        path.unlink()
    with pytest.raises(MeiflowError, match="Snakefile: already exists; choose another folder"):
        lay_out(tmp_path / "new")
    assert [p for p in (tmp_path / "new").rglob("*") if p.is_file()] == written[:1]


def test_a_missing_extra_is_named(tmp_path):
    code = (
        "import sys\nsys.modules['pynwb'] = sys.modules['hdmf'] = None\n"
        "sys.argv = ['meiflow', 'simulate', '--config', sys.argv[2], '--results', sys.argv[1]]\n"
        "from meiflow.cli.app import main\nmain()\n"
    )
    few = {"units": {"VISam": 2}, "frames": 4, "repeats": 2, "gabor_repeats": 0}
    few |= {"grating_repeats": 0, "frame_height": 40, "frame_width": 40}
    config = json.dumps({"session": {"simulation": few}})
    command = [sys.executable, "-c", code, str(tmp_path), config]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("meiflow: error: ")
    assert "is not installed; run: pip install 'meiflow[workflow]'" in line


def test_every_package_of_an_extra_is_known_to_the_message():
    for extra in ("workflow", "allen"):
        names = {text.partition(">")[0].partition("<")[0] for text in EXTRAS[extra]}
        imported = {
            {"psycopg2-binary": "psycopg2", "simpleitk": "SimpleITK"}.get(n, n) for n in names
        }
        imported = {{"python-dateutil": "dateutil"}.get(n, n).replace("-", "_") for n in imported}
        common = set(PROVIDED["workflow"]) if extra == "allen" else set()
        assert imported - {"pandas"} <= set(PROVIDED[extra]) | common


@pytest.mark.workflow
@pytest.mark.thorough
def test_the_catalog_can_deploy_it_as_a_module(tmp_path):
    """As `snakedeploy deploy-workflow` does: config/ is copied, workflow/Snakefile is a module."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n\n\nmodule meiflow:\n    snakefile:\n'
        f'        "{ROOT}/workflow/Snakefile"\n    config:\n        config\n\n\n'
        "use rule * from meiflow\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", "-n"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "fit_models" in done.stdout
    for name in ("README.md", "LICENSE", "config/README.md", ".snakemake-workflow-catalog.yml"):
        assert (ROOT / name).is_file()
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert set(catalog["usage"]) >= {"mandatory-flags", "software-stack-deployment", "report"}
