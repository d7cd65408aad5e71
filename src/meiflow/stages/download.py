"""The download stage: a session, and the templates of its images and movies, from a server."""

from __future__ import annotations

from pathlib import Path

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.results.layout import Layout
from meiflow.session.download import download_session
from meiflow.session.ranges import ADDRESS
from meiflow.session.source import session_files
from meiflow.session.transfer import FetchError, record_path

_OFFLINE = (
    "Run the same command again later; or, without a connection, copy the folder data/ of a "
    "computer that has downloaded this session, or name a file that you have in session.nwb"
)


def download(config: Config, results: Layout, data: Path) -> None:
    """Download a session and the templates of its images and movies, and write a record.

    Parameters
    ----------
    config : Config
    results : Layout
    data : path
        Folder of downloads, shared by all sessions.
    """
    session = config.session
    if not session.downloaded:
        raise MeiflowError(
            f"session.source: nothing to download for {session.source}; set allen or dandi"
        )
    files = session_files(config, results.root, data)
    assert files.nwb is not None
    assert files.images is not None
    home = data / "allen"
    try:
        download_session(session, files.nwb, files.images, home / "cache", home / "natural_movies")
    except FetchError as error:
        raise MeiflowError(f"{error}. {_OFFLINE}") from None
    record = files.nwb / ADDRESS if session.stream else record_path(files.nwb)
    write_text(record.read_text(encoding="utf-8"), results.download_record)
