"""The methods of a run as text for a paper: plain, LaTeX, and BibTeX of what it cites."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

from markupsafe import Markup

# Packages that a paper names, besides meiflow.
_NAMED = ("Python", "torch", "numpy", "scipy")
_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_TEX |= {"^": r"\textasciicircum{}", "°": r"$^\circ$", "±": r"$\pm$", "µ": r"$\mu$"}
_TEX |= {"–": "--", "“": "``", "”": "''"}


@dataclass(frozen=True)
class Reference:
    """A work that the methods cite.

    Parameters
    ----------
    authors : str
        In BibTeX's form, separated by ``and``; ``others`` stands for further authors.
    year, title, journal, where : str
        ``where`` is volume and first page, separated by a colon, or empty for books.
    """

    authors: str
    year: str
    title: str
    journal: str
    where: str

    @property
    def names(self) -> str:
        """Family names as in a citation."""
        names = [name.partition(",")[0] for name in self.authors.split(" and ")]
        if names[-1] == "others" or len(names) > 2:
            return f"{names[0]} et al."
        return " & ".join(names)

    @property
    def key(self) -> str:
        """Key of the BibTeX entry."""
        return re.sub(r"\W", "", self.authors.partition(",")[0].lower()) + self.year

    @property
    def line(self) -> str:
        """Entry of a list of references."""
        journal = f"{self.journal} {self.where}".rstrip()
        return f"{self.names} {self.year}. {self.title}. {journal}."

    @property
    def bibtex(self) -> str:
        """BibTeX entry."""
        kind, venue = ("article", "journal") if self.where else ("book", "publisher")
        fields = {"author": self.authors, "year": self.year, "title": f"{{{self.title}}}"}
        fields[venue] = self.journal
        if self.where:
            volume, _, page = self.where.partition(":")
            fields |= {"volume": volume} | ({"pages": page} if page else {})
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@{kind}{{{self.key},\n{body}}}\n"


@cache
def references() -> list[Reference]:
    """All works that the methods may cite, from ``references.csv``."""
    text = (files("meiflow.report") / "references.csv").read_text(encoding="utf-8")
    return [Reference(**row) for row in csv.DictReader(text.splitlines())]


def as_plain(html: str) -> str:
    r"""Paragraphs of HTML as text, with an empty line between them.

    Examples
    --------
    >>> print(as_plain("<p><strong>Model.</strong> A\nB &amp; C.</p><p>D.</p>"))
    Model. A B & C.
    <BLANKLINE>
    D.
    """
    parts = (Markup(part).striptags() for part in html.split("</p>"))
    return "\n\n".join(part for part in parts if part)


def cited(text: str) -> list[Reference]:
    """The references that a text cites.

    Examples
    --------
    >>> [one.key for one in cited("after Schoppe et al. (2016), Walker et al. 2019")]
    ['schoppe2016', 'walker2019']
    """
    return [one for one in references() if re.search(_pattern(one), text)]


def _pattern(one: Reference) -> str:
    return rf"{re.escape(one.names)},? (\()?{one.year}(?(1)\))"


def with_versions(text: str, versions: Mapping[str, str]) -> str:
    """The methods, ending with the software that made the results."""
    others = ", ".join(f"{name} {versions[name]}" for name in _NAMED if name in versions)
    return f"{text}\n\nSoftware. meiflow {versions['meiflow']} ({others})."


def as_latex(text: str) -> str:
    r"""The text in LaTeX, with the citation commands of natbib.

    Examples
    --------
    >>> print(as_latex("CC_norm after Schoppe et al. (2016); 5 % of units (Sahani & Linden 2003)."))
    CC\_norm after \citet{schoppe2016}; 5 \% of units (\citealp{sahani2003}).
    """
    found: list[str] = []

    def cite(key: str, match: re.Match[str]) -> str:
        found.append(f"\\{'citet' if match[1] else 'citealp'}{{{key}}}")
        return f"\0{len(found) - 1}\0"

    for one in references():
        text = re.sub(_pattern(one), partial(cite, one.key), text)
    text = "".join(_TEX.get(character, character) for character in text)
    return re.sub("\0(\\d+)\0", lambda match: found[int(match[1])], text)


def bibliography(of: Sequence[Reference]) -> str:
    """BibTeX of some references."""
    return "\n".join(one.bibtex for one in of)
