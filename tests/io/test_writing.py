"""Written files are complete, are recognised, and leave no temporary files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, write_array
from meiflow.io.writing import atomic, require_writable


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "a.npy"
    code = (
        "import os, sys\nfrom meiflow.io.writing import atomic\n"
        "with atomic(sys.argv[1]) as t:\n    t.write_bytes(b'half'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    alive = left.with_name(left.name.replace(left.name.split("-")[1], str(os.getpid())))
    other = left.with_name(".a.elsewhere-1-00000000.part.npy")
    old = left.with_name(".a.elsewhere-1-11111111.part.npy")
    for file in (alive, other, old):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 1e6,) * 2)
    write_array([1], path)
    assert set(tmp_path.glob("*a.*")) == {path, alive, other}


def _write_often(path: Path) -> None:
    for _ in range(150):
        write_array(np.arange(1000), path)


def test_two_writers_of_one_file_leave_a_whole_one(tmp_path):
    """A job of a killed run and the same job of the next: readers see a whole file or none."""
    path = tmp_path / "a.npy"
    write_array(np.arange(1000), path)
    writers = [get_context("spawn").Process(target=_write_often, args=(path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        assert read_array(path).tolist() == list(range(1000))
        reads += 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert reads > 10
    assert [p.name for p in tmp_path.glob("*a.*")] == ["a.npy"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free some"),
        (OSError("close (errno = 28, error message = 'x')"), None),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system; make the folder"),
    ],
)
def test_the_reason_is_reported_with_the_name(tmp_path, error, said):
    """Also if a library raises an error of another type."""
    if said is None:
        error.errno, said = errno.ENOSPC, "No space left on device; free some"

    def write() -> None:
        with atomic(tmp_path / "a.csv"):
            try:
                raise error
            except OSError as cause:
                raise RuntimeError("the library failed") from cause

    with pytest.raises(MeiflowError, match=rf"a\.csv: cannot be written: {said}"):
        write()
    assert not list(tmp_path.iterdir())


def test_what_hdf5_could_not_write_on_closing_is_reported(tmp_path):
    text = "Disable slist on flush dest failure failed (file write failed: errno = {}, error = x)"
    named = "cannot be written: No space left on device; free some"
    with pytest.raises(MeiflowError, match=named), atomic(tmp_path / "a.nwb"):
        raise RuntimeError(text.format(errno.ENOSPC))
    with pytest.raises(RuntimeError, match="errno = 9,"), atomic(tmp_path / "a.nwb"):
        raise RuntimeError(text.format(errno.EBADF))


def test_errors_of_reading_are_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.csv"):
        (tmp_path / "none").read_bytes()


def test_a_folder_to_write_in(tmp_path, monkeypatch):
    require_writable(tmp_path / "not" / "yet")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MeiflowError, match="cannot be written: Permission denied; make the"):
        require_writable(tmp_path)
