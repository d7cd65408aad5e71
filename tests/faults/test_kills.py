"""Snakemake and its jobs, stopped and killed again and again until the session is done."""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.faults.session import (
    TINY,
    Running,
    assert_undisturbed,
    differing,
    gone,
    leftovers,
    wait_until,
)
from tests.project import Project, make_project

pytestmark = pytest.mark.workflow
SEED = 4
# How each run ends; before that, jobs are killed, and Snakemake retries them. To start a run takes
# longer than to kill a further job of it.
ENDINGS = ["kill -9 of snakemake", "kill -9 of all", "SIGTERM", "Ctrl-C"]
JOBS_KILLED, KILLS = 2, 8
# With `make test-all`, the same project is killed again in these ways.
MORE = ["kill -9 of snakemake", "kill -9 of all", "Ctrl-C twice"]
MORE_JOBS_KILLED, MORE_KILLS = 5, 17
SIGNALS_END_WITHIN_S = 120.0


@dataclass
class Chain:
    """What happened until the session was done."""

    project: Project
    kills: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    signals: dict[str, float] = field(default_factory=dict)
    half_written: list[str] = field(default_factory=list)
    outlived: list[str] = field(default_factory=list)
    runs: int = 0


def _unmarked(report: Path) -> bytes:
    """The page without the banner that says it is older than the results, which a kill removed."""
    banner = rb'<p class="banner outdated" .*?</p>'
    return re.sub(banner, b"", report.read_bytes(), flags=re.DOTALL)


def _a_moment(run: Running, chance: random.Random) -> bool:
    """Wait for a random moment with running jobs; False if the workflow has ended."""
    done, delay = run.jobs_done + chance.choice((0, 0, 1, 2)), chance.uniform(0, 1)
    wait_until(lambda: run.ended or (run.jobs_done >= done and bool(run.jobs())), "a job")
    end = time.monotonic() + delay
    while time.monotonic() < end and not run.ended:
        time.sleep(0.02)
    wait_until(lambda: run.ended or bool(run.jobs()), "a job")
    return not run.ended


def _kill_a_job(run: Running, chance: random.Random, chain: Chain) -> None:
    jobs = run.jobs()
    if not jobs:  # already ended
        return
    job = chance.choice(jobs)
    try:
        job.process.kill()
    except psutil.NoSuchProcess:
        return
    chain.kills.append(("kill -9 of a job", (job.stage,)))


def _end(run: Running, how: str, chain: Chain) -> None:
    jobs = run.jobs()
    start = time.monotonic()
    if how == "kill -9 of snakemake":
        run.send(signal.SIGKILL)
    elif how == "kill -9 of all":
        run.send_all(signal.SIGKILL)
    elif how == "SIGTERM":
        run.send(signal.SIGTERM)
    else:
        run.send_all(signal.SIGINT)
        if how == "Ctrl-C twice":
            time.sleep(0.2)
            run.send_all(signal.SIGINT)
    status = run.wait()
    assert status != 0, how
    if "kill" in how:
        chain.kills.append((how, tuple(job.stage for job in jobs)))
        wait_until(lambda: gone(jobs), "the jobs of a killed run to end", 60)
    else:
        chain.signals[how] = time.monotonic() - start
        if not gone(jobs):
            chain.outlived.append(how)


def _killed(
    project: Project, expected: dict[str, bytes], endings: list[str], in_run: int, kills: int
) -> Chain:
    """Run, kill jobs, end the run, and run again until every ending and so many kills occurred."""
    chance = random.Random(SEED)
    chain, locks = Chain(project), project.folder / ".snakemake" / "locks"
    endings = list(endings)
    while endings or len(chain.kills) < kills:
        run = Running(project, "--cores", "2", "--configfile", "small.yaml", "--retries", "20")
        chain.runs += 1
        for _ in range(in_run):
            if _a_moment(run, chance):
                _kill_a_job(run, chance, chain)
        if _a_moment(run, chance):
            how = endings.pop(0) if endings else "kill -9 of all"
            _end(run, how, chain)
            if "kill" in how:
                assert any(locks.iterdir())
                shutil.rmtree(locks)  # like `snakemake --unlock`, but faster
        else:
            assert run.wait() == 0, run.output[-3000:]
            shutil.rmtree(project.results / "neurons")  # too early: there is more to kill
        chain.half_written += [
            name
            for name in differing(project.results, expected)
            if name != "report.html" or _unmarked(project.results / name) != expected[name]
        ]
    return chain


@pytest.fixture(scope="module")
def first(tmp_path_factory, expected) -> Chain:
    project = make_project(tmp_path_factory.mktemp("killed"), TINY)
    return _killed(project, expected, ENDINGS, JOBS_KILLED, KILLS)


@pytest.fixture(scope="module")
def second(first, expected) -> Chain:
    """The project of the first chain, whose neurons are killed again and again."""
    if (first.project.results / "neurons").exists():
        shutil.rmtree(first.project.results / "neurons")
    return _killed(first.project, expected, MORE, MORE_JOBS_KILLED, MORE_KILLS)


@pytest.fixture(params=["first", pytest.param("second", marks=pytest.mark.thorough)])
def chain(request) -> Chain:
    return request.getfixturevalue(request.param)


def test_killed_at_many_moments_of_many_stages(chain, count):
    """The chain covers enough faults for the tests below."""
    hit = {stage for _, stages in chain.kills for stage in stages if stage}
    assert len(hit) >= 3, hit
    assert {how for how, _ in chain.kills} == {
        "kill -9 of a job",
        "kill -9 of snakemake",
        "kill -9 of all",
    }
    where = f"{chain.runs} runs, in {', '.join(sorted(hit))}"
    count(f"kills at as many moments of {where}", len(chain.kills))


def test_nothing_half_written_had_a_final_name(chain):
    """After each kill, all existing results were those of the undisturbed run."""
    assert not chain.half_written


def test_a_stopped_run_ends_soon_and_leaves_no_job(chain, count):
    assert chain.signals
    assert max(chain.signals.values()) < SIGNALS_END_WITHIN_S
    assert not chain.outlived
    count("SIGTERM and Ctrl-C", len(chain.signals))


def test_the_last_run_ends_in_the_undisturbed_results(chain, expected):
    """No lock remains after a stop, and no temporary files of killed jobs."""
    done = chain.project.snakemake("--cores", "2", "--configfile", "small.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert_undisturbed(chain.project.results, expected)
    assert not leftovers(chain.project.results)
