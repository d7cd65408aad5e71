"""Notebooks as pages, with the output that is saved in them: nothing is run to build the site."""

from __future__ import annotations

import html

import nbformat
from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


class NotebookParser(MystParser):
    """Reads a notebook as the Markdown page that it amounts to."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse the text of a notebook."""
        notebook = nbformat.reads(inputstring, as_version=4)
        parts = [_page_of(cell) for cell in notebook.cells]
        file = document.settings.env.docname.rpartition("/")[2]
        parts.insert(
            1, f"{{download}}`Download this notebook <{file}.ipynb>`, for Jupyter or Colab."
        )
        super().parse("\n\n".join(parts), document)


def _page_of(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type == "markdown":
        return str(cell.source)
    return "\n\n".join([_fenced("python", cell.source), *map(_shown, cell.outputs)])


def _fenced(kind: str, text: str) -> str:
    return f"````{{code-block}} {kind}\n{text.rstrip()}\n````"


def _shown(output: nbformat.NotebookNode) -> str:
    """An output as a picture, a table or text."""
    if output.output_type == "stream":
        return _fenced("text", output.text)
    data = output.data
    text = data.get("text/plain", "")
    if "image/png" in data:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        return _raw(f'<img alt="{html.escape(text)}" src="{source}">')
    return _raw(data["text/html"]) if "text/html" in data else _fenced("text", text)


def _raw(text: str) -> str:
    return f'````{{raw}} html\n<div class="notebook-output">{text}</div>\n````'


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the suffix ``.ipynb``."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
