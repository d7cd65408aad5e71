"""Download a published core, and keep a verified local copy."""

from __future__ import annotations

from pathlib import Path

from meiflow.config.cores import KNOWN_CORES
from meiflow.errors import MeiflowError, closest
from meiflow.session.transfer import ConnectionLimits, FetchError, adopt, fetch


def download_core(
    name: str, url: str | None = None, network: ConnectionLimits = ConnectionLimits()
) -> Path:
    """Download a known core to ``data/cores``, unless a verified copy exists.

    Parameters
    ----------
    name : str
    url : str, optional
        Another address of the same file.
    network : ConnectionLimits

    Returns
    -------
    path
        The file; its size and SHA-256 are recorded next to it.

    Raises
    ------
    MeiflowError
        If the name is unknown, the file cannot be downloaded, or an existing file is another one.
    """
    if name not in KNOWN_CORES:
        raise MeiflowError(
            f"core: {name!r} is not known{closest(name, KNOWN_CORES)}; known: "
            f"{', '.join(KNOWN_CORES)}; any other file can be given as model.network.core"
        )
    known = KNOWN_CORES[name]
    path = known.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        adopt(path, known.require_copy)
        return path

    try:
        fetch(url or known.url, path, network, known.require)
    except FetchError as error:
        raise MeiflowError(
            f"core {name} could not be downloaded: {error}. Run meiflow core {name} later or with "
            f"--url (an interrupted transfer is resumed), save the file by hand as {path}, or set "
            "model.network.core: null to do without a core"
        ) from None
    return path
