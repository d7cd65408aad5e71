"""Lay out a project folder that runs the installed workflow."""

from __future__ import annotations

from pathlib import Path

from meiflow import __file__ as PACKAGE
from meiflow.io.paths import require_new
from meiflow.io.writing import atomic

_FOLDER = Path(PACKAGE).parent
# Part of the package when it is installed, and the clone when it is installed from there.
_PROJECT = _FOLDER / "project" if (_FOLDER / "project").is_dir() else _FOLDER.parents[1]
SNAKEFILE = str(_PROJECT / "workflow" / "Snakefile")
_SETTINGS = ("profiles/*/config.yaml", "workflow/presets/*.yaml", "workflow/profiles/*/config.yaml")
_INCLUDING = """\
# The rules of the installed meiflow; your settings are in config.yaml.
from meiflow.cli.project import SNAKEFILE


include: SNAKEFILE


workflow.default_target = "all"  # Snakemake does not take it over from an included file
"""


def lay_out(folder: Path) -> list[Path]:
    """Write a Snakefile that includes the installed workflow, and all settings with their defaults.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    MeiflowError
        If one of the files exists; then nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = lay_out(Path(folder))
    ...     [path.name for path in written][:2]
    ['Snakefile', 'config.yaml']
    """
    sources = {"config.yaml": _PROJECT / "config" / "config.yaml"}
    for pattern in _SETTINGS:
        sources |= {str(p.relative_to(_PROJECT)): p for p in sorted(_PROJECT.glob(pattern))}
    texts = {folder / "Snakefile": _INCLUDING}
    texts |= {folder / name: path.read_text("utf-8") for name, path in sources.items()}
    require_new(*texts)
    for path, text in texts.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(texts)
