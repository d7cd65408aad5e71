"""The page of all result files and stages, written from the layout and the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from meiflow.config.names import PROCEDURES
from meiflow.config.sections import Config
from meiflow.results.layout import CombinedLayout, Folder, Layout, ResultFile
from meiflow.stages.inputs import input_paths
from meiflow.stages.registry import STAGES, Stage

_PAGE = """# Files and stages

Which files a run writes, and what each stage reads, writes and needs. The columns of the tables are
explained in [result files, column by column](results.md).

This page is written by `meiflow reference files`; do not edit it by hand.

## Files of a session

In `results/{{id}}/`, in the order in which the stages write them. The last column says on what a
file depends; where it is empty, the file is always made.

{files}

`logs/` holds the messages of every job, `benchmarks/` its time and memory, and `SHA256SUMS` in each
folder the checksums of its tables, arrays and models, which `sha256sum --check`
reads ([why](faults.md#damaged-files)).

## Files of all sessions

In `results/combined/`, with the key `sessions` ([many sessions](many_sessions.md)).

{combined}

## Stages

Each stage is a rule of the workflow and a command; `meiflow COMMAND --help` lists its options.
Memory and time are what a job asks a cluster for at first ([on a cluster](cluster.md)).

{needs}

## What stages read and write

A stage runs again when a key or a file that it reads has changed. Files that a session does not
have are not read.

{reads}
"""


@dataclass(frozen=True)
class Row:
    """Files that belong together: their paths, and what they are."""

    paths: tuple[str, ...]
    file: ResultFile


def session_files() -> list[Row]:
    """Every result of a session, in the order of the stages.

    Examples
    --------
    >>> [row.paths for row in session_files() if row.file.stage == "extract_neuron"]
    [('neurons/{neuron}/model.pt',), ('neurons/{neuron}/fold_models.pt',)]
    """
    session = Layout(".")
    rows = _single(session) + _single(session.neuron("{neuron}"))
    for figures, paths in (
        (Layout.figures_of_selection, session.selection_figures),
        (Layout.figures_of_experiments, session.experiment_figures),
        (Layout.overview_figures, session.figures),
    ):
        rows += [_row(paths(name), file) for name, file in figures.items()]
    rows += [_row(session.procedure(file.path), file) for file in _stimuli()]
    places = {stage: place for place, stage in enumerate(STAGES)}
    return sorted(rows, key=lambda row: places[row.file.stage])


def combined_files() -> list[Row]:
    """Every result of all sessions together, likewise."""
    combined = CombinedLayout(".")
    figures = combined.overview_figures.items()
    return _single(combined) + [_row(combined.figures(name), file) for name, file in figures]


def _single(folder: Folder) -> list[Row]:
    """The files of one name each; a picture of an array goes with it."""
    rows: list[Row] = []
    for file in folder.files().values():
        row = _row([folder.root / file.path], file)
        if file.about.startswith("the same as "):
            row = Row(rows[-1].paths + row.paths, rows.pop().file)
        rows.append(row)
    return rows


def _row(paths: Iterable[Path], file: ResultFile) -> Row:
    return Row(tuple(path.as_posix() for path in paths), file)


def _stimuli() -> Iterator[ResultFile]:
    """Stimuli of all neurons, by the name of the procedure."""
    yield ResultFile("best_gabors", "gabor_search", "best Gabor in silico of every fitted neuron")
    for procedure in PROCEDURES.values():
        about = procedure.about.rstrip(".")
        about = about[0].lower() + about[1:] if about[1].islower() else about
        yield ResultFile(procedure.name, procedure.name, about, "`stimuli.make`")
    yield ResultFile("movies", "movie", "optimal movies", "`movie.model`")


def files_reference() -> str:
    """The page, in Markdown."""
    files, combined = session_files(), combined_files()
    written: dict[str, list[str]] = {}
    for row in [*files, *(replace(row, paths=_beside(row.paths)) for row in combined)]:
        written.setdefault(row.file.stage, []).extend(row.paths)
    stages = STAGES.values()
    return _PAGE.format(
        files=_table("file | stage | content | depends on", map(_cells, files)),
        combined=_table("file | stage | content | depends on", map(_cells, combined)),
        needs=_table(
            "stage | command | what it does | memory (MB) | minutes | threads",
            ((f"`{s.name}`", f"`{s.command}`", s.about, *_needs(s)) for s in stages),
        ),
        reads=_table(
            "stage | configuration | reads | writes",
            ((f"`{s.name}`", _keys(s), _read(s), _listed(written[s.name])) for s in stages),
        ),
    )


def _read(stage: Stage) -> str:
    every = "of every session: " if stage.name == "combine" else ""
    paths = input_paths(stage, Layout("."), ["{neuron}"])
    return every + _listed(path.as_posix() for path in paths)


def _beside(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"../combined/{path}" for path in paths)


def _needs(stage: Stage) -> tuple[str, ...]:
    return (str(stage.memory_mb), str(stage.minutes), str(stage.threads))


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    rule = "|" + "---|" * len(head.split("|"))
    return "\n".join([f"| {head} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])


def _cells(row: Row) -> tuple[str, ...]:
    first, *others = row.paths
    shown = [first, *(Path(path).suffix for path in others)]
    file = row.file
    return ", ".join(f"`{path}`" for path in shown), f"`{file.stage}`", file.about, file.when


def _listed(paths: Iterable[str]) -> str:
    """Files by folder; of files with the same stem, the further suffixes."""
    folders: dict[Path, dict[str, list[str]]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent, {}).setdefault(path.stem, []).append(path.suffix)
    parts = []
    for folder, stems in folders.items():
        names = [
            f"`{name}`"
            for stem, (suffix, *others) in stems.items()
            for name in (stem + suffix, *others)
        ]
        parts.append(("" if folder == Path() else f"`{folder}/`: ") + ", ".join(names))
    return "; ".join(parts)


def _keys(stage: Stage) -> str:
    """The configuration that a stage reads, by section."""
    sections: dict[str, list[str]] = {}
    for key in stage.keys:
        section, _, own = key.partition(".")
        sections.setdefault(section, []).append(own)
    return ", ".join(_section(name, own) for name, own in sections.items())


def _section(name: str, keys: list[str]) -> str:
    """A whole section by its name, most of one with what is left out, else the single keys."""
    section = Config.model_fields[name].annotation
    if keys == [""] or not (isinstance(section, type) and issubclass(section, BaseModel)):
        return f"`{name}`"
    left_out = [f"`{key}`" for key in section.model_fields if key not in keys]
    if len(left_out) < len(keys):
        return f"`{name}`" + (f" (without {', '.join(left_out)})" if left_out else "")
    return ", ".join(f"`{name}.{key}`" for key in keys)
