"""Every block of every page, tested in a finished small project."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from meiflow.config.config import parse_config
from tests import forks
from tests.docs.pages import NEURON, PAGES, ROOT, TRIED, WAYS, Block, all_commands, blocks, tried
from tests.docs.pages import way as way_of
from tests.project import SMALL, Project, finished_project
from tests.session.test_old_session import OLD
from tests.session.warehouse import SESSION, Server, warehouse

BLOCKS = [block for page in PAGES for block in blocks(page)]
SHOWN = [block for block in BLOCKS if not block.language.startswith("{")]
WITH_BLOCKS = list(dict.fromkeys(b.page for b in SHOWN if b.language in TRIED))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In place of the Allen warehouse: one session in the released format."""
    path = tmp_path_factory.mktemp("warehouse") / "released.nwb"
    shutil.copy(OLD, path)
    with h5py.File(path, "r+") as file:
        file["identifier"][()] = str(SESSION)
    with warehouse(path) as running:
        yield running


class Reader:
    """A user who follows a page from top to bottom, in a folder where `make run` has run."""

    def __init__(self, project: Project, server: Server, commands: str) -> None:
        self.project = project
        self.commands = commands
        self.folder = project.folder
        self.server = server
        table = pd.read_csv(project.results / "selection" / "neurons.csv")
        self.neuron = str(table.loc[table["selected"], "neuron_id"].iloc[0])
        self.names: dict[str, object] = {"__name__": "page"}
        self.config = yaml.safe_load((ROOT / "config.yaml").read_text())
        # the configuration for `make run`, but small and with the warehouse on this machine
        here = {"session": {"warehouse": server.address, "bucket": server.bucket}}
        small = yaml.safe_load((ROOT / "config.yaml").read_text())
        for document in (SMALL, here):
            update_config(small, document)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(small))
        for block in SHOWN:
            if block.file is not None:
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.here(block.text))

    def here(self, text: str) -> str:
        """The text adapted to this folder."""
        return text.replace(NEURON, self.neuron)

    def read(self, block: Block) -> None:
        """Test one block."""
        if block.language == "python":
            # line numbers are kept, so a traceback names the line of the page
            code = "\n" * block.line + self.here(block.text)
            exec(compile(code, str(block), "exec"), self.names)
        elif block.language == "yaml":
            self.configure(block)
        else:
            for command in block.commands:
                self.call(self.here(command), way_of(command), str(block))

    def configure(self, block: Block) -> None:
        """A YAML block is merged over config.yaml."""
        document = yaml.safe_load(block.text)
        whole = yaml.safe_load((ROOT / "config.yaml").read_text())
        update_config(whole, document)
        parse_config(whole, str(block))

    def call(self, command: str, way: str, where: str) -> None:
        """Run a command unchanged, or in the closest possible way."""
        folder = self.folder
        if way == "files":
            words = shlex.split(command)
            named = [w for w in words if re.search(r"\.(txt|lock|yml)$", w)]
            assert all((ROOT / name).is_file() for name in named), where
            return
        if way == "slurm":
            profiles = re.findall(r"--profile (\S+)", command)
            assert all((ROOT / name / "config.yaml").is_file() for name in profiles), where
            return
        if way == "make -n":
            command, folder = command.replace("make", "make -n", 1), ROOT
        elif way == "snakemake -n":
            command = command.replace("snakemake", "snakemake -n --executor local", 1)
        elif way == "validate -n":
            command += " -n"
        elif way == "benchmark --cite":
            command += " --cite"
        elif way == "warehouse":
            address = {"warehouse": self.server.address, "bucket": self.server.bucket}
            command += f" --config '{json.dumps({'session': address})}'"
        first = f"{self.commands}{os.pathsep}{Path(sys.executable).parent}"
        path = f"{first}{os.pathsep}{os.environ['PATH']}"
        hook = f"{forks.HOOK}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        here = {"PYTHONPATH": hook, "MEIFLOW_KNOWN_CORES": self.server.known_cores}
        here |= forks.environment()
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=folder,
            env=os.environ | {"PATH": path} | here,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout[-3000:]}"


@pytest.fixture
def reader(
    server: Server,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Reader:
    project = finished_project(tmp_path_factory).copy(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    monkeypatch.syspath_prepend(project.folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield Reader(project, server, forks.commands(tmp_path / "bin"))
    for block in SHOWN:  # modules written by the page belong to this folder
        sys.modules.pop((block.file or "").removesuffix(".py"), None)


@pytest.mark.workflow
@pytest.mark.thorough
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.stem)
def test_a_page_can_be_followed(reader: Reader, page: Path) -> None:
    for block in blocks(page):
        if block.language in TRIED:
            reader.read(block)
    if page.stem == "own_data":
        recording_has_all_but_gabors(reader.folder / "results" / "my_recording")


def recording_has_all_but_gabors(results: Path) -> None:
    """The workflow on a user's tables without Gabors ran to the end."""
    table = pd.read_csv(results / "selection" / "neurons.csv").set_index("neuron_id")
    assert table["selected"].to_dict() == {"left": True, "right": True, "noise": False}
    for neuron in ("left", "right"):
        rows = pd.read_csv(results / "neurons" / neuron / "comparison.csv")["stimulus"].tolist()
        assert "recorded_gabor" not in rows
        assert "best_gabor" in rows
        assert not (results / "neurons" / neuron / "gabor.npy").exists()
    # no truth and no recorded tuning to compare with; only the models' own confidence
    assert [p.name for p in (results / "validation").glob("*.csv")] == ["trust.csv"]
    assert not (results / "tables" / "gabor_responses.csv").exists()
    assert "Simulated session." not in (results / "report.html").read_text()


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    others = [f"{block}: {block.language!r}" for block in SHOWN if block.language not in TRIED]
    assert not others


def test_every_way_is_still_needed() -> None:
    commands = [command for _, command in all_commands()]
    unused = [p for p in WAYS if not any(re.search(p, command) for command in commands)]
    assert not unused
    assert any(NEURON in command for command in commands)


def test_most_commands_are_run_unchanged() -> None:
    counts = tried()
    print(", ".join(f"{way}: {n}" for way, n in counts.most_common()))
    assert counts["run"] > sum(counts.values()) / 2


def documented(page: Path) -> re.Pattern[str]:
    """All names that a page writes as code, with placeholders, prefixes and suffixes."""
    words = set(re.findall(r"`([^`\s]+)`", page.read_text(encoding="utf-8")))
    prefixes = {word for word in words if re.fullmatch(r"[a-z]+_", word)}
    suffixes = {word.lstrip(".") for word in words if re.fullmatch(r"(\.\.\.)?_[a-z]+", word)}
    names = [re.sub(r"\\{\w+\\}", r"\\w+", re.escape(word)) for word in words - prefixes]
    return re.compile(f"({'|'.join(prefixes)})?({'|'.join(names)})({'|'.join(suffixes)})?")


@pytest.mark.workflow
@pytest.mark.thorough
def test_every_column_of_the_results_is_explained(tmp_path_factory: pytest.TempPathFactory) -> None:
    results = finished_project(tmp_path_factory).results
    known = documented(ROOT / "docs" / "results.md")
    tables = [*results.glob("*/*.csv"), *results.glob("*.csv"), *results.glob("neurons/*/*.csv")]
    unknown = {
        f"{path.parent.name}/{path.name}: {column}"
        for path in tables
        for column in path.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
        if not column.isdigit() and not known.fullmatch(column)
    }
    assert not unknown
