"""The exception for errors that a user can understand and fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 2000


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, torch or the loader means that memory ran out.

    Examples
    --------
    >>> out_of_memory(MemoryError())
    True
    >>> out_of_memory(RuntimeError("shapes do not match"))
    False
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, SystemError):  # the interpreter could not even create the exception
        return "exception" in str(error)
    if not isinstance(error, RuntimeError | ImportError | OSError):
        return False
    text = str(error).lower()
    signs = ("can't allocate memory", "cannot allocate memory", "out of memory", "failed to map")
    return any(sign in text for sign in signs)


class MeiflowError(Exception):
    r"""Invalid input or an impossible request.

    The message is a single line that states what is wrong, where, what is allowed and what to
    do. The command line prints it without a traceback and exits with status 1. Quoted input is
    escaped and shortened, so that it cannot control or flood a terminal.

    Examples
    --------
    >>> print(MeiflowError("a.csv: odd \x1b[31m name,\n  expected letters"))
    a.csv: odd \x1b[31m name, expected letters
    """

    def __init__(self, message: str) -> None:
        text = " ".join(message.split())
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST - 500]} ... {text[-490:]}"
        super().__init__("".join(c if c.isprintable() else _escaped(c) for c in text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def closest(word: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if an allowed word is close to `word`, otherwise empty."""
    by_lower = {str(a).lower(): str(a) for a in allowed}
    match = difflib.get_close_matches(str(word).lower()[:100], by_lower, n=1)
    return f" (did you mean {by_lower[match[0]]!r}?)" if match else ""


def shorten(items: Iterable[object], limit: int = 8) -> str:
    """At most `limit` items joined by commas, with the number of omitted ones."""
    texts = [str(i) for i in items]
    rest = f", ... ({len(texts) - limit} more)" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + rest
