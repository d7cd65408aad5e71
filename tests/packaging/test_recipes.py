"""The recipes of the container copy what the build needs and agree; neither is built here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
APPTAINER = (ROOT / "apptainer.def").read_text()


def copied_by_docker() -> set[str]:
    found = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)
    return {name for line in found for name in line.split()}


def test_both_recipes_copy_and_install_the_same():
    for_apptainer = set(re.findall(r"^    (\S+) /opt/meiflow/\S+$", APPTAINER, re.MULTILINE))
    assert copied_by_docker() == for_apptainer
    docker, apptainer = (
        [words.strip() for words in re.findall(r"pip install ([^\\\n]+)", text)]
        for text in (DOCKERFILE, APPTAINER)
    )
    assert docker == apptainer
    [image] = set(re.findall(r"(?:FROM|From:) (\S+)", DOCKERFILE + APPTAINER))
    assert image.startswith("python:3.1")


def test_a_wheel_can_be_built_from_what_is_copied(tmp_path):
    for name in copied_by_docker():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "dist").glob("meiflow-*.whl"))


def test_the_workflow_names_the_image_that_the_recipe_builds():
    [image] = re.findall(r'^container: "(.+)"$', (ROOT / "workflow/Snakefile").read_text(), re.M)
    assert APPTAINER.startswith(f"# apptainer build {image} apptainer.def\n")
