"""Progress of long computations: log lines, or a bar on a terminal.

The library is silent by default: messages go to the logger ``meiflow`` at level INFO, and are shown
if the caller configures `logging`. The command line does so with `log_to_stderr`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
_LINE_EVERY_S = 10.0

logger = logging.getLogger("meiflow")
logger.addHandler(logging.NullHandler())


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Print each message as a line on standard error; also a decorator of a program's `main`."""
    handler, level = logging.StreamHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def note(message: str) -> None:
    """Log something about the data that does not stop a run, but that its reader must know."""
    logger.warning(" ".join(message.split()))


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.messages:
            self.messages.append(text)


@contextmanager
def collect_notes(*, silent: bool = False) -> Iterator[list[str]]:
    """Collect the messages of `note` in a list.

    Parameters
    ----------
    silent : bool
        Whether nothing is logged meanwhile.

    Examples
    --------
    >>> with collect_notes() as notes:
    ...     note("image 7 was never shown")
    >>> notes
    ['image 7 was never shown']
    """
    handler, others = _Notes(), list(logger.handlers)
    logger.handlers = [handler] if silent else [*others, handler]
    try:
        yield handler.messages
    finally:
        logger.handlers = others


def _bar_wanted() -> bool:
    return logger.isEnabledFor(logging.INFO) and sys.stderr.isatty()


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` and report progress.

    Parameters
    ----------
    items : iterable
    label : str
        Short description of the loop.
    total : int, optional
        Number of items; by default the length of `items`, if it has one.
    """
    if _bar_wanted():
        from tqdm import tqdm

        yield from tqdm(items, desc=label, total=total)
        return
    if total is None and isinstance(items, Sequence | range):
        total = len(items)
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= _LINE_EVERY_S:
            of = f" of {total}" if total else ""
            logger.info(f"{label}: {done}{of} after {now - start:.0f} s")
            last = now
    logger.info(f"{label}: {done} done in {time.monotonic() - start:.1f} s")


class Transfer:
    """Progress of a download: size, rate and time left.

    Parameters
    ----------
    label : str
    done : int
        Number of bytes already received.
    total : int or None
        Total number of bytes, if the server reports it.
    """

    def __init__(self, label: str, done: int, total: int | None) -> None:
        self._label, self._done, self._total = label, done, total
        self._fresh, self._start = 0, time.monotonic()
        self._last = self._start
        self._bar = None
        if _bar_wanted():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=label, initial=done, total=total, unit="B", unit_scale=True, unit_divisor=1000
            )

    def add(self, n: int) -> None:
        """Count `n` more bytes."""
        self._done += n
        self._fresh += n
        if self._bar is not None:
            self._bar.update(n)
        elif time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            rate = self._fresh / max(self._last - self._start, 1e-9)
            text = f"{self._label}: {self._done / 1e6:.0f} MB"
            if self._total:
                left = (self._total - self._done) / max(rate, 1e-9)
                text += f" of {self._total / 1e6:.0f}"
                logger.info(f"{text} at {rate / 1e6:.1f} MB/s, {left:.0f} s left")
            else:
                logger.info(f"{text} at {rate / 1e6:.1f} MB/s")

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()
