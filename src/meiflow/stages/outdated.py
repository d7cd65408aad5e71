"""A report that says when it is older than its results.

The page lists short hashes of the results that it was made of. After every stage they are compared
with the checksums of the files that are there; where they differ, a banner is written into the
page, and where they are the same again, it is removed. The page keeps its date, by which Snakemake
knows that it has to be made again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from meiflow.errors import MeiflowError
from meiflow.io.checksums import read_checksums
from meiflow.io.writing import atomic
from meiflow.progress import logger
from meiflow.results.layout import Layout
from meiflow.stages.registry import STAGES

PLACE = "<!-- state of this page -->"  # in the template, where the banner is to be
_BANNER = re.compile(re.escape(PLACE) + r'(<p class="banner outdated">.*?</p>)?', re.DOTALL)
_LISTED = re.compile(r'<meta name="meiflow-results" content="([^"]*)">')
# Stages that do not change what the report shows.
_ASIDE = ("report", "combine")
_NAMED = 3


def results_read() -> list[str]:
    """Names of all results that a report shows, as in the registry."""
    return list(dict.fromkeys([*STAGES["summary"].inputs, *STAGES["report"].inputs]))


def made_of(results: Layout, neurons: Iterable[str]) -> dict[str, str]:
    """Short hash of the results of each neuron, and, after a colon, of each that all share.

    Examples
    --------
    >>> made_of(Layout(Path("nowhere")), ["7"])
    {'7': 'e3b0c44298fc'}
    """
    known: dict[Path, dict[str, str]] = {}
    names = results_read()
    own = [name.partition(".")[2] for name in names if name.startswith("neuron.")]
    found = {}
    for name in names:
        kind, _, of = name.partition(".")
        paths = [getattr(results, name)] if not of else []
        if kind == "procedure":
            paths = [results.procedure(of).images, results.procedure(of).table]
        if any(path.exists() for path in paths):  # others are not on the page
            found[f":{of or name}"] = _hash(paths, known)
    for neuron in neurons:
        files = results.neuron(neuron)
        found[neuron] = _hash([getattr(files, name) for name in own], known)
    return found


def _hash(paths: Iterable[Path], known: dict[Path, dict[str, str]]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.parent not in known:
            known[path.parent] = read_checksums(path.parent)
        if path.name in known[path.parent] and path.exists():
            digest.update(f"{path.name} {known[path.parent][path.name]}\n".encode())
    return digest.hexdigest()[:12]


def as_text(made: Mapping[str, str]) -> str:
    """The hashes as they stand in the page."""
    return " ".join(f"{name}={value}" for name, value in made.items())


def mark_report(results: Layout, stage: str) -> None:
    """After a stage: write into the report that it is outdated, or remove this, as is true.

    A report that cannot be changed is logged; it does not make the stage fail.
    """
    if stage in _ASIDE or not results.report.is_file():
        return
    try:
        _mark(results)
    except (OSError, ValueError, MeiflowError) as error:
        logger.warning(f"{results.report}: may be outdated, and could not be marked ({error})")


def _mark(results: Layout) -> None:
    path, before = results.report, results.report.stat()
    page = path.read_text(encoding="utf-8")
    listed, place = _LISTED.search(page), _BANNER.search(page)
    if listed is None or place is None:  # of another version
        return
    shown = dict(part.partition("=")[::2] for part in listed[1].split(" "))
    now = made_of(results, [name for name in shown if not name.startswith(":")])
    changed = [name for name in shown if shown[name] != now.get(name)]
    if bool(changed) == bool(place[1]):
        return
    text = page[: place.start()] + PLACE + _banner(changed, path) + page[place.end() :]
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
    if changed:
        logger.warning(f"{path} is older than these results; make it again")


def _banner(changed: list[str], path: Path) -> str:
    if not changed:
        return ""
    neurons = [name for name in changed if not name.startswith(":")]
    more = f" and {len(neurons) - _NAMED} more" if len(neurons) > _NAMED else ""
    what = [f"of neuron {', '.join(neurons[:_NAMED])}{more}"] if neurons else []
    what += ["of all neurons together"] if len(neurons) < len(changed) else []
    return (
        '<p class="banner outdated"><strong>This page is outdated.</strong> Results '
        f"{escape(' and '.join(what))} have changed since it was written. To make it again, run "
        f"<code>snakemake --cores 2 -- {escape(str(path))}</code> with the options of that run.</p>"
    )


def is_outdated(path: Path) -> bool:
    """Whether a report is marked as older than its results."""
    if not path.is_file():
        return False
    place = _BANNER.search(path.read_text(encoding="utf-8"))
    return place is not None and bool(place[1])
