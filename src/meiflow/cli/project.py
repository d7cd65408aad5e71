"""Lay out a project folder that runs the installed workflow."""

from __future__ import annotations

from pathlib import Path

from meiflow import __file__ as PACKAGE
from meiflow.io.files import write_text
from meiflow.io.paths import require_new

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


_DEFAULTS = _PROJECT / "config" / "config.yaml"
# Sections session and image of a recording; the other sections are those of the default file.
_SESSIONS = {
    "tables": """\
session:
  source: tables
  id: my_recording       # name of the results folder
  trials: trials.csv     # columns trial_id, neuron_id, spike_count, image_id (-1: grey blank)
  images: images.npy     # stack (images, height, width), or a folder of pictures
  window_s: [0.0, 0.25]  # your counting window after stimulus onset (seconds)
  # gabors: gabors.csv   # optional tables of other stimuli: docs/own_data.md
  # response: real       # instead of spike counts: dF/F, events, z scores in a column `response`

image:                   # of the models: size in pixels, and the visual angle that YOUR images span
  height: 60
  width: 96
  width_deg: 121.24
  height_deg: 94.80
""",
    "allen": """\
session:
  source: allen          # the Allen Brain Observatory; about two gigabytes are downloaded once
  id: 798911424          # meiflow sessions lists all sessions
  area: VISp             # structure acronym, list of acronyms, or all
  window_s: [0.0, 0.25]  # counting window after stimulus onset (seconds)

image:                   # input of the models: size in pixels and the visual angle it spans
  height: 60
  width: 96
  width_deg: 121.24
  height_deg: 94.80
""",
    "nwb": """\
session:
  source: nwb
  id: my_session         # name of the results folder
  nwb: session.nwb       # meiflow session info session.nwb lists what can be run on it
  images: images         # folder of pictures that end in the image number, or one .npy stack
  area: VISp             # structure acronym, list of acronyms, or all
  window_s: [0.0, 0.25]  # counting window after stimulus onset (seconds)

image:                   # input of the models: size in pixels and the visual angle it spans
  height: 60
  width: 96
  width_deg: 121.24
  height_deg: 94.80
""",
}


def template(source: str) -> str:
    """A commented configuration for a source of recordings: tables, allen or nwb.

    Examples
    --------
    >>> print(template("allen").partition("id:")[0])
    # docs/configuration.md lists every key with its range and default.
    # An unknown or invalid key stops the workflow before any work is done, and the error names it.
    <BLANKLINE>
    session:
      source: allen          # the Allen Brain Observatory; about two gigabytes are downloaded once
    <BLANKLINE>
    """
    defaults = _DEFAULTS.read_text("utf-8")
    head = defaults.partition("session:")[0].replace("The only file you need to edit. ", "")
    rest = defaults[defaults.index("\nselection:") :]
    return f"{head}{_SESSIONS[source]}{rest}"


def write_template(source: str, file: Path) -> None:
    """Write the template of a source; parameters and errors as for `template` and `lay_out`."""
    require_new(file)
    write_text(template(source), file)


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
    sources = {"config.yaml": _DEFAULTS}
    for pattern in _SETTINGS:
        sources |= {str(p.relative_to(_PROJECT)): p for p in sorted(_PROJECT.glob(pattern))}
    texts = {folder / "Snakefile": _INCLUDING}
    texts |= {folder / name: path.read_text("utf-8") for name, path in sources.items()}
    require_new(*texts)
    for path, text in texts.items():
        write_text(text, path)
    return list(texts)
