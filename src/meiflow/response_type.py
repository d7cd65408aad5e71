"""What the numbers of a trial are: spike counts, or real numbers such as dF/F."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Words on counts, and what is true of real numbers.
_OF_REAL = {
    "relative to the MEI": "relative to the MEI (minus the response to grey)",
    "predicts more spikes for the MEI than for": "predicts a higher response to the MEI than to",
    "only spike counts are available": "only one number per trial is available",
    "spikes per trial": "response per trial",
}
_RATIO = re.compile("divided by that for .*")
_COUNT = re.compile(r"\b([Cc])ount(s?)\b")


@dataclass(frozen=True)
class ResponseType:
    """Spike counts with Poisson-like noise, or real numbers, which may be negative.

    Parameters
    ----------
    real : bool
        Whether responses are real numbers (dF/F, events, z scores): Gaussian noise, no rectifier,
        and no assumption that their variance follows their mean.
    average : str
        How trials of the same image are averaged: ``mean`` or ``median``.
    unit : str or None
        Unit of real numbers, for axes and captions.

    Examples
    --------
    >>> COUNTS.column, ResponseType(real=True, unit="dF/F").column
    ('spike_count', 'response')
    """

    real: bool = False
    average: str = "mean"
    unit: str | None = None

    @property
    def column(self) -> str:
        """Column of the responses in a long table of trials."""
        return "response" if self.real else "spike_count"

    @property
    def noun(self) -> str:
        """Word for one response, in text."""
        return "response" if self.real else "count"

    def words(self, text: str) -> str:
        """A text on counts that holds for these responses.

        Examples
        --------
        >>> ResponseType(real=True, average="median").words("Mean counts, and spikes per trial")
        'Median responses, and response per trial'
        """
        if not self.real:
            return text
        for word, ours in _OF_REAL.items():
            text = text.replace(word, ours)
        text = _RATIO.sub(r"\g<0>, both minus the response to grey", text)
        text = _COUNT.sub(lambda m: f"{'R' if m[1] == 'C' else 'r'}esponse{m[2]}", text)
        if self.average == "median":
            text = re.sub(r"\b([Mm])ean (response)", lambda m: f"{m[1]}edian {m[2]}", text)
        return text

    def label(self, text: str) -> str:
        r"""A label of a figure that holds for these responses, with their unit.

        Examples
        --------
        >>> ResponseType(True, unit="dF/F").label("predicted count"), COUNTS.label("even (count)")
        ('predicted response\n(dF/F)', 'even (count)')
        """
        if not self.real:
            return text
        unit = self.unit or "response"
        square = f"{unit}²" if unit.isalpha() else f"({unit})²"
        found = self.words(text.replace("spikes²", square).replace("(count)", f"({unit})"))
        found = found.replace(" (minus the", "\n(minus the")
        plain = found == text or "(" in found or "entropy" in found
        return found if plain or self.unit is None else f"{found}\n({self.unit})"

    def as_document(self) -> dict[str, Any]:
        """Plain values, for a file; empty for spike counts."""
        if not self.real:
            return {}
        return {"response": {"average": self.average, "unit": self.unit}}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ResponseType:
        """Read the output of `as_document` from a document that contains it."""
        own = document.get("response")
        if own is None:
            return COUNTS
        unit = own["unit"]
        return cls(True, str(own["average"]), None if unit is None else str(unit))


COUNTS = ResponseType()
