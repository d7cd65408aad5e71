"""Damaged intermediate files: every stage that reads one reports it and stops."""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from meiflow.cli.app import main
from meiflow.io.checksums import CHECKSUMS
from tests.faults.session import RUN, assert_undisturbed, contents, differing
from tests.project import Project

pytestmark = pytest.mark.workflow

FILES = [
    "tables/trials.csv",
    "tables/responses.csv",
    "tables/gabor_trials.csv",
    "tables/images.npy",
    "tables/raster.npz",
    "tables/image_spikes.npz",
    "selection/neurons.csv",
    "selection/correlations.npz",
    "models/search.npz",
    "models/models.zip",
    "stimuli/best_gabors.npy",
    "stimuli/best_gabors.csv",
    "neurons/*/mei.npy",
    "neurons/*/comparison.csv",
]
HTML = b"<!DOCTYPE html><html><body><h1>503 Service Unavailable</h1></body></html>\n"


def flipped(content: bytes) -> bytes:
    """One bit flipped in the middle, so that any reader still accepts the file."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "html": lambda content: HTML,
}


@dataclass(frozen=True)
class Command:
    """A finished job: its command line without the redirection, and what it read."""

    words: tuple[str, ...]
    inputs: frozenset[str]


@pytest.fixture(scope="module")
def project(whole, tmp_path_factory) -> Project:
    return whole.copy(tmp_path_factory.mktemp("damaged") / "copy")


@pytest.fixture(scope="module")
def commands(project) -> list[Command]:
    """The commands that Snakemake has run, from its summary."""
    listed = project.snakemake("--detailed-summary", *RUN).stdout
    table = listed[listed.index("output_file\t") :].splitlines()
    found = {}
    for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
        line = (row["shellcmd"] or "").partition(" > ")[0]
        if line.startswith("meiflow "):
            words = tuple(shlex.split(line))
            found[words] = Command(words, frozenset(row["input-file(s)"].split(",")))
    assert len(found) >= 15
    return list(found.values())


@pytest.fixture
def called(project, monkeypatch, capfd) -> Callable[[Command], tuple[int, str]]:
    """Call a command in the project's folder: exit status and output."""
    monkeypatch.chdir(project.folder)

    def call(command: Command) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", list(command.words))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return call


def first_match(project: Project, pattern: str) -> Path:
    """The first file that matches the pattern."""
    return sorted(project.results.glob(pattern))[0]


@pytest.mark.parametrize("pattern", FILES)
def test_every_reader_names_the_damaged_file(pattern, project, commands, called, expected, count):
    path = first_match(project, pattern)
    name = os.path.relpath(path, project.folder)
    readers = [command for command in commands if name in command.inputs]
    assert readers
    sums = path.with_name(CHECKSUMS)
    whole, kept = path.read_bytes(), sums.read_text()
    assert re.search(rf"^[0-9a-f]{{64}}  {re.escape(path.name)}$", kept, flags=re.M)
    tried = refused = 0

    def refuse(command: Command, how: str) -> bool:
        status, said = called(command)
        errors = re.findall(r"^meiflow: error: .*", said, flags=re.M)
        assert "Traceback" not in said, (how, said)
        where = (command.words[1], how, said)
        if status == 0:
            assert not errors, where
            return False
        assert len(errors) == 1, where
        assert path.name in errors[0], where
        return True

    try:
        for how, damage in DAMAGES.items():
            path.write_bytes(damage(whole))
            for command in readers if how == "flipped" else readers[:1]:
                tried += 1
                refused += refuse(command, how)
            # Also without a checksum; half a text file looks like a whole one.
            if how != "flipped" and (how, path.suffix) != ("cut", ".csv"):
                sums.write_text(re.sub(rf".*  {re.escape(path.name)}\n", "", kept))
                refuse(readers[0], f"{how}, no checksum")
                sums.write_text(kept)
    finally:
        path.write_bytes(whole)
        sums.write_text(kept)
    assert refused
    # commands that did not read it have changed nothing
    assert not differing(project.results, expected)
    count("damaged files", tried)


def test_deleted_and_run_again_all_is_as_before(project, expected, count):
    """With Snakemake, consumers stop and name the file; once deleted, it is rebuilt."""
    victims = [
        first_match(project, name)
        for name in ("tables/trials.csv", "models/models.zip", "neurons/*/mei.npy")
    ]
    for victim in victims:
        victim.write_bytes(flipped(victim.read_bytes()))
    done = project.snakemake(*RUN)
    assert done.returncode != 0
    said = re.findall(r"^meiflow: error: (\S+): damaged", done.stdout, flags=re.M)
    names = {os.path.relpath(victim, project.folder) for victim in victims}
    assert set(said) <= names
    assert said
    assert "Traceback" not in done.stdout
    for victim in victims:
        victim.unlink(missing_ok=True)
    done = project.snakemake(*RUN)
    assert done.returncode == 0, done.stdout[-3000:]
    assert_undisturbed(project.results, expected)
    count("damaged files found by a run", len(victims))


def test_a_damaged_selection_stops_the_run(project, expected):
    """Snakemake itself reads it to list the neurons."""
    path = project.results / "selection" / "neurons.csv"
    whole = path.read_bytes()
    path.write_bytes(flipped(whole))
    done = project.snakemake(*RUN)
    assert done.returncode != 0
    assert "selection/neurons.csv: damaged, or changed after it was written" in done.stdout
    path.unlink()
    done = project.snakemake(*RUN, "--", "results/demo/selection/neurons.csv")
    assert done.returncode == 0, done.stdout[-3000:]
    assert contents(project.results)["selection/neurons.csv"] == expected["selection/neurons.csv"]
