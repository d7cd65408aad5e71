"""`meiflow run` and its companions on a small session, on a terminal and without one."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from tests import forks
from tests.faults.session import TINY, contents, undisturbed, wait_until
from tests.project import Project

pytestmark = pytest.mark.workflow
PATIENCE_S = 300.0


def meiflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run without a terminal."""
    return subprocess.run(
        [*forks.command("meiflow"), *words],
        cwd=folder,
        env=os.environ | forks.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


class OnTerminal:
    """A command on a terminal of its own; ``text`` is what it has written."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.text = ""
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execv(sys.executable, [sys.executable, "-m", "meiflow", *words])

    def until(self, happens: Callable[[], bool]) -> None:
        """Read until something happens, or the command ends."""
        end = time.monotonic() + PATIENCE_S
        while not happens():
            assert time.monotonic() < end, self.text[-2000:]
            if select.select([self._file], [], [], 0.1)[0]:
                try:
                    found = os.read(self._file, 1 << 16)
                except OSError:  # ended
                    return
                if not found:
                    return
                self.text += found.decode()

    def ctrl_c(self) -> None:
        os.write(self._file, b"\x03")

    def wait(self) -> int:
        """The exit status; negative for a signal."""
        self.until(lambda: False)
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def jobs_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def lines(text: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9]*[A-Z]|\r", "", text)
    return [line for line in plain.split("\n") if line.strip()]


@pytest.fixture
def done(tmp_path_factory) -> Project:
    """A finished run of Snakemake, without its Snakefile: only settings and results."""
    folder = tmp_path_factory.mktemp("done") / "project"
    return undisturbed(tmp_path_factory).copy(folder, "Snakefile", "workflow", "profiles", "notes")


def test_ctrl_c_on_a_terminal_leaves_no_orphan_and_the_same_command_resumes(tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    run = ("run", "tiny.yaml", "--cores", "2", "--until", "tables")
    first = OnTerminal(tmp_path, *run)
    first.until(lambda: "simulate " in first.text)
    first.ctrl_c()
    assert first.wait() == 130
    assert lines(first.text)[-1] == ("meiflow: stopped; run the same command again to resume")
    wait_until(lambda: not jobs_in(tmp_path), "every process of the run to end", 10)
    killed = OnTerminal(tmp_path, *run)
    killed.until(lambda: "simulate " in killed.text)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    locked = meiflow(tmp_path, *run)
    assert locked.returncode == 1
    assert locked.stderr.count("\n") == 1
    assert "remove its lock with --unlock" in locked.stderr
    assert meiflow(tmp_path, "run", "tiny.yaml", "--unlock").returncode == 0
    last = OnTerminal(tmp_path, *run)
    assert last.wait() == 0
    ended = [line.split() for line in lines(last.text) if "━━━━━━━━━━━━━━━━━━━━" in line]
    assert {words[0] for words in ended} == {"simulate", "tables"}
    assert "1 of 1" in last.text
    assert lines(last.text)[-1].startswith("Done in ")
    assert (tmp_path / "results" / "demo" / "tables" / "trials.csv").exists()
    assert not (tmp_path / "results" / "demo" / "selection").exists()
    plan = meiflow(tmp_path, "run", "tiny.yaml", "--dry-run").stdout.splitlines()
    most = "of at most 2 neurons"  # of four units: selection.top_k
    assert re.fullmatch(rf"  to follow: \d jobs for each neuron \(stimuli, .*\), {most}", plan[-1])


def test_what_snakemake_made_is_taken_over(done, tmp_path):
    run = meiflow(tmp_path, "run", str(done.folder / "small.yaml"))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("Nothing to do: everything is up to date: ")
    assert Path(run.stdout.strip().rpartition(": ")[2]).samefile(done.results / "report.html")
    status = meiflow(done.folder, "status", "small.yaml").stdout.splitlines()
    assert re.match(r"session demo: \d fitted neurons, results/demo/report\.html of ", status[0])
    assert status[1:] == ["everything is up to date"]
    assert meiflow(done.folder, "open").stdout == "results/demo/report.html\n"


def test_a_variant_shares_what_did_not_change(done):
    before = contents(done.results)
    steps = TINY["mei"]["steps"]
    done.configure("more.yaml", TINY | {"mei": TINY["mei"] | {"steps": steps + 2}})
    run = ("run", "more.yaml", "--as", "more", "--cores", "2", "--until", "stimuli")
    plan = meiflow(done.folder, *run, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    neurons = sorted(path.name for path in (done.results / "neurons").iterdir())
    assert f"for {len(neurons)} neuron" in plan.stdout
    change = rf"  mei\.steps {steps} -> {steps + 2}: {len(neurons)} MEIs, about \d.*"
    assert re.fullmatch(change, plan.stdout.splitlines()[1])
    made = meiflow(done.folder, *run)
    assert made.returncode == 0, made.stderr
    variant = done.folder / "variants" / "more" / "results" / "demo"
    assert re.fullmatch(r"Done in .*: results of stimuli\n", made.stdout)
    lines_of_log = made.stderr.splitlines()
    assert re.fullmatch(rf"\[ +\d:\d\d\] stimuli \({len(neurons)} jobs\)", lines_of_log[0])
    assert re.fullmatch(rf"\[ +\d+:\d\d\] stimuli: done {len(neurons)} of .*", lines_of_log[-2])
    assert lines_of_log[-1].startswith("results/demo/report.html is older than the results; run")
    assert (variant / "models/models.zip").samefile(done.results / "models/models.zip")
    assert contents(done.results) == before
    assert contents(variant) != before
    again = meiflow(done.folder, *run)
    assert again.stdout.startswith("Nothing to do")
    compared = meiflow(done.folder, "compare", "results/demo", "more")
    assert compared.returncode == 0, compared.stderr
    rows = [line.split() for line in compared.stdout.splitlines()]
    assert rows[0][0] == "neuron_id"
    assert rows[0][-1] == "mei_similarity"
    assert sorted(row[0] for row in rows[1:]) == neurons
    assert all(0.5 < float(row[-1]) <= 1 for row in rows[1:])


def test_a_failed_job_ends_in_one_line_with_its_log(done):
    failed = meiflow(done.folder, "run", "small.yaml", "--cores", "2", "--neuron", "950000999")
    assert failed.returncode == 1
    assert failed.stderr.count("meiflow: error:") == 1
    last = failed.stderr.splitlines()[-1]
    found = re.fullmatch(r"meiflow: error: (\w+): (.*); log: (\S+)", last)
    assert found, failed.stderr
    assert "950000999" in found[2]
    assert (done.folder / found[3]).read_text().rstrip().endswith(found[2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing.yaml",), r"nothing\.yaml: no such file"),
        (("small.yaml", "--until", "selektion"), r"--until 'selektion'.*mean 'selection'\?"),
        (("small.yaml", "--as", "../x"), r"--as '\.\./x': invalid name"),
        (("bad.yaml",), r"unknown key mei\.step \(did you mean 'steps'\?\)"),
    ],
)
def test_what_cannot_start_ends_in_one_line(words, message, tmp_path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "bad.yaml").write_text("mei: {step: 3}")
    run = meiflow(tmp_path, "run", *words)
    assert run.returncode == 1
    assert re.match(f"meiflow: error: .*{message}", run.stderr)
    assert run.stderr.count("\n") == 1
