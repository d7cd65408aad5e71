"""Progress: the library is silent, programs print plain lines, terminals show a bar."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from meiflow import progress
from meiflow.progress import Transfer, log_to_stderr, logger, track


def work() -> list[int]:
    """A caller of the library, with every kind of report."""
    logger.info("100 % done")
    transfer = Transfer("s.nwb", 0, 10)
    transfer.add(10)
    transfer.close()
    return list(track(range(3), "threes"))


def test_a_program_that_uses_the_library_prints_nothing() -> None:
    code = "from tests.test_progress import work\nassert work() == [0, 1, 2]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_caller_sees_it_through_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "meiflow")
    work()
    first, last = (record.getMessage() for record in caplog.records)
    assert first == "100 % done"
    assert last.startswith("threes: 3 done in 0.")


def test_the_command_line_prints_plain_lines_and_leaves_logging_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (list(logger.handlers), logger.level)
    with log_to_stderr():
        work()
    assert (logger.handlers, logger.level) == before
    out, err = capsys.readouterr()
    assert not out
    first, last = err.splitlines()
    assert first == "100 % done"
    assert last.startswith("threes: 3 done in ")
    work()
    assert capsys.readouterr() == ("", "")


def test_long_loops_are_reported_on_the_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress.time, "monotonic", iter(range(0, 100, 6)).__next__)
    list(track(iter("abcd"), "letters", 4))
    assert [r.getMessage() for r in caplog.records] == [
        "letters: 2 of 4 after 12 s",
        "letters: 4 of 4 after 24 s",
        "letters: 4 done in 30.0 s",
    ]


@pytest.mark.parametrize(("level", "bars"), [(logging.INFO, True), (logging.WARNING, False)])
def test_a_terminal_shows_a_bar_only_to_those_who_ask(
    level: int,
    bars: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    caplog.set_level(level, "meiflow")
    assert work() == [0, 1, 2]
    err = capsys.readouterr().err
    assert ("3/3" in err and "10.0/10.0" in err) is bars
    assert bool(err) is bars
