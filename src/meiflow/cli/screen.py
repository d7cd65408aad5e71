"""Show a run: live lines on a terminal, a plain log elsewhere."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TextIO

from meiflow.cli.engine import TARGETS, snakemake_formatter
from meiflow.cli.expected import duration
from meiflow.cli.watch import Shown, Watch

_BAR, _NAME = 20, 20
_REDRAW_S, _PLAIN_S = 0.5, 30.0
# What can be done as soon as a stage is over.
_NOW = {"provisional": "; meiflow open shows the first neurons"}
_LINE_UP, _CLEAR = "\x1b[1A", "\x1b[J"


def bar(fraction: float, width: int = _BAR, ascii_only: bool = False) -> str:
    """A bar of text.

    Examples
    --------
    >>> bar(0.5, 8), bar(0.5, 8, ascii_only=True)
    ('━━━━────', '####----')
    """
    full, empty = "#-" if ascii_only else "━─"
    done = round(max(0.0, min(fraction, 1.0)) * width)
    return full * done + empty * (width - done)


class Screen(logging.Handler):
    """Handler of Snakemake's messages that shows the stages of a run.

    Parameters
    ----------
    watch : Watch
    stream : text file
        Where to write; a terminal gets live lines.
    cores : int
    verbose : bool
        Whether Snakemake's own messages are written instead.
    """

    def __init__(self, watch: Watch, stream: TextIO, cores: int, verbose: bool = False) -> None:
        super().__init__()
        self.watch, self._stream, self._cores = watch, stream, cores
        self._live = stream.isatty() and not verbose
        self._ascii = "utf" not in (getattr(stream, "encoding", "") or "").lower()
        self._drawn, self._last = 0, time.monotonic()
        self._active, self._end = False, threading.Event()
        self._thread: threading.Thread | None = None
        self.counts: Callable[[], Counter[str]] = Counter
        self._formatter = snakemake_formatter() if verbose else None

    def __enter__(self) -> Screen:
        self._active = True
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        with self.lock:  # type: ignore[union-attr]
            self._erase()
            self._active = False
            self._stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Follow an event; called by Snakemake's own thread, in which its jobs can be counted."""
        event = str(getattr(record, "event", None) or "")
        if self._formatter is not None:
            self._print(self._formatter.format(record))
        if not self._active:
            return
        if event == "job_info" and record.__dict__["rule_name"] not in TARGETS:
            log = next(iter(record.__dict__["log"]), "")
            self.watch.plan(self.counts())
            self.watch.started(record.__dict__["jobid"], record.__dict__["rule_name"], log)
            self._start_of(record.__dict__["rule_name"])
        elif event == "job_finished":
            stage = self.watch.finished(record.__dict__["job_id"])
            self._end_of(stage)
        elif event == "job_error":
            log = next(iter(record.__dict__["log"]), "")
            self._end_of(self.watch.failed(record.__dict__["jobid"], log))
        elif event == "progress":  # after a job, whose end may have added others
            self.watch.plan(self.counts())

    def _start_of(self, name: str) -> None:
        stage = self.watch.stages[name]
        if self._live:
            self._print("")
        elif self._formatter is None and len(stage.running) + stage.done + stage.failed == 1:
            jobs = f" ({stage.total} jobs)" if stage.total > 1 else ""
            self._print(f"{self._elapsed()} {name}{jobs}")

    def _end_of(self, name: str | None) -> None:
        stage = self.watch.stages.get(name or "")
        if stage is None or not stage.complete or self._formatter or stage.began is None:
            return
        took = duration(stage.ended - stage.began)
        failed = f", {stage.failed} failed" if stage.failed and stage.done else ""
        failed += _NOW.get(stage.name, "") if stage.done else ""
        if self._live:
            done = stage.done + stage.failed
            count = f"{done} of {stage.total}"
            word = f"{took}{failed}" if stage.done else f"failed after {took}"
            self._print(self._row(Shown(stage.name, 1.0, count, word)))
        else:
            jobs = f" {stage.done} of {stage.total}" if stage.total > 1 else ""
            word = f"done{jobs}," if stage.done else "failed after"
            self._print(f"{self._elapsed()} {stage.name}: {word} {took}{failed}")

    def _elapsed(self) -> str:
        seconds = round(self.watch.clock() - self.watch.begin)
        return f"[{seconds // 60:3d}:{seconds % 60:02d}]"

    def _row(self, shown: Shown) -> str:
        drawn = bar(shown.fraction, ascii_only=self._ascii)
        return f"{shown.name:<{_NAME}} {drawn} {shown.count:>9}  {shown.text}"

    def _lines(self) -> list[str]:
        rows = [self._row(self.watch.line(stage)) for stage in self.watch.running()]
        left = self.watch.remaining(self._cores)
        more = "fitted_neurons" in self.watch.stages and not self.watch.neurons()
        last = f"{self._elapsed().strip('[] ')} elapsed"
        if left is not None:
            last += (
                f", about {duration(left)} left for the jobs known so far"
                if more
                else (f", about {duration(left)} left")
            )
        return [*rows, f"{last}; Ctrl-C stops, the same command resumes"]

    def _tick(self) -> None:
        while not self._end.wait(_REDRAW_S):
            with self.lock:  # type: ignore[union-attr]
                if self._live:
                    self._erase()
                    self._draw()
                elif self._formatter is None and time.monotonic() - self._last >= _PLAIN_S:
                    for stage in self.watch.running():
                        shown = self.watch.line(stage)
                        self._print(f"{self._elapsed()} {shown.name}: {shown.count}, {shown.text}")

    def _print(self, text: str) -> None:
        self._erase()
        if text and text != "None":
            self._stream.write(f"{text}\n")
        self._last = time.monotonic()
        self._draw()
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write("\r" + _LINE_UP * self._drawn + _CLEAR)
            self._drawn = 0

    def _draw(self) -> None:
        if not self._live or not self._active or self._end.is_set():
            return
        size = shutil.get_terminal_size()
        lines = self._lines()[-max(size.lines - 1, 1) :]
        self._stream.writelines(f"{line[: size.columns - 1]}\n" for line in lines)
        self._drawn = len(lines)
        self._stream.flush()
