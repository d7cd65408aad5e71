"""Tables and templates of the Visual Coding Neuropixels release, from the bucket or the warehouse.

The public bucket holds the tables of sessions, probes, channels and units as files, which are read
here. Only where it fails is the warehouse asked, for which AllenSDK must be installed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Quality, Session
from meiflow.progress import logger
from meiflow.session.transfer import ConnectionLimits, FetchError, fetch, read_bytes
from meiflow.session.unit_filters import filtered

T = TypeVar("T")
HOME = "visual-coding-neuropixels/ecephys-cache"
_SCENE = f"{HOME}/natural_scene_templates/natural_scene_{{number}}.tiff"
_LARGEST_SCENE = 64 << 20
_METRICS = ["isi_violations", "amplitude_cutoff", "presence_ratio"]
TABLES = {
    "sessions": ["id", "session_type"],
    "probes": ["id", "ecephys_session_id"],
    "channels": ["id", "ecephys_probe_id", "ecephys_structure_acronym"],
    "units": ["id", "ecephys_channel_id", *_METRICS, "quality"],
}


def _read_table(path: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(path, usecols=TABLES[name], index_col="id")


def _check_table(path: Path, name: str) -> None:
    try:
        _read_table(path, name)
    except ValueError as error:  # also a file that is not UTF-8
        reason = " ".join(str(error).split())[:120]
        raise FetchError(f"not a table of {', '.join(TABLES[name])} ({reason})") from None


class Bucket:
    """The release in the public bucket.

    Parameters
    ----------
    address : str
    cache : path
        Folder for the tables.
    network : ConnectionLimits
    """

    def __init__(self, address: str, cache: Path, network: ConnectionLimits) -> None:
        self._address, self._cache, self._network = address, cache, network

    def _table(self, name: str) -> pd.DataFrame:
        path = self._cache / f"{name}.csv"
        url = f"{self._address}/{HOME}/{name}.csv"
        fetch(url, path, self._network, lambda part: _check_table(part, name))
        return _read_table(path, name)

    def units(self) -> pd.DataFrame:
        """Units with a good label in a known structure, with session and area."""
        channels = self._channels()
        units = self._table("units").join(channels, on="ecephys_channel_id")
        known = units["ecephys_structure_acronym"].notna() & (units["quality"] == "good")
        return units[known]

    def _channels(self) -> pd.DataFrame:
        return self._table("channels").join(self._table("probes"), on="ecephys_probe_id")

    def sessions(self) -> pd.DataFrame:
        """Sessions by id: session_type, unit_count and ecephys_structure_acronyms."""
        table = self._table("sessions")
        units = filtered(self.units(), Quality())[0]
        counts = units.groupby("ecephys_session_id").size()
        places = self._channels().groupby("ecephys_session_id")["ecephys_structure_acronym"]
        areas = places.unique().map(list)
        return table.assign(
            unit_count=counts.reindex(table.index, fill_value=0),
            ecephys_structure_acronyms=[areas.get(session, []) for session in table.index],
        )

    def scene(self, number: int) -> NDArray[np.uint8]:
        """Pixels of a natural-scene template."""
        from PIL import Image

        url = f"{self._address}/{_SCENE.format(number=number)}"
        body = read_bytes(url, self._network, _LARGEST_SCENE)
        try:
            with Image.open(io.BytesIO(body)) as picture:
                return np.asarray(picture)
        except Exception as error:  # Pillow raises many types for what is no picture
            raise FetchError(f"{url}: not a picture ({type(error).__name__})") from None


class Catalogue:
    """The release, from the bucket or, if it fails, the warehouse.

    Parameters
    ----------
    session : Session
        Uses ``bucket`` and ``warehouse``.
    cache : path
        Folder for tables.
    network : ConnectionLimits
    """

    def __init__(
        self, session: Session, cache: Path, network: ConnectionLimits = ConnectionLimits()
    ) -> None:
        self._bucket = Bucket(session.bucket, cache / "bucket", network)
        self._session, self._cache, self._network = session, cache, network
        self._faults: dict[str, str] = {}
        self._opened: Any = None

    @property
    def warehouse(self) -> Any:
        """The warehouse, through AllenSDK.

        Raises
        ------
        FetchError
            If AllenSDK is not installed.
        """
        if self._opened is None:
            try:
                from meiflow.session.warehouse import Warehouse

                self._opened = Warehouse(self._session.warehouse, self._cache, self._network)
            except ImportError as error:
                raise FetchError(
                    f"{self._session.warehouse}: asking the warehouse needs AllenSDK, which is not "
                    f"installed ({error})"
                ) from None
        return self._opened

    def _first(self, what: str, bucket: Callable[[], T], warehouse: Callable[[], T]) -> T:
        if what not in self._faults:
            try:
                return bucket()
            except FetchError as error:
                self._faults[what] = str(error)
                logger.info(f"{what}: {error}; asking the warehouse")
        try:
            return warehouse()
        except FetchError as error:
            raise FetchError(f"{what}: {self._faults[what]}; {error}") from None

    def sessions(self) -> pd.DataFrame:
        """Sessions by id, with session_type, unit_count and ecephys_structure_acronyms."""
        return self._first("sessions", self._bucket.sessions, lambda: self.warehouse.sessions())  # noqa: PLW0108

    def units(self) -> pd.DataFrame:
        """Units by id, not filtered by metrics, with session and area."""
        return self._first("units", self._bucket.units, lambda: self.warehouse.units())  # noqa: PLW0108

    def scene(self, number: int) -> NDArray[np.uint8]:
        """Pixels of a natural-scene template."""
        return self._first(
            "natural scenes",
            lambda: self._bucket.scene(number),
            lambda: self.warehouse.scene(number),
        )
