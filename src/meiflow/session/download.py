"""Download a session and the templates of its images and movies, and keep a verified local copy."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.config.sections import Session
from meiflow.errors import MeiflowError, closest, shorten
from meiflow.io.checksums import sha256_of
from meiflow.io.files import read_csv, write_text
from meiflow.io.writing import atomic
from meiflow.progress import logger, track
from meiflow.session.nwb_checks import UnavailableError, require_self_contained
from meiflow.session.source import stimuli_shown
from meiflow.session.transfer import (
    ConnectionLimits,
    FetchError,
    exclusive,
    fetch,
    is_as_fetched,
    read_record,
    write_record,
)
from meiflow.session.unit_filters import filtered
from meiflow.session.warehouse import Warehouse

SCENES = 118
_CACHE_PATH = "visual-coding-neuropixels/ecephys-cache"
_SESSION_PATH = f"{_CACHE_PATH}/session_{{id}}/session_{{id}}.nwb"
_MOVIE_PATH = f"{_CACHE_PATH}/natural_movie_templates/natural_movie_{{number}}.h5"
# Numbers of the templates; the files are plain .npy arrays in spite of their names.
MOVIES = {
    "natural_movie_one": 1,
    "natural_movie_three": 3,
    "natural_movie_one_more_repeats": 1,
}
# Movies of the sessions without natural scenes, by the type of the session.
_WITHOUT_SCENES = {"functional_connectivity": ("natural_movie_one_more_repeats",)}
_WITH_SCENES = "brain_observatory_1.1"
_SHUFFLED = "natural_movie_one_shuffled"


def check_session_file(path: Path, session_id: int) -> None:
    """Check that a file is the complete session NWB file of a session.

    Raises
    ------
    FetchError
        If it is not HDF5, is truncated, is another session, or lacks units or stimuli.
    UnavailableError
        If it cannot be opened now, although it may be complete.
    """
    import h5py

    try:
        require_self_contained(path)
        with h5py.File(path, "r") as file:
            found = file["identifier"][()]
            found = found.decode() if isinstance(found, bytes) else str(found)
            complete = "units/spike_times" in file and "intervals" in file
    except UnavailableError:
        raise
    except (MeiflowError, OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise FetchError(f"not a complete session NWB file ({reason})") from None
    if found != str(session_id):
        raise FetchError(f"contains session {found} instead of {session_id}")
    if not complete:
        raise FetchError("contains no units or no stimuli")


def _check_at_hand(path: Path, session_id: int) -> None:
    try:
        check_session_file(path, session_id)
    except FetchError as error:
        raise MeiflowError(f"{path}: {error}; provide the complete file or remove it") from None


def _adopt(source: Path, target: Path, session_id: int) -> None:
    """Adopt a file that the user already has, as a hard link if possible, otherwise a copy."""
    if not source.is_file():
        raise MeiflowError(f"session.nwb: {source} is not a file")
    _check_at_hand(source, session_id)
    with atomic(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
    write_record(target, source.resolve().as_uri())
    logger.info(f"session {session_id}: using {source}")


def _fetch_nwb(
    session: Session, warehouse: Warehouse, path: Path, network: ConnectionLimits
) -> None:
    """Download from the public bucket or, if that fails, from the warehouse."""
    session_id = int(session.id)

    def check(part: Path) -> None:
        check_session_file(part, session_id)

    faults = _fetch_from(
        f"session {session_id}",
        lambda: f"{session.bucket}/{_SESSION_PATH.format(id=session_id)}",
        lambda: f"{session.warehouse}/{warehouse.session_route(session_id)}",
        path,
        network,
        check,
    )
    if faults:
        raise MeiflowError(
            f"session {session_id} could not be downloaded: {'; '.join(faults)}. Run the same "
            "command again later (an interrupted transfer is resumed), or download the file by "
            "hand and set session.nwb to its path"
        )


def _fetch_from(
    what: str,
    bucket: Callable[[], str],
    warehouse: Callable[[], str],
    path: Path,
    network: ConnectionLimits,
    check: Callable[[Path], None],
) -> list[str]:
    """Fetch a file from the first address that has it; returns what was wrong if none does."""
    faults = []
    for address in (bucket, warehouse):
        try:
            url = address()
            logger.info(f"{what}: downloading {url}")
            fetch(url, path, network, check)
            return []
        except FetchError as error:
            faults.append(str(error))
            logger.info(f"{what}: {error}")
    return faults


def _check_movie(path: Path) -> None:
    """Check that a file is a whole stack of 8-bit frames."""
    try:
        stack = np.load(path, mmap_mode="r", allow_pickle=False)
        good = stack.ndim == 3 and stack.dtype == np.uint8 and 0 not in stack.shape
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise FetchError(f"not a complete movie template ({reason})") from None
    if not good:
        raise FetchError(f"has shape {stack.shape} and type {stack.dtype}; expected 8-bit frames")


def _check_movie_names(session: Session) -> None:
    for name in session.movies.shown:
        if name == _SHUFFLED:
            raise MeiflowError(
                f"session.movies.shown: {name} cannot be used, because no file of the release "
                "gives the order in which its frames are on the monitor; remove it"
            )
        if name not in MOVIES:
            raise MeiflowError(
                f"session.movies.shown: there is no template of {name!r}{closest(name, MOVIES)}; "
                f"known: {', '.join(MOVIES)}"
            )


def _fetch_movies(
    session: Session,
    names: list[str],
    warehouse: Warehouse,
    folder: Path,
    network: ConnectionLimits,
) -> None:
    """Download the templates of natural movies, unless they exist unchanged."""
    for name in names:
        number, path = MOVIES[name], folder / f"{name}.npy"
        folder.mkdir(parents=True, exist_ok=True)
        if is_as_fetched(path):
            continue
        faults = _fetch_from(
            name,
            lambda number=number: f"{session.bucket}/{_MOVIE_PATH.format(number=number)}",  # type: ignore[misc]
            lambda number=number: f"{session.warehouse}/{warehouse.movie_route(number)}",  # type: ignore[misc]
            path,
            network,
            _check_movie,
        )
        if faults:
            raise MeiflowError(
                f"{name} could not be downloaded: {'; '.join(faults)}. Run the same command again "
                "later, or set session.movies.shown: [] to do without movies"
            )


def download_session(
    session: Session,
    nwb: Path,
    images: Path,
    cache: Path,
    movies: Path,
    network: ConnectionLimits = ConnectionLimits(),
) -> None:
    """Download a session NWB file and the templates of what it shows, unless they exist.

    Parameters
    ----------
    session : Session
        Uses ``id``, ``bucket``, ``warehouse`` and, for an existing file, ``nwb``.
    nwb : path
        Local copy; its size and SHA-256 are recorded next to it and verified each time.
    images : path
        Folder that receives the 118 templates of natural scenes as PNG files.
    cache : path
        Cache folder of AllenSDK for tables and templates.
    movies : path
        Folder that receives the templates of the movies in ``session.movies.shown`` that the
        session shows.
    network : ConnectionLimits

    Raises
    ------
    MeiflowError
        If the session does not exist or cannot be downloaded from any source.
    """
    session_id = int(session.id)
    _check_movie_names(session)
    warehouse = Warehouse(session.warehouse, cache, network)
    if is_as_fetched(nwb):
        logger.info(f"session {session_id}: {nwb} exists and is unchanged")
    elif session.nwb is not None:
        with exclusive(nwb):
            _adopt(Path(session.nwb), nwb, session_id)
    elif nwb.exists() and read_record(nwb) is None:
        # placed there by hand: adopted if it is valid
        with exclusive(nwb):
            _check_at_hand(nwb, session_id)
            write_record(nwb, nwb.resolve().as_uri())
    else:
        known = warehouse.sessions()
        if session_id not in known.index:
            raise MeiflowError(
                f"session.id: the warehouse has no session {session_id}; available ({len(known)}): "
                f"{shorten(known.index, 3)} (see `meiflow sessions`)"
            )
        kind = known.loc[session_id, "session_type"]
        if not _has_images(str(kind), session):
            movies_of_kind = ", ".join(_WITHOUT_SCENES.get(str(kind), ())) or "none"
            raise MeiflowError(
                f"session.id: session {session_id} is of type {kind}, which has no natural scenes; "
                f"name its movies in session.movies.shown ({movies_of_kind}), or choose one of "
                f"type {_WITH_SCENES} (see `meiflow sessions`)"
            )
        _fetch_nwb(session, warehouse, nwb, network)
    if stimuli_shown(nwb, ["natural_scenes"]):
        _fetch_scenes(warehouse, images)
    names = list(stimuli_shown(nwb, session.movies.shown))
    _fetch_movies(session, names, warehouse, movies, network)


def _has_images(kind: str, session: Session) -> bool:
    """Whether a session of this type shows natural scenes, or movies that are used instead."""
    return kind == _WITH_SCENES or bool(
        set(_WITHOUT_SCENES.get(kind, ())) & set(session.movies.shown)
    )


def _fetch_scenes(warehouse: Warehouse, images: Path) -> None:
    from PIL import Image

    images.mkdir(parents=True, exist_ok=True)
    targets = [images / f"{number:03d}.png" for number in range(SCENES)]
    missing = [(n, t) for n, t in enumerate(targets) if not t.exists()]
    for number, target in track(missing, "downloading templates", len(missing)) if missing else ():
        try:
            pixels = warehouse.scene(number)
        except MeiflowError:
            raise
        except Exception as error:  # AllenSDK and SimpleITK raise many types
            reason = " ".join(str(error).split())[:120]
            raise MeiflowError(
                f"natural scene {number} could not be downloaded ({reason}); run again"
            ) from None
        if pixels.dtype.name != "uint8" or pixels.ndim not in (2, 3):
            raise MeiflowError(
                f"natural scene {number} has type {pixels.dtype} and shape {pixels.shape}; "
                "expected 8-bit pixels; delete it from the cache and run again"
            )
        with atomic(target) as temporary:
            Image.fromarray(pixels).save(temporary)
    _check_scenes(images, targets)


def _check_scenes(images: Path, targets: list[Path]) -> None:
    """Record the hashes of all templates once complete; verify them at every later use."""
    record = images / "templates.json"
    now = {target.name: sha256_of(target) for target in targets}
    if not record.exists():
        write_text(json.dumps(now, indent=1) + "\n", record)
        return
    try:
        was = dict(json.loads(record.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise MeiflowError(f"{record}: damaged; delete it and run again") from None
    changed = sorted(name for name in now if now[name] != was.get(name))
    if changed:
        raise MeiflowError(
            f"{images}: {shorten(changed)} changed since the download; delete the wrong files and "
            f"{record.name}, and run again"
        )


def choose_sessions(
    session: Session, data: Path, network: ConnectionLimits = ConnectionLimits()
) -> pd.DataFrame:
    """Choose the sessions with natural scenes or movies, and units in the requested areas.

    Parameters
    ----------
    session : Session
        Uses ``warehouse``, ``area``, ``quality`` and ``movies.shown``.
    data : path
        Folder of downloads.

    Returns
    -------
    DataFrame
        session_id, session_type, units (in the areas, passing the quality filters), chosen,
        reason; sorted by id.

    Raises
    ------
    MeiflowError
        If no session is chosen.
    """
    warehouse = Warehouse(session.warehouse, data / "cache", network)
    table = warehouse.sessions().sort_index()
    units = warehouse.units()
    passes = pd.Series(units.index.isin(filtered(units, session.quality)[0].index), units.index)
    if session.areas is not None:
        passes &= units["ecephys_structure_acronym"].isin(session.areas)
    counts = units[passes].groupby("ecephys_session_id").size().reindex(table.index, fill_value=0)
    shown = table["session_type"].map(lambda kind: _has_images(str(kind), session))
    reason = np.select(
        [~shown, counts == 0],
        [
            "showed neither natural scenes nor a movie of session.movies.shown",
            "no unit in the areas passes the quality filters",
        ],
        "",
    )
    chosen = reason == ""
    if not chosen.any():
        raise MeiflowError(
            f"session.area: none of the {len(table)} sessions in the warehouse has natural "
            f"scenes or movies, and units in {session.area}; available areas: "
            f"{shorten(sorted(_areas(units)), 30)}"
        )
    return pd.DataFrame(
        {
            "session_id": table.index,
            "session_type": table["session_type"].to_numpy(),
            "units": counts.to_numpy(),
            "chosen": chosen,
            "reason": reason,
        }
    )


def _areas(units: pd.DataFrame) -> set[str]:
    return {str(a) for a in units["ecephys_structure_acronym"] if isinstance(a, str)}


def chosen_sessions(path: str | Path) -> list[str]:
    """Ids of the chosen sessions, from the table of `choose_sessions`."""
    table = read_csv(path, ("session_id", "chosen"))
    return [str(i) for i in table.loc[table["chosen"], "session_id"]]


def list_sessions(
    session: Session, data: Path, network: ConnectionLimits = ConnectionLimits()
) -> pd.DataFrame:
    """The available sessions, one row each.

    Returns
    -------
    DataFrame
        session_id, session_type, units, areas, cached (whether there is a local copy).
    """
    table = Warehouse(session.warehouse, data / "cache", network).sessions()
    areas = [
        " ".join(sorted({str(a) for a in names if isinstance(a, str)}))
        for names in table["ecephys_structure_acronyms"]
    ]
    return pd.DataFrame(
        {
            "session_id": table.index,
            "session_type": table["session_type"].to_numpy(),
            "units": table["unit_count"].to_numpy(),
            "areas": areas,
            "cached": [(data / f"session_{i}" / f"session_{i}.nwb").exists() for i in table.index],
        }
    )
