"""Input files of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meiflow.config.sections import Config

# Paths within the results folder of a session.
SESSION_FILE = "session/session.nwb"
SCENES = "session/natural_scenes"
TRUTH = "session/truth.csv"
DOWNLOAD_RECORD = "session/download.json"


@dataclass(frozen=True)
class SessionFiles:
    """Paths of the inputs of a session.

    ``nwb`` is None for source tables, and ``truth`` unless the session is simulated; ``gabors``
    and ``gratings`` indicate whether these were shown. ``download`` is the record of a download,
    which represents it in the workflow: Snakemake deletes the outputs of failed or forced jobs,
    which must not include gigabytes of downloads.
    """

    nwb: Path | None
    images: Path
    truth: Path | None
    gabors: bool
    gratings: bool
    download: Path | None = None


def _shows(path: Path) -> tuple[bool, bool]:
    """Whether a session file contains Gabors and static gratings."""
    import h5py

    from meiflow.session.nwb_checks import require_self_contained

    require_self_contained(path)
    with h5py.File(path, "r") as file:
        names = ("gabors", "static_gratings")
        gabors, gratings = (f"intervals/{n}_presentations" in file for n in names)
        return gabors, gratings


def session_files(config: Config, results: Path, data: Path = Path("data")) -> SessionFiles:
    """Paths of the session's inputs, whether or not they exist yet.

    Parameters
    ----------
    results : path
        Results folder of this session, which also contains a simulated session.
    data : path
        Folder of downloads.

    Raises
    ------
    MeiflowError
        If the NWB file of source nwb cannot be opened.
    """
    session = config.session
    match session.source:
        case "simulated":
            shown = (session.simulation.gabor_repeats > 0, session.simulation.grating_repeats > 0)
            return SessionFiles(results / SESSION_FILE, results / SCENES, results / TRUTH, *shown)
        case "allen":
            home = data / "allen"
            nwb = home / f"session_{session.id}" / f"session_{session.id}.nwb"
            record = results / DOWNLOAD_RECORD
            return SessionFiles(nwb, home / "natural_scenes", None, True, True, record)
        case "nwb":
            nwb = Path(str(session.nwb))
            return SessionFiles(nwb, Path(str(session.images)), None, *_shows(nwb))
        case _:
            shown = (session.gabors is not None, session.static_gratings is not None)
            return SessionFiles(None, Path(str(session.images)), None, *shown)
