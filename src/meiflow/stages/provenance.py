"""The provenance stage: hashes of all inputs of the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from meiflow.io.files import write_text
from meiflow.report.provenance import hash_of
from meiflow.results.layout import Layout
from meiflow.results.tables import read_stack_info
from meiflow.session.source import MOVIES, SCENES


def write_provenance(results: Layout, inputs: Sequence[Path]) -> None:
    """Write the SHA-256 of every input as JSON.

    Parameters
    ----------
    results : Layout
    inputs : sequence of path
        Files, or folders of files.
    """
    document = {"inputs": [hash_of(path) for one in inputs for path in _shown(one, results)]}
    write_text(json.dumps(document, indent=1) + "\n", results.provenance)


def _shown(path: Path, results: Layout) -> list[Path]:
    """The input; of a downloaded session without natural scenes, the movies in place of these.

    Which of them a session shows is only known after the download.
    """
    if path.name != Path(SCENES).name or not results.download_record.exists():
        return [path]
    movies = read_stack_info(results).movies
    folder = path.parent / Path(MOVIES).name
    return [folder / f"{movie.name}.npy" for movie in movies] or [path]
