"""Runs the notebooks of the documentation; ``python -m tests.docs.notebooks`` saves them as run."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "notebooks"
# In the order of the tutorial: the last two find the session of the second finished.
ORDER = ("first_mei", "a_session", "own_model", "recorded_tuning", "trust", "colab")
NOTEBOOKS = [FOLDER / f"{name}.ipynb" for name in ORDER]
_COLOURS = 64  # of the pictures that are kept
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def run(path: Path, folder: Path, *further: str) -> nbformat.NotebookNode:
    """The notebook, run from top to bottom in a folder, with further cells at its end."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in further]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def smaller(png: str) -> str:
    """A picture in base64 with few colours, which is a third of the size."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    kept = io.BytesIO()
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(kept, "png", optimize=True)
    return base64.b64encode(kept.getvalue()).decode()


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs of a cell, with prints that follow each other in one piece."""
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if kept and output.get("name") and output.get("name") == kept[-1].get("name"):
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what differs from run to run or only takes space."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = smaller(data["image/png"])
                output["metadata"] = {}
            for kind in data.keys() & {"text/plain", "text/html"}:
                data[kind] = _ADDRESS.sub("", data[kind])
    return notebook


def main() -> None:
    """Run the named notebooks, or all, and save them with their output."""
    with tempfile.TemporaryDirectory() as folder:
        for path in NOTEBOOKS:
            if path.stem in (sys.argv[1:] or ORDER):
                nbformat.write(tidied(run(path, Path(folder))), path)
                print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
