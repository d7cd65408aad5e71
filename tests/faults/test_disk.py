"""A full disk, and results that cannot be written, on a small separate file system."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from meiflow.errors import MeiflowError
from meiflow.figures.style import new_figure, save_figure
from meiflow.io.files import write_array, write_arrays, write_csv, write_picture, write_text
from meiflow.models.documents import write_document
from tests.faults.session import RUN, TINY, assert_undisturbed, contents, differing, leftovers
from tests.project import Project, make_project

pytestmark = pytest.mark.workflow
# Too small for the NWB file; for the figures of the selection; for those of the neurons.
SIZES_KB = (700, 1180, 2570)


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


def figure(path: Path) -> None:
    drawn = new_figure(4, 4)
    drawn.add_subplot().plot(NOISE)
    save_figure(drawn, path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.csv": lambda path: write_csv(pd.DataFrame({"a": np.arange(20_000)}), path),
    "a.npy": lambda path: write_array(NOISE, path),
    "a.npz": lambda path: write_arrays({"a": NOISE}, path),
    "a.png": lambda path: write_picture(NOISE, path),
    "a.txt": lambda path: write_text("much " * 20_000, path),
    "a.pt": lambda path: write_document({"a": torch.as_tensor(NOISE)}, path),
    "b.png": figure,
    "b.svg": figure,
}
NOISE = np.random.default_rng(0).uniform(size=(200, 200))


@pytest.mark.parametrize("free_kb", [0, 4])
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_reports_that_the_disk_is_full(name, free_kb, tmp_path):
    """From the first byte or in the middle; NumPy, HDF5 and torch behave differently."""
    mount("-t", "tmpfs", "-o", "size=64k", "meiflow-test", str(tmp_path))
    try:
        (tmp_path / "filler").write_bytes(bytes(1024 * (64 - free_kb)))
        with pytest.raises(MeiflowError, match=f"{name}: cannot be written: No space left on"):
            WRITERS[name](tmp_path / name)
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["filler"]
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture
def project(tmp_path) -> Project:
    """A project whose results, logs included, are on a file system in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    project = make_project(tmp_path, TINY)
    results = project.folder / "results"
    results.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZES_KB[0]}k", "meiflow-test", str(results))
    yield project
    subprocess.run(["umount", "--lazy", str(results)], check=True)


@pytest.mark.thorough
def test_a_full_disk_and_a_read_only_one(project, expected, count):
    """Run after run on a disk that is too small, then a larger one: each stops with the file's
    name, keeps what is whole, and the last one ends as if nothing had been."""
    results = project.folder / "results"
    stopped_at = []
    for size in SIZES_KB:
        mount("-o", f"remount,size={size}k", str(results))
        done = project.snakemake(*RUN)
        assert done.returncode != 0
        said = re.findall(r"^meiflow: error: (\S+): cannot be written: (.*);", done.stdout, re.M)
        assert said, done.stdout[-3000:]
        assert {reason for _, reason in said} == {"No space left on device"}
        # of our jobs; Snakemake's own files may not have had their place either
        assert not [log for log in project.results.rglob("*.log") if "Traceback" in log.read_text()]
        stopped_at += [name for name, _ in said]
        assert not differing(project.results, expected)
        assert not leftovers(project.results)
    assert len(set(stopped_at)) >= len(SIZES_KB)
    count("stops on a full disk", len(SIZES_KB))

    mount("-o", "remount,ro", str(results))
    before = contents(project.results)
    done = project.snakemake(*RUN)
    assert done.returncode != 0
    assert "results/demo: cannot be written: Read-only file system; make the folder" in done.stdout
    assert "Traceback" not in done.stdout
    assert contents(project.results) == before
    count("read-only results")

    mount("-o", "remount,rw,size=200m", str(results))
    done = project.snakemake(*RUN)
    assert done.returncode == 0, done.stdout[-3000:]
    assert_undisturbed(project.results, expected)
