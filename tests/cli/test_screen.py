"""What a run shows, from Snakemake's events, without running anything."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter

import pytest

from meiflow.cli import screen as module
from meiflow.cli.expected import Expected, earlier
from meiflow.cli.screen import Screen
from meiflow.cli.watch import Watch


class Terminal(io.StringIO):
    """A terminal, or a file."""

    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: terminal

    def seen(self) -> list[str]:
        """What is on the terminal at the end."""
        lines = [""]
        for part in re.split(r"(\x1b\[1A|\x1b\[J|\n|\r)", self.getvalue()):
            if part == "\n":
                lines.append("")
            elif part == "\x1b[1A":
                lines.pop()
            elif part == "\x1b[J":
                lines[-1] = ""
            elif part != "\r":
                lines[-1] += part
        return lines


def event(name: str, **values: object) -> logging.LogRecord:
    return logging.makeLogRecord({"event": name, "msg": None} | values)


def started(job: int, rule: str, log: str = "") -> logging.LogRecord:
    return event("job_info", jobid=job, rule_name=rule, log=[log] if log else [])


@pytest.fixture
def times():
    """A clock that only moves when told."""
    return [0.0]


def shown(times, terminal: bool) -> tuple[Screen, Terminal]:
    stream = Terminal(terminal)
    return Screen(Watch(Expected(), clock=lambda: times[0]), stream, cores=2), stream


def play(screen, times, log) -> None:
    """One fit, then, after a checkpoint, three jobs of another; one fails."""
    counts = {"fit": 1}
    screen.counts = lambda: Counter(counts)
    with screen:
        screen.emit(started(1, "fit"))
        times[0] = 30
        screen.emit(event("job_finished", job_id=1))
        counts["stimuli"] = 3
        screen.emit(event("progress", done=1, total=4))
        for job in (2, 3, 4):
            screen.emit(started(job, "stimuli", str(log)))
            times[0] += 10
            if job < 4:
                screen.emit(event("job_finished", job_id=job))
        screen.emit(event("job_error", jobid=4, log=[str(log)]))


def test_a_file_gets_a_plain_log(times, tmp_path):
    screen, stream = shown(times, terminal=False)
    play(screen, times, tmp_path / "stimuli.log")
    assert stream.getvalue().splitlines() == [
        "[  0:00] fit",
        "[  0:30] fit: done, 30 s",
        "[  0:30] stimuli (3 jobs)",
        "[  1:00] stimuli: done 2 of 3, 30 s, 1 failed",
    ]


def test_a_terminal_keeps_one_line_a_stage(times, tmp_path):
    screen, stream = shown(times, terminal=True)
    play(screen, times, tmp_path / "stimuli.log")
    text = stream.getvalue()
    assert "stimuli              ━━━━━━━━━━━━━───────    2 of 3  about 10 s left" in text
    assert "%" not in text
    assert stream.seen() == [
        "fit                  ━━━━━━━━━━━━━━━━━━━━    1 of 1  30 s",
        "stimuli              ━━━━━━━━━━━━━━━━━━━━    3 of 3  30 s, 1 failed",
        "",
    ]


def test_the_error_is_one_line_with_the_log(times, tmp_path):
    log = tmp_path / "stimuli.log"
    log.write_text("note\nmeiflow: error: neuron 7 is not selected\n")
    screen, _ = shown(times, terminal=False)
    play(screen, times, log)
    assert screen.watch.error() == f"stimuli: neuron 7 is not selected; log: {log}"


def test_long_jobs_are_mentioned_in_a_plain_log(times, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_REDRAW_S", 0.01)
    monkeypatch.setattr(module, "_PLAIN_S", 0.02)
    log = tmp_path / "fit.log"
    log.write_text("fitting ln: 5 of 20 after 10 s\n")
    screen, stream = shown(times, terminal=False)
    with screen:
        screen.emit(started(1, "fit", str(log)))
        while stream.getvalue().count("\n") < 2:
            pass
    line = stream.getvalue().splitlines()[1]
    assert line == "[  0:00] fit: 0 of 1, fitting ln: 5 of 20, about 30 s left"


def test_what_takes_longer_than_before_does_not_end_in_a_second_for_ever(times):
    watch = Watch(Expected({"fit": [20.0]}), clock=lambda: times[0])
    watch.started(1, "fit", "")
    times[0] = 15
    assert watch.line(watch.stages["fit"]).text == "about 5 s left"
    times[0] = 65
    assert watch.line(watch.stages["fit"]).text == "1 min 5 s so far"


def test_earlier_times_come_from_benchmark_files(tmp_path):
    for name, seconds in (("a/benchmarks/report", 9), ("b/benchmarks/neurons/7/stimuli", 3)):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    assert earlier(tmp_path, ("a",)).seconds == {"report": [9.0]}
    assert earlier(tmp_path, ("b", "a")).seconds == {"stimuli": [3.0]}
    assert earlier(tmp_path, ("new",)).seconds  # of another session
    (tmp_path / "a/benchmarks/report.tsv").write_text("")  # cut off
    assert "report" not in earlier(tmp_path, ("a",)).seconds
