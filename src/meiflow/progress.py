"""Progress of long loops: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
_LINE_EVERY_S = 10.0


def say(message: str) -> None:
    """Print one line of progress to standard error."""
    print(message, file=sys.stderr, flush=True)


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` and show how far the loop is.

    Parameters
    ----------
    items : iterable
    label : str
        What is being done, in a few words.
    total : int, optional
        Number of items; taken from `items` where it has a length.
    """
    if sys.stderr.isatty():
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
            say(f"{label}: {done}{of} after {now - start:.0f} s")
            last = now
    say(f"{label}: {done} done in {time.monotonic() - start:.1f} s")
