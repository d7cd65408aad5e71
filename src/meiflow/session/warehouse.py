"""AllenSDK's project cache on a client that notices when the warehouse misbehaves.

AllenSDK's own engine waits for ever on a silent server, saves error pages as data, and
deletes a good session file when reading it fails. Here its queries, its cache and its tables
are kept; only the transport underneath is replaced.
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
    FetchError,
    Network,
    Transient,
    answer,
    exclusive,
    length_of,
    persistently,
    require_status,
    verify,
    write_record,
)

_LONGEST_ANSWER = 256 << 20
_MOST_ROWS = 10_000_000
TABLES = ("sessions.csv", "probes.csv", "channels.csv", "units.csv")


def _write_stream(path: str | Path, stream: Iterable[bytes]) -> None:
    """AllenSDK's stream writer, except that a broken stream leaves nothing behind."""
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        for chunk in stream:
            handle.write(chunk)


def _route(link: Any) -> str:
    """A link of the warehouse as a path on the warehouse itself, whatever it says."""
    if not isinstance(link, str) or not link.isprintable() or " " in link:
        raise FetchError(f"the warehouse's download link is {str(link)[:80]!r}, not an address")
    return link.lstrip("/")


@contextmanager
def _understood(address: str, *known: type[Exception]) -> Iterator[None]:
    """Turn what AllenSDK raises on an answer of another form into one line."""
    try:
        yield
    except (MeiflowError, OSError):
        raise
    except known:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise FetchError(
            f"{address}: the answer is not the Allen warehouse's ({reason}); check "
            "session.warehouse and run again"
        ) from None


def _engine_class(base: Any) -> Any:
    """A subclass of AllenSDK's ``RmaEngine`` with time-outs, status and length checks."""

    class GuardedEngine(base):
        def __init__(self, address: str, network: Network) -> None:
            scheme, _, host = address.partition("://")
            super().__init__(scheme=scheme, host=host)
            self.network = network

        def _get(self, url: str) -> bytes:
            address = f"{self.scheme}://{self.host}"
            try:
                return persistently(lambda: self._once(url), self.network, address)
            except FetchError as error:
                raise FetchError(
                    f"{error}; check the network and session.warehouse, and run again"
                ) from None

        def _once(self, url: str) -> bytes:
            with answer(url, self.network) as response:
                require_status(response, url)
                length = length_of(response, url)
                parts: list[bytes] = []
                size = 0
                for part in response.iter_content(1 << 16):
                    parts.append(part)
                    size += len(part)
                    if size > _LONGEST_ANSWER:
                        raise FetchError(f"{url}: the answer is longer than anything expected")
                encoded = response.headers.get("Content-Encoding")
                if length is not None and not encoded and size != length:
                    raise Transient(f"{size} of {length} bytes arrived")
                return b"".join(parts)

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
                        f"{self.scheme}://{self.host}: the answer is not the Allen warehouse's "
                        "(no valid JSON reply); check session.warehouse"
                    ) from None
                if not good:
                    reason = str(rows)[:200]
                    raise FetchError(f"{self.scheme}://{self.host}: query refused ({reason})")
                if total > _MOST_ROWS:
                    raise FetchError(f"{self.scheme}://{self.host}: promises {total} rows")
                if not count and row < total:  # AllenSDK would ask for ever
                    raise FetchError(
                        f"{self.scheme}://{self.host}: {row} of {total} rows came and no more; "
                        "run again"
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
    network : Network
    """

    def __init__(self, address: str, cache: Path, network: Network = Network()) -> None:
        sdk = ecephys_project()
        self._folder = cache
        self._engine_class = _engine_class(sdk.RmaEngine)
        self._api_class = sdk.EcephysProjectWarehouseApi
        self._address, self._network = address, network
        cache.mkdir(parents=True, exist_ok=True)
        manifest = cache / "manifest.json"
        with exclusive(manifest):
            # AllenSDK writes it in place, so that a killed run can leave half of one
            manifest.unlink(missing_ok=True)
            self._cache = sdk.EcephysProjectCache(
                fetch_api=self._api_class(self._engine_class(address, network)),
                stream_writer=_write_stream,
                manifest=str(manifest),
                fetch_tries=1,
            )

    @contextmanager
    def _tables(self) -> Iterator[None]:
        """Cached tables are used only as they were when they had arrived completely."""
        with exclusive(self._folder / "tables"):
            for name in TABLES:
                path = self._folder / name
                if path.exists() and not verify(path):
                    path.unlink()  # left by a run that was killed while writing
            with warnings.catch_warnings(), _understood(self._address):
                warnings.simplefilter("ignore")  # AllenSDK's own use of pandas
                yield
            for name in TABLES:
                path = self._folder / name
                if path.exists() and not verify(path):
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
        """Route of a session's NWB file on the warehouse.

        Raises
        ------
        MeiflowError
            If there is no such session.
        """

        class Route(self._engine_class):  # type: ignore[name-defined]
            def stream(self, route: str) -> str:
                return _route(route)

        api = self._api_class(Route(self._address, self._network))
        try:
            with _understood(self._address, ValueError):
                return api.get_session_data(session_id)
        except ValueError:
            raise MeiflowError(
                f"session.id: the warehouse has no NWB file of session {session_id}; "
                "`meiflow sessions` lists those it has"
            ) from None

    def scene(self, number: int) -> Any:
        """Natural-scene template `number`, uint8 (918, 1174)."""
        with _understood(self._address):
            return self._cache.get_natural_scene_template(number)
