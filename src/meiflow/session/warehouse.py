"""AllenSDK's project cache with a robust HTTP client.

AllenSDK's engine waits for ever if the server does not respond, saves error pages as data, and
deletes a valid session file if reading it fails. Its queries, cache and tables are used here, but
the underlying transport is replaced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from meiflow.errors import MeiflowError
from meiflow.io.writing import atomic
from meiflow.session.sdk import ecephys_project
from meiflow.session.transfer import (
    ConnectionLimits,
    FetchError,
    exclusive,
    is_as_fetched,
    read_bytes,
    write_record,
)

_LONGEST_ANSWER = 256 << 20
_MOST_ROWS = 10_000_000
TABLES = ("sessions.csv", "probes.csv", "channels.csv", "units.csv")


def _write_stream(path: str | Path, stream: Iterable[bytes]) -> None:
    """AllenSDK's stream writer, except that an interrupted stream leaves no file."""
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        for chunk in stream:
            handle.write(chunk)


def _route(link: Any) -> str:
    """Convert a link given by the warehouse to a path on the warehouse itself."""
    if not isinstance(link, str) or not link.isprintable() or " " in link:
        raise FetchError(f"invalid download link from the warehouse: {str(link)[:80]!r}")
    return link.lstrip("/")


@contextmanager
def _understood(address: str, *known: type[Exception]) -> Iterator[None]:
    """Convert errors of AllenSDK on an unexpected response into one line."""
    try:
        yield
    except (MeiflowError, OSError):
        raise
    except known:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise FetchError(
            f"{address}: the response is not from the Allen warehouse ({reason}); check "
            "session.warehouse and run again"
        ) from None


def _engine_class(base: Any) -> Any:
    """Subclass of AllenSDK's ``RmaEngine`` with time-outs and checks of status and length."""

    class GuardedEngine(base):
        def __init__(self, address: str, network: ConnectionLimits) -> None:
            scheme, _, host = address.partition("://")
            super().__init__(scheme=scheme, host=host)
            self.network = network

        def _get(self, url: str) -> bytes:
            try:
                return read_bytes(url, self.network, _LONGEST_ANSWER)
            except FetchError as error:
                raise FetchError(
                    f"{error}; check the network and session.warehouse, and run again"
                ) from None

        def get_rma(self, query: str) -> Iterator[Any]:
            import json

            url = (
                f"{self.scheme}://{self.host}/{self.rma_prefix}/{self.format_query_string}?{query}"
            )
            row, total = 0, None
            while total is None or row < total:
                body = self._get(self.add_page_params(url, row))
                try:
                    reply = json.loads(body)
                    good, total, rows = reply["success"], int(reply["total_rows"]), reply["msg"]
                    count = len(rows) if good else 0
                except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
                    raise FetchError(
                        f"{self.scheme}://{self.host}: the response is not from the Allen "
                        "warehouse (no valid JSON); check session.warehouse"
                    ) from None
                if not good:
                    reason = str(rows)[:200]
                    raise FetchError(f"{self.scheme}://{self.host}: query rejected ({reason})")
                if total > _MOST_ROWS:
                    raise FetchError(f"{self.scheme}://{self.host}: invalid number of rows {total}")
                if not count and row < total:  # AllenSDK would repeat the query for ever
                    raise FetchError(
                        f"{self.scheme}://{self.host}: received only {row} of {total} rows; run "
                        "again"
                    )
                row += count
                yield rows

        def stream(self, route: str) -> Iterator[bytes]:
            yield self._get(self._build_url(_route(route)))

    return GuardedEngine


class Warehouse:
    """The Allen warehouse through AllenSDK's ``EcephysProjectCache``.

    Parameters
    ----------
    address : str
        Scheme and host, for example http://api.brain-map.org.
    cache : path
        AllenSDK's cache folder.
    network : ConnectionLimits
    """

    def __init__(
        self, address: str, cache: Path, network: ConnectionLimits = ConnectionLimits()
    ) -> None:
        sdk = ecephys_project()
        self._folder = cache
        self._engine_class = _engine_class(sdk.RmaEngine)
        self._api_class = sdk.EcephysProjectWarehouseApi
        self._address, self._network = address, network
        cache.mkdir(parents=True, exist_ok=True)
        manifest = cache / "manifest.json"
        with exclusive(manifest):
            # AllenSDK writes in place, so a killed run can leave a partial file
            manifest.unlink(missing_ok=True)
            self._cache = sdk.EcephysProjectCache(
                fetch_api=self._api_class(self._engine_class(address, network)),
                stream_writer=_write_stream,
                manifest=str(manifest),
                fetch_tries=1,
            )

    @contextmanager
    def _tables(self) -> Iterator[None]:
        """Use cached tables only if they were downloaded completely and have not changed."""
        with exclusive(self._folder / "tables"):
            for name in TABLES:
                path = self._folder / name
                if path.exists() and not is_as_fetched(path):
                    path.unlink()  # left by a run killed while writing
            with warnings.catch_warnings(), _understood(self._address):
                warnings.simplefilter("ignore")  # raised by AllenSDK's use of pandas
                yield
            for name in TABLES:
                path = self._folder / name
                if path.exists() and not is_as_fetched(path):
                    write_record(path, self._address)

    def sessions(self) -> Any:
        """AllenSDK's session table (index: session id), with areas and unit counts."""
        with self._tables():
            return self._cache.get_session_table()

    def units(self) -> Any:
        """AllenSDK's unit table, unfiltered (index: unit id), with session and area."""
        nothing = {
            "amplitude_cutoff_maximum": np.inf,
            "presence_ratio_minimum": -np.inf,
            "isi_violations_maximum": np.inf,
        }
        with self._tables():
            return self._cache.get_units(**nothing)

    def session_route(self, session_id: int) -> str:
        """Path of a session's NWB file on the warehouse.

        Raises
        ------
        MeiflowError
            If there is no such session.
        """
        try:
            with _understood(self._address, ValueError):
                return str(self._routes().get_session_data(session_id))
        except ValueError:
            raise MeiflowError(
                f"session.id: the warehouse has no NWB file for session {session_id}; "
                "`meiflow sessions` lists the available sessions"
            ) from None

    def movie_route(self, number: int) -> str:
        """Path of the template of a natural movie on the warehouse.

        Raises
        ------
        FetchError
            If there is no such template.
        """
        try:
            with _understood(self._address, ValueError):
                return str(self._routes().get_natural_movie_template(number))
        except ValueError:
            raise FetchError(
                f"{self._address}: no template of natural movie {number} is listed"
            ) from None

    def _routes(self) -> Any:
        """AllenSDK's queries, which return the path of a file instead of its content."""

        class Route(self._engine_class):  # type: ignore[name-defined]
            def stream(self, route: str) -> str:
                return _route(route)

        return self._api_class(Route(self._address, self._network))

    def scene(self, number: int) -> Any:
        """Natural-scene template `number`, uint8 (918, 1174)."""
        with _understood(self._address):
            return self._cache.get_natural_scene_template(number)
