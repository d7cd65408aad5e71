"""Checksums: agreement with coreutils, many writers at once, kills, and damage."""

from __future__ import annotations

import os
import subprocess
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.checksums import bookkeeping, read_checksums, verify_checksum
from meiflow.io.files import read_array, write_array, write_text
from meiflow.io.writing import atomic


def coreutils(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Output of `sha256sum` for a folder."""
    command = ["sha256sum", "--check", "--strict", *options, "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_coreutils_check_what_is_written_and_find_the_damage(tmp_path: Path) -> None:
    names = ["b.csv", "a b.npy", "back\\slash.json", "two\nlines.csv", "é.json", "c.json"]
    for name in names:
        write_text(name, tmp_path / name)
    write_text("a picture has none", tmp_path / "d.png")
    done = coreutils(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK\n") == len(names)
    assert read_checksums(tmp_path).keys() == set(names)
    (tmp_path / "a b.npy").write_text("changed")
    (tmp_path / "c.json").unlink()
    done = coreutils(tmp_path, "--ignore-missing")
    assert [line for line in done.stdout.splitlines() if "OK" not in line] == ["a b.npy: FAILED"]
    # writing the next file removes the lines of missing files
    write_text("new", tmp_path / "e.csv")
    assert read_checksums(tmp_path).keys() == {*names, "e.csv"} - {"c.json"}


@pytest.mark.parametrize("options", [["--text"], ["--binary"]])
def test_checksums_of_coreutils_are_read(tmp_path: Path, options: list[str]) -> None:
    names = ["a.csv", "back\\slash.csv", "two\nlines.csv"]
    for name in names:
        (tmp_path / name).write_text(name)
    with (tmp_path / "SHA256SUMS").open("w") as sums:
        subprocess.run(["sha256sum", *options, *names], cwd=tmp_path, stdout=sums, check=True)
    for name in names:
        verify_checksum(tmp_path / name)
        (tmp_path / name).write_text("changed")
        with pytest.raises(MeiflowError, match="damaged"):
            verify_checksum(tmp_path / name)


def test_one_flipped_bit_is_noticed_and_a_file_without_a_line_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(np.arange(5), path)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(MeiflowError, match=r"a\.npy: damaged, or changed after it was written"):
        read_array(path)
    (tmp_path / "SHA256SUMS").unlink()
    assert read_array(path)[:4].tolist() == [0, 1, 2, 3]
    write_array(np.arange(5), path)
    assert read_array(path).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("damage", "refused"),
    [
        (lambda sums: sums.replace(b"  a.csv", b" x a.csv"), False),  # no longer a line
        (lambda sums: sums[:64], False),
        (lambda sums: b"\xff\xfe\0" * 50, False),
        (lambda sums: b"", False),
        (lambda sums: sums[:10] + sums[11:], True),  # a line that names the file
        (lambda sums: bytes([sums[0] ^ 1]) + sums[1:], True),
    ],
)
def test_damaged_checksums(tmp_path: Path, damage, refused: bool) -> None:
    path = tmp_path / "a.csv"
    write_text("a", path)
    sums = tmp_path / "SHA256SUMS"
    sums.write_bytes(damage(sums.read_bytes()))
    if refused:
        with pytest.raises(MeiflowError, match="damaged"):
            verify_checksum(path)
    else:
        verify_checksum(path)
    write_text("b", path)
    assert coreutils(tmp_path).stdout == "a.csv: OK\n"


@pytest.mark.parametrize("rename", range(4))
def test_a_kill_at_any_moment_leaves_no_line_rather_than_a_wrong_one(
    tmp_path: Path, rename: int
) -> None:
    """Killed just before renaming the checksums, the file, the checksums again, or nothing."""
    path = tmp_path / "a.csv"
    for text in ("old", "other"):
        write_text(text, path.with_stem(text))
    write_text("old", path)
    process = os.fork()
    if not process:
        replace, left = Path.replace, iter([True] * rename)

        def killed(source: Path, target: Path) -> Path:
            if not next(left, False):
                os._exit(9)
            return replace(source, target)

        Path.replace = killed  # type: ignore[method-assign,assignment]
        write_text("new", path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == (9 if rename < 3 else 0)
    assert path.read_text() == ("old" if rename < 2 else "new")
    assert ("a.csv" in read_checksums(tmp_path)) is (rename in (0, 3))
    assert coreutils(tmp_path).returncode == 0
    # its lock is free, and writing the next file removes its leftovers
    write_text("next", path)
    assert coreutils(tmp_path).stdout.count(": OK\n") == 3
    kept = {"a.csv", "old.csv", "other.csv", "SHA256SUMS", ".SHA256SUMS.lock"}
    assert {p.name for p in tmp_path.iterdir()} == kept


def _write_many(folder: Path, writer: int) -> None:
    for i in range(20):
        write_text(f"{writer} {i}", folder / f"{writer}_{i % 10}.csv")


def test_many_writers_of_one_folder_lose_no_line(tmp_path: Path) -> None:
    fork = get_context("fork")
    writers = [fork.Process(target=_write_many, args=(tmp_path, n)) for n in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done = coreutils(tmp_path)
    assert (done.returncode, done.stdout.count(": OK\n"), done.stderr) == (0, 60, "")


def test_a_refusal_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    """Also if it is the checksums that cannot be written."""
    for taken in reversed(bookkeeping(tmp_path)):
        taken.mkdir()
        with pytest.raises(MeiflowError, match=r"a\.csv: cannot be written"):
            write_text("a", tmp_path / "a.csv")
        taken.rmdir()
    with atomic(tmp_path / "a.csv") as temporary:
        temporary.write_text("a")
    assert coreutils(tmp_path).stdout == "a.csv: OK\n"
