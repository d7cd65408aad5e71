"""The download stage: a session, and the templates of its images and movies, from Allen."""

from __future__ import annotations

from pathlib import Path

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.results.layout import Layout
from meiflow.session.download import download_session
from meiflow.session.source import session_files
from meiflow.session.transfer import record_path


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
    if session.source != "allen":
        raise MeiflowError(f"session.source: nothing to download for {session.source}; set allen")
    files = session_files(config, results.root, data)
    assert files.nwb is not None
    assert files.images is not None
    home = data / "allen"
    download_session(session, files.nwb, files.images, home / "cache", home / "natural_movies")
    write_text(record_path(files.nwb).read_text(encoding="utf-8"), results.download_record)
