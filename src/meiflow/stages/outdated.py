"""Pages that say when they are older than their results.

A page lists short hashes of the results that it was made of. After every stage, the results that
this stage has made are compared with the page: of a neuron, only those of this neuron. Where they
differ, a banner is written into the page, once; where nothing differs any more, it is removed. What
this costs does not depend on the number of neurons, and the page itself is read and written only
when its banner changes. The page keeps its date, by which Snakemake knows that it has to be made
again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path

from meiflow.errors import MeiflowError
from meiflow.io.checksums import read_checksums
from meiflow.io.writing import atomic
from meiflow.progress import logger
from meiflow.results.layout import CombinedLayout, Layout, NeuronLayout
from meiflow.session.dataset import COMBINED
from meiflow.stages.registry import STAGES

PLACE = "<!-- state of this page -->"  # in the templates, where the banner is to be
_BANNER = re.compile(
    re.escape(PLACE)
    + r'(?P<banner><p class="banner outdated" data-result="(?P<name>.*?)">.*?</p>)?'
)
_LISTED = re.compile(r'<meta name="meiflow-results" content="([^"]*)">')
# Stages that do not change what the pages show.
_ASIDE = ("provisional", "report", "cluster", "combine")


def results_read() -> list[str]:
    """Names of all results that a report shows, as in the registry."""
    return list(dict.fromkeys([*STAGES["summary"].inputs, *STAGES["report"].inputs]))


def _of_neurons(names: Iterable[str]) -> list[str]:
    return [name.partition(".")[2] for name in names if name.startswith("neuron.")]


def _shared(results: Layout) -> dict[str, tuple[str, list[Path]]]:
    """Stage and files of each result in the report that all neurons share, by name there."""
    found: dict[str, tuple[str, list[Path]]] = {}
    for name in results_read():
        kind, _, of = name.partition(".")
        if kind == "procedure":
            made = results.procedure(of)
            stage = {"best_gabors": "gabor_search", "movies": "movie"}.get(of, of)
            found[f":{of}"] = stage, [made.images, made.table]
        elif not of:
            found[f":{name}"] = Layout.files()[name].stage, [getattr(results, name)]
    return found


def made_of(results: Layout, neurons: Iterable[str]) -> dict[str, str]:
    """Short hash of the results of each neuron, and, after a colon, of each that all share.

    Examples
    --------
    >>> made_of(Layout(Path("nowhere")), ["7"])
    {'7': 'e3b0c44298fc'}
    """
    known: dict[Path, dict[str, str]] = {}
    shared = {  # others are not on the page
        name: _hash(paths, known)
        for name, (_, paths) in _shared(results).items()
        if any(path.exists() for path in paths)
    }
    return shared | {neuron: _state(results, neuron) for neuron in neurons}


def made_of_sessions(results: Path, shown: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Short hash of the tables of each session, and of each MEI on the combined page.

    Parameters
    ----------
    results : path
        Folder that contains the results folders of the sessions.
    shown : mapping of str to iterable of str
        By session, the neurons whose MEIs the page shows.

    Examples
    --------
    >>> made_of_sessions(Path("nowhere"), {"mouse1": ["7"]})
    {'mouse1/': 'e3b0c44298fc', 'mouse1/7': 'e3b0c44298fc'}
    """
    names = [f"{session}/{n}" for session, neurons in shown.items() for n in ("", *neurons)]
    return {name: _state_of_session(results, name) for name in names}


def _state(results: Layout, name: str) -> str:
    """Hash of what is listed under this name in a report, now."""
    if name.startswith(":"):
        return _hash(_shared(results).get(name, ("", []))[1], {})
    return _hash(results.neuron(name).named(*_of_neurons(results_read())), {})


def _state_of_session(results: Path, name: str) -> str:
    """The same of the combined page."""
    session, _, neuron = name.partition("/")
    layout, read = Layout(results / session), STAGES["combine"].inputs
    if neuron:
        return _hash(layout.neuron(neuron).named(*_of_neurons(read)), {})
    return _hash(layout.named(*(n for n in read if not n.startswith("neuron."))), {})


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


def mark_report(results: Layout, stage: str, neuron: str | None = None) -> None:
    """After a stage: write into the pages that they are outdated, or remove this, as is true.

    A page that cannot be changed is logged; it does not make the stage fail.

    Parameters
    ----------
    results : Layout
    stage : str
    neuron : str, optional
        The neuron that the stage was for.
    """
    if stage in _ASIDE:
        return
    mine = [name for name, (by, _) in _shared(results).items() if by == stage]
    mine += _made_for(neuron, stage, results_read())
    _update(results.report, mine, lambda name: _state(results, name))
    root = results.root.absolute()
    read = STAGES["combine"].inputs
    files = Layout.files()
    mine = [""] if any(n in files and files[n].stage == stage for n in read) else []
    mine = [f"{root.name}/{n}" for n in [*mine, *_made_for(neuron, stage, read)]]
    page = CombinedLayout(root.parent / COMBINED).report
    _update(page, mine, lambda name: _state_of_session(root.parent, name))


def _made_for(neuron: str | None, stage: str, read: Iterable[str]) -> list[str]:
    """The neuron, if the stage makes one of these results of it."""
    files = NeuronLayout.files()
    made = any(files[name].stage == stage for name in _of_neurons(read))
    return [neuron] if neuron and made else []


def _update(page: Path, mine: list[str], state: Callable[[str], str]) -> None:
    if not mine or not page.is_file():
        return
    try:
        _mark(page, mine, state)
    except (OSError, ValueError, MeiflowError) as error:
        logger.warning(f"{page}: may be outdated, and could not be marked ({error})")


def _mark(path: Path, mine: list[str], state: Callable[[str], str]) -> None:
    before, head = path.stat(), _head(path)
    listed, place = _LISTED.search(head), _BANNER.search(head)
    if listed is None or place is None:  # of another version
        return
    shown = _shown(listed)
    changed = next((n for n in mine if n in shown and state(n) != shown[n]), None)
    if place["banner"]:
        known = place["name"]
        if changed is not None or (known in shown and state(known) != shown[known]):
            return
        changed = next((name for name in shown if state(name) != shown[name]), None)
    elif changed is None:
        return
    banner = "" if changed is None else _banner(changed, path)
    new = head[: place.start()] + PLACE + banner + head[place.end() :]
    page, old = path.read_bytes(), head.encode()
    if not page.startswith(old):  # just written anew
        return
    with atomic(path) as temporary:
        temporary.write_bytes(new.encode() + page[len(old) :])
        os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
    if changed is not None:
        logger.warning(f"{path} is older than these results; make it again")


def _shown(listed: re.Match[str]) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in listed[1].split(" "))


def _head(path: Path) -> str:
    """A page up to the line of its banner."""
    lines = []
    with open(path, encoding="utf-8", newline="") as file:
        for line in file:
            lines.append(line)
            if PLACE in line or "<main" in line:
                break
    return "".join(lines)


def _banner(changed: str, path: Path) -> str:
    session, among, neuron = changed.rpartition("/")
    what = f"neuron {neuron}" if neuron else f"session {session}"
    what += f" of session {session}" if among and neuron else ""
    what = "all neurons together" if changed.startswith(":") else what
    return (
        f'<p class="banner outdated" data-result="{escape(changed)}"><strong>This page is outdated.'
        f"</strong> Results have changed since it was written, among them those of {escape(what)}. "
        f"To make it again, run <code>snakemake --cores 2 -- {escape(str(path))}</code> with the "
        "options of that run.</p>"
    )


def is_outdated(path: Path) -> bool:
    """Whether a page is marked as older than its results."""
    if not path.is_file():
        return False
    place = _BANNER.search(_head(path))
    return place is not None and bool(place["banner"])


def still_shows(path: Path, results: Layout, neurons: Iterable[str]) -> bool:
    """Whether a report shows some of the neurons, and of none of them other results than today's.

    Even if it is outdated, such as after a neuron was added.
    """
    listed = _LISTED.search(_head(path))
    shown = _shown(listed) if listed else {}
    known = [neuron for neuron in neurons if neuron in shown]
    return bool(known) and all(shown[neuron] == _state(results, neuron) for neuron in known)
