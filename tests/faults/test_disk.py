"""A disk that is full, and results that cannot be written: a small file system of their own."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.faults.session import RUN, TINY, assert_undisturbed, contents, differing, leftovers
from tests.project import Project, make_project

pytestmark = pytest.mark.workflow
# The NWB file does not fit; the stimuli; the report.
SIZES_KB = (1000, 2500, 4000)


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def project(tmp_path) -> Project:
    """Its results lie on a file system in memory, logs included."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    project = make_project(tmp_path, TINY)
    results = project.folder / "results"
    results.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZES_KB[0]}k", "meiflow-test", str(results))
    yield project
    subprocess.run(["umount", "--lazy", str(results)], check=True)


def test_a_full_disk_and_one_that_may_not_be_written(project, expected, count):
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
    assert "results: cannot be written: Read-only file system; make the folder" in done.stdout
    assert "Traceback" not in done.stdout
    assert contents(project.results) == before
    count("read-only results")

    mount("-o", "remount,rw,size=200m", str(results))
    done = project.snakemake(*RUN)
    assert done.returncode == 0, done.stdout[-3000:]
    assert_undisturbed(project.results, expected)
