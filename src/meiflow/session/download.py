"""Download a session through AllenSDK's own cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from meiflow.errors import MeiflowError
from meiflow.files import atomic
from meiflow.progress import say, track

SCENES = 118


def _from_cache(cache: Any, session_id: int) -> Path:
    """Path of the session NWB inside the AllenSDK cache, downloaded if it is not there."""
    try:
        sessions = cache.get_session_table()
    except Exception as error:
        raise MeiflowError(
            f"the Allen warehouse did not answer ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:150]}); check the network and try again"
        ) from None
    if session_id not in sessions.index:
        raise MeiflowError(
            f"session.id: the Allen warehouse has no session {session_id}; it has "
            f"{len(sessions)}, for example {sessions.index[0]}"
        )
    say(f"downloading session {session_id} (2 to 3 GB)")
    try:
        cache.get_session_data(session_id).units  # noqa: B018  reading it proves the file
    except Exception as error:
        raise MeiflowError(
            f"session {session_id} could not be downloaded or read ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:150]}); run the same command again"
        ) from None
    return Path(cache.get_cache_path(None, cache.SESSION_NWB_KEY, session_id, session_id))


def download_session(
    session_id: int, warehouse: str, nwb: Path, images: Path, cache_folder: Path
) -> None:
    """Fetch a session NWB and the natural-scene templates.

    Parameters
    ----------
    session_id : int
        Ecephys session id, for example 798911424.
    warehouse : str
        Scheme and host, for example http://api.brain-map.org.
    nwb : path
        Where the session file goes: a hard link into the cache where possible.
    images : path
        Folder that receives the 118 templates as PNG files.
    cache_folder : path
        AllenSDK's cache.

    Raises
    ------
    MeiflowError
        If the warehouse does not answer or has no such session.
    """
    from PIL import Image

    from meiflow.session.sdk import project_cache

    cache = project_cache(str(cache_folder / "manifest.json"), warehouse)
    source = _from_cache(cache, session_id)
    with atomic(nwb) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
    images.mkdir(parents=True, exist_ok=True)
    for number in track(range(SCENES), "fetching templates"):
        target = images / f"{number:03d}.png"
        if not target.exists():
            with atomic(target) as temporary:
                Image.fromarray(cache.get_natural_scene_template(number)).save(temporary)
