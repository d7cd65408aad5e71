"""Input files of a session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meiflow.config.columns import Columns
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config, Session

# Paths within the results folder of a session.
SESSION_FILE = "session/session.nwb"
SCENES = "session/natural_scenes"
MOVIES = "session/natural_movies"
TRUTH = "session/truth.csv"
DOWNLOAD_RECORD = "session/download.json"
# Parts of a folder in the layout of Sensorium 2022 that are read.
SENSORIUM_PARTS = ("data/images", "data/responses", "meta/trials", "meta/neurons")


@dataclass(frozen=True)
class SessionFiles:
    """Paths of the inputs of a session.

    ``nwb`` is None for source tables, and ``truth`` unless the session is simulated; ``shown``
    lists the stimuli of `PARAMETRIC` that were shown; ``images`` is None if no natural scenes were
    shown; ``movies`` is the folder with the frames of the natural movies, None if they are not
    used. ``download`` is the record of a download,
    which represents it in the workflow: Snakemake deletes the outputs of failed or forced jobs,
    which must not include gigabytes of downloads.
    """

    nwb: Path | None
    images: Path | None
    truth: Path | None
    shown: tuple[str, ...]
    movies: Path | None = None
    download: Path | None = None


def stimuli_shown(
    path: Path,
    names: Iterable[str],
    columns: Columns = Columns(),  # noqa: B008
) -> tuple[str, ...]:
    """Those of the stimuli of which a session file contains presentations."""
    from meiflow.session.nwb_checks import explained
    from meiflow.session.stimulus_names import names_shown
    from meiflow.session.store import open_store

    with explained(path), open_store(path) as root:
        found = names_shown(root, columns)
    return tuple(name for name in names if name in found)


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
    match session.source:
        case "simulated":
            sizes = session.simulation
            repeats = {
                "gabors": sizes.gabor_repeats,
                "static_gratings": sizes.grating_repeats,
                "drifting_gratings": sizes.drifting_repeats,
                "flashes": sizes.flash_repeats,
            }
            shown = tuple(name for name, n in repeats.items() if n > 0)
            movies = results / MOVIES if shown_movies(session) else None
            scenes = results / SCENES if sizes.repeats else None
            paths = (results / SESSION_FILE, scenes, results / TRUTH)
            return SessionFiles(*paths, shown, movies)
        case "allen" | "dandi":
            home = data / "allen"
            nwb = home / f"session_{session.id}" / f"session_{session.id}.nwb"
            if session.source == "dandi":
                nwb = data / "dandi" / session.dandi.name
            if session.stream:
                nwb = nwb.with_name(f"{nwb.name}.parts")
            record = results / DOWNLOAD_RECORD
            movies = (
                _own_movies(session) or home / "natural_movies" if shown_movies(session) else None
            )
            shown = tuple(PARAMETRIC)  # in all sessions of the Observatory with natural scenes
            scenes = _own_images(session) or home / "natural_scenes"
            return SessionFiles(nwb, scenes, None, shown, movies, record)
        case "nwb":
            nwb = Path(str(session.nwb))
            shown = stimuli_shown(nwb, PARAMETRIC, session.columns)
            seen = stimuli_shown(nwb, session.movies.shown, session.columns)
            folder = _own_movies(session) if seen else None
            return SessionFiles(nwb, _own_images(session), None, shown, folder)
        case "sensorium":
            return SessionFiles(None, None, None, ())
        case _:
            shown = tuple(n for n in PARAMETRIC if getattr(session, n) is not None)
            folder = _own_movies(session) if session.movies.counts is not None else None
            return SessionFiles(None, _own_images(session), None, shown, folder)


def _own_movies(session: Session) -> Path | None:
    stacks = session.movies.stacks
    return Path(stacks) if stacks is not None and session.movies.shown else None


def _own_images(session: Session) -> Path | None:
    return None if session.images is None else Path(session.images)
