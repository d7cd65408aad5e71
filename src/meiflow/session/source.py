"""Which files a session is read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meiflow.config.sections import Config

# Within the results folder of a session.
SESSION_FILE = "session/session.nwb"
SCENES = "session/natural_scenes"
TRUTH = "session/truth.csv"
DOWNLOAD_RECORD = "session/download.json"


@dataclass(frozen=True)
class SessionFiles:
    """Paths of the inputs.

    ``nwb`` is None for source tables, ``truth`` unless simulated; ``gabors`` and
    ``gratings`` tell whether the session showed any. ``download`` is the record of a
    download, the file that stands for it in the workflow: Snakemake deletes the outputs of a
    failed or forced job, and gigabytes that took hours to fetch must not be among them.
    """

    nwb: Path | None
    images: Path
    truth: Path | None
    gabors: bool
    gratings: bool
    download: Path | None = None


def _shows(path: Path) -> tuple[bool, bool]:
    """Whether a session file holds Gabors, and static gratings."""
    import h5py

    from meiflow.session.nwb_checks import require_self_contained

    require_self_contained(path)
    with h5py.File(path, "r") as file:
        names = ("gabors", "static_gratings")
        gabors, gratings = (f"intervals/{n}_presentations" in file for n in names)
        return gabors, gratings


def session_files(config: Config, results: Path, data: Path = Path("data")) -> SessionFiles:
    """Where the session's inputs are, or will be once they are made or downloaded.

    Parameters
    ----------
    results : path
        Results folder of this session; a simulated session lives in it.
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
