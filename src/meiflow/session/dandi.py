"""Find a session file in the DANDI archive by its API, with its address and checksum."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from meiflow.config.recording import Dandi
from meiflow.errors import MeiflowError, shorten
from meiflow.session.transfer import ConnectionLimits, FetchError, read_bytes

_LONGEST_ANSWER = 16 << 20


@dataclass(frozen=True)
class Asset:
    """A file in the archive.

    Parameters
    ----------
    path : str
        Path in its dandiset.
    url : str
    size : int
        Number of bytes.
    sha256 : str or None
        Checksum, None while the archive has not computed it yet.
    """

    path: str
    url: str
    size: int
    sha256: str | None


def find_asset(chosen: Dandi, network: ConnectionLimits = ConnectionLimits()) -> Asset:
    """Look up the asset that ``session.dandi`` names.

    Parameters
    ----------
    chosen : Dandi
    network : ConnectionLimits

    Raises
    ------
    MeiflowError
        If there is no such asset, or if it is not a single file.
    """
    number = chosen.asset or _asset_at(chosen, network)
    about = _ask(f"{chosen.api}/assets/{number}/", network)
    try:
        path, size = str(about["path"]), int(about["contentSize"])
        addresses = [str(url) for url in about["contentUrl"]]
        digest = about.get("digest", {}).get("dandi:sha2-256")
        zarr = "zarr" in str(about.get("encodingFormat"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FetchError(
            f"{chosen.api}: asset {number} has no path, contentSize and contentUrl; check "
            "session.dandi.api"
        ) from None
    if zarr:
        raise MeiflowError(
            f"session.dandi: {path} is a Zarr folder, which is not downloaded; get it with the "
            "dandi client (dandi download), and use session.source nwb"
        )
    stored = [url for url in addresses if url.startswith(f"{chosen.store}/")]
    url = stored[0] if stored else f"{chosen.api}/assets/{number}/download/"
    return Asset(path, url, size, str(digest) if digest else None)


def _asset_at(chosen: Dandi, network: ConnectionLimits) -> str:
    """Id of the asset with the path in the dandiset."""
    place = f"dandisets/{chosen.dandiset}/versions/{chosen.version}/assets/"
    found = _ask(f"{chosen.api}/{place}?path={quote(str(chosen.path))}", network)
    try:
        numbers = {str(row["path"]): str(row["asset_id"]) for row in found["results"]}
    except (KeyError, TypeError):
        raise FetchError(f"{chosen.api}: not the API of DANDI; check session.dandi.api") from None
    if chosen.path not in numbers:
        near = f"; it has {shorten(sorted(numbers), 3)}" if numbers else ""
        raise MeiflowError(
            f"session.dandi.path: dandiset {chosen.dandiset}, version {chosen.version}, has no "
            f"{chosen.path}{near}"
        )
    return numbers[str(chosen.path)]


def _ask(url: str, network: ConnectionLimits) -> Any:
    try:
        return json.loads(read_bytes(url, network, _LONGEST_ANSWER))
    except (ValueError, RecursionError):
        raise FetchError(
            f"{url}: the response is not JSON; check session.dandi.api and run again"
        ) from None
