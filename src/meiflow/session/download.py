"""Download a session and the templates of its images and movies, and keep a verified local copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.config.sections import Session
from meiflow.errors import MeiflowError, shorten
from meiflow.io.checksums import sha256_of
from meiflow.io.files import read_csv
from meiflow.io.writing import atomic
from meiflow.progress import logger, note
from meiflow.session.catalogue import HOME, Catalogue
from meiflow.session.dandi import find_asset
from meiflow.session.nwb_checks import UnavailableError, explained, require_self_contained
from meiflow.session.ranges import connect
from meiflow.session.reader import open_reader
from meiflow.session.source import stimuli_shown
from meiflow.session.templates import (
    check_movie_names,
    fetch_from,
    fetch_movies,
    fetch_scenes,
)
from meiflow.session.transfer import (
    ConnectionLimits,
    FetchError,
    adopt,
    exclusive,
    fetch,
    is_as_fetched,
    read_record,
    write_record,
)
from meiflow.session.unit_filters import filtered

_SESSION_PATH = f"{HOME}/session_{{id}}/session_{{id}}.nwb"
# Movies of the sessions without natural scenes, by the type of the session.
_WITHOUT_SCENES = {"functional_connectivity": ("natural_movie_one_more_repeats",)}
_WITH_SCENES = "brain_observatory_1.1"


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


def _take_copy(source: Path, target: Path, session_id: int) -> None:
    """Take a file that the user already has, as a hard link if possible, otherwise a copy."""
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
    session: Session, catalogue: Catalogue, path: Path, network: ConnectionLimits
) -> None:
    """Download from the public bucket or, if that fails, from the warehouse."""
    session_id = int(session.id)

    def check(part: Path) -> None:
        check_session_file(part, session_id)

    faults = fetch_from(
        f"session {session_id}",
        lambda: f"{session.bucket}/{_SESSION_PATH.format(id=session_id)}",
        lambda: f"{session.warehouse}/{catalogue.warehouse.session_route(session_id)}",
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
        Uses ``source``, ``id``, ``bucket``, ``warehouse``, ``dandi``, ``stream``, ``movies``,
        ``images``, ``columns`` and, for an existing file, ``nwb``.
    nwb : path
        Local copy; its size and SHA-256 are recorded next to it and verified each time. With
        ``stream``, the folder of a file that is read by ranges.
    images : path
        Folder that receives the 118 templates of natural scenes as PNG files, unless they are
        ``session.images``.
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
    if session.movies.stacks is None:
        check_movie_names(session)
    catalogue = Catalogue(session, cache, network)
    if session.stream:
        _stream(session, nwb, network)
    elif session.source == "dandi":
        _fetch_asset(session, nwb, network)
    else:
        _fetch_session(session, catalogue, nwb, network)
    if session.images is None and stimuli_shown(nwb, ["natural_scenes"], session.columns):
        fetch_scenes(catalogue, images)
    if session.movies.stacks is None:
        names = list(stimuli_shown(nwb, session.movies.shown, session.columns))
        fetch_movies(session, names, catalogue, movies, network)


def _stream(session: Session, folder: Path, network: ConnectionLimits) -> None:
    """Read the tables of a file on a server by ranges; its spikes follow when they are needed."""
    if session.source == "dandi":
        url = find_asset(session.dandi, network).url
    else:
        url = f"{session.bucket}/{_SESSION_PATH.format(id=session.id)}"
    logger.info(f"session {session.id}: reading parts of {url}")
    connect(url, folder, network)
    with explained(folder), open_reader(folder, session.columns) as reader:
        for name in ("units", "presentations", "running", "pupil"):
            getattr(reader, name)


def _fetch_asset(session: Session, nwb: Path, network: ConnectionLimits) -> None:
    """Download a file from the DANDI archive, and compare it with the archive's checksum."""
    if is_as_fetched(nwb):
        logger.info(f"session {session.id}: {nwb} exists and is unchanged")
        return
    asset = find_asset(session.dandi, network)
    if asset.sha256 is None:
        note(f"{asset.path}: the archive has no SHA-256 of it yet; only its size is checked")

    def check(part: Path) -> None:
        size = part.stat().st_size
        if size != asset.size:
            raise FetchError(f"has {size} bytes instead of {asset.size}")
        if asset.sha256 is not None and sha256_of(part) != asset.sha256:
            raise FetchError(f"differs from the archive's SHA-256 ({asset.sha256[:12]}...)")
        require_self_contained(part)

    logger.info(f"session {session.id}: downloading {asset.path} from {asset.url}")
    fetch(asset.url, nwb, network, check)


def _fetch_session(
    session: Session, catalogue: Catalogue, nwb: Path, network: ConnectionLimits
) -> None:
    """Download a session of the Allen Brain Observatory, or use a file that is there."""
    session_id = int(session.id)
    if is_as_fetched(nwb):
        logger.info(f"session {session_id}: {nwb} exists and is unchanged")
    elif session.nwb is not None:
        with exclusive(nwb):
            _take_copy(Path(session.nwb), nwb, session_id)
    elif nwb.exists() and read_record(nwb) is None:
        adopt(nwb, lambda: _check_at_hand(nwb, session_id))
    else:
        known = catalogue.sessions()
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
        _fetch_nwb(session, catalogue, nwb, network)


def _has_images(kind: str, session: Session) -> bool:
    """Whether a session of this type shows natural scenes, or movies that are used instead."""
    return kind == _WITH_SCENES or bool(
        set(_WITHOUT_SCENES.get(kind, ())) & set(session.movies.shown)
    )


def choose_sessions(
    session: Session, data: Path, network: ConnectionLimits = ConnectionLimits()
) -> pd.DataFrame:
    """Choose the sessions with natural scenes or movies, and units in the requested areas.

    Parameters
    ----------
    session : Session
        Uses ``bucket``, ``warehouse``, ``area``, ``quality`` and ``movies.shown``.
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
    catalogue = Catalogue(session, data / "cache", network)
    table = catalogue.sessions().sort_index()
    units = catalogue.units()
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
    table = Catalogue(session, data / "cache", network).sessions()
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
