"""The provenance stage: hashes of all inputs of the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from meiflow.io.files import write_text
from meiflow.report.provenance import hash_of
from meiflow.results.layout import Layout


def write_provenance(results: Layout, inputs: Sequence[Path]) -> None:
    """Write the SHA-256 of every input as JSON.

    Parameters
    ----------
    results : Layout
    inputs : sequence of path
        Files, or folders of files.
    """
    document = {"inputs": [hash_of(path) for path in inputs]}
    write_text(json.dumps(document, indent=1) + "\n", results.provenance)
