"""Input files of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meiflow.config.sections import Config, Session

# Paths within the results folder of a session.
SESSION_FILE = "session/session.nwb"
SCENES = "session/natural_scenes"
MOVIES = "session/natural_movies"
TRUTH = "session/truth.csv"
DOWNLOAD_RECORD = "session/download.json"


@dataclass(frozen=True)
class SessionFiles:
    """Paths of the inputs of a session.

    ``nwb`` is None for source tables, and ``truth`` unless the session is simulated; ``gabors``
    and ``gratings`` indicate whether these were shown; ``images`` is None if no natural scenes were
    shown; ``movies`` is the folder with the frames of the natural movies, None if they are not
    used. ``download`` is the record of a download,
    which represents it in the workflow: Snakemake deletes the outputs of failed or forced jobs,
    which must not include gigabytes of downloads.
    """

    nwb: Path | None
    images: Path | None
    truth: Path | None
    gabors: bool
    gratings: bool
    movies: Path | None = None
    download: Path | None = None


def shows(path: Path, *names: str) -> list[bool]:
    """Whether a session file contains presentations of each stimulus."""
    import h5py

    from meiflow.session.nwb_checks import require_self_contained

    require_self_contained(path)
    with h5py.File(path, "r") as file:
        return [f"intervals/{name}_presentations" in file for name in names]


def shown_movies(session: Session) -> list[str]:
    """Natural movies of a simulated or downloaded session that are used."""
    movies = session.movies.shown
    if session.source == "simulated":
        return [name for name in movies if name in session.simulation.movie_repeats]
    return movies


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
    stacks = session.movies.stacks
    own_movies = Path(stacks) if stacks is not None and session.movies.shown else None
    images = None if session.images is None else Path(session.images)
    match session.source:
        case "simulated":
            shown = (session.simulation.gabor_repeats > 0, session.simulation.grating_repeats > 0)
            movies = results / MOVIES if shown_movies(session) else None
            scenes = results / SCENES if session.simulation.repeats else None
            paths = (results / SESSION_FILE, scenes, results / TRUTH)
            return SessionFiles(*paths, *shown, movies)
        case "allen":
            home = data / "allen"
            nwb = home / f"session_{session.id}" / f"session_{session.id}.nwb"
            record = results / DOWNLOAD_RECORD
            movies = home / "natural_movies" if shown_movies(session) else None
            return SessionFiles(nwb, home / "natural_scenes", None, True, True, movies, record)
        case "nwb":
            nwb = Path(str(session.nwb))
            gabors, gratings, *further = shows(
                nwb, "gabors", "static_gratings", *session.movies.shown
            )
            folder = own_movies if any(further) else None
            return SessionFiles(nwb, images, None, gabors, gratings, folder)
        case _:
            shown = (session.gabors is not None, session.static_gratings is not None)
            folder = own_movies if session.movies.counts is not None else None
            return SessionFiles(None, images, None, *shown, folder)
