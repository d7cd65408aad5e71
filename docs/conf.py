"""Sphinx: the pages of this folder and the docstrings, as a site that opens from disk."""

from __future__ import annotations

import sys
from pathlib import Path

from meiflow import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "meiflow"
author = "The meiflow developers"
copyright = f"2025, {author}"
version = release = __version__

extensions = [
    *("myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"),
    *("mathml", "notebooks"),
]
exclude_patterns = ["_build", "**/results"]
nitpicky = True

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []

# Types stand in the docstrings, in the words of numpydoc; nothing is looked up on other sites.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = "meiflow"
html_static_path = ["_static"]
html_css_files = ["meiflow.css"]
html_math_renderer = "mathml"
html_copy_source = False
# The report of the demo is part of the site if it was made before (make run).
EXAMPLE = Path(__file__).parents[1] / "results" / "demo" / "report.html"
if EXAMPLE.is_file():
    tags.add("example")  # type: ignore[name-defined]  # noqa: F821
    html_extra_path = [str(EXAMPLE)]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
