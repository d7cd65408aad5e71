"""Download large files over HTTP without hanging, truncation or loss.

A partial file next to the final one is resumed. It is renamed atomically after status, length and
content have been checked. Size and SHA-256 are then recorded and verified at every later use.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError
from urllib3.util import Retry

from meiflow.errors import MeiflowError
from meiflow.io.checksums import sha256_of
from meiflow.io.files import write_text
from meiflow.progress import Transfer, logger
from meiflow.session.connection import connection_fault

T = TypeVar("T")
_CHUNK = 1 << 16
_MARGIN = 64 << 20
_LOOK = 256  # chunks between checks of the free disk space
_MOST_REDIRECTS = 5
_LONGEST_PAUSE_S = 60
_IN_TROUBLE = (408, 429, *range(500, 600))  # temporary failures


@dataclass(frozen=True)
class ConnectionLimits:
    """Time-outs in seconds, number of attempts, and the first pause between them.

    ``read_s`` limits each silence of the server, not the whole transfer, which may be slow but
    steady.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    attempts: int = 4
    pause_s: float = 1.0


@dataclass(frozen=True)
class Record:
    """URL, size and hash of a verified file at the time of download."""

    size: int
    sha256: str
    url: str


class FetchError(MeiflowError):
    """A permanent failure of one source; another source may be tried."""


class _LoggedRetry(Retry):
    """urllib3's `Retry`, which also logs the reason."""

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        last = self.history[-1]
        reason = last.error or f"the server returned status {last.status}"
        logger.info(f"{last.url}: {reason}; retrying")
        super().sleep(response)


def _retries(network: ConnectionLimits) -> Retry:
    return _LoggedRetry(
        total=network.attempts - 1,
        status_forcelist=_IN_TROUBLE,
        raise_on_status=False,
        backoff_factor=network.pause_s,
        retry_after_max=_LONGEST_PAUSE_S,
    )


class _Session(requests.Session):
    """Retries after temporary failures, and follows redirects only on the same host."""

    def __init__(self, network: ConnectionLimits) -> None:
        super().__init__()
        self.max_redirects = _MOST_REDIRECTS
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(max_retries=_retries(network)))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Target of a redirect.

        A server may redirect from http to https on the same host, or to another path. Anything
        else would download from an address that was not configured.

        Raises
        ------
        FetchError
            For a redirect to another host.
        """
        target = super().get_redirect_target(resp)
        if target is not None and not _same_host(resp.url, target):
            raise FetchError(
                f"{_named(resp.url)}: the server redirects to another address, {target[:200]}; "
                "if this is legitimate, configure it as session.bucket or session.warehouse"
            )
        return target


def _same_host(url: str, target: str) -> bool:
    try:
        old, new = urlsplit(url), urlsplit(urljoin(url, target))
        if new.username or new.password or old.hostname != new.hostname:
            return False
        if old.scheme == new.scheme:
            return (old.port or 0) == (new.port or 0)
        upgraded = (old.scheme, new.scheme) == ("http", "https")
        return upgraded and old.port in (None, 80) and new.port in (None, 443)
    except ValueError:  # not a port number
        return False


def _named(url: str) -> str:
    """An address without its query, which can be long."""
    return url.partition("?")[0]


@contextmanager
def answer(
    url: str,
    network: ConnectionLimits,
    headers: Mapping[str, str] | None = None,
    good: tuple[int, ...] = (200,),
) -> Iterator[requests.Response]:
    """Stream the response to a GET request, after as many attempts as `network` allows.

    Raises
    ------
    FetchError
        If there is no response, its status is not in `good`, or it redirects to another address or
        too often.
    """
    with _Session(network) as session:
        try:
            timeout = (network.connect_s, network.read_s)
            response = session.get(url, headers=headers, stream=True, timeout=timeout)
        except requests.TooManyRedirects:
            raise FetchError(f"{_named(url)}: too many redirects") from None
        except ValueError as error:
            raise FetchError(f"{_named(url)}: not a valid address ({error})") from None
        except requests.RequestException as error:
            fault = connection_fault(error, url)
            reason = fault or _reason(error, network, "the connection failed")
            raise FetchError(f"{_named(url)}: {reason} ({network.attempts} attempts)") from None
        with response:
            status = response.status_code
            if status not in good:
                times = f" ({network.attempts} attempts)" if status in _IN_TROUBLE else ""
                raise FetchError(f"{_named(url)}: the server returned status {status}{times}")
            yield response


def _reason(error: requests.RequestException, network: ConnectionLimits, otherwise: str) -> str:
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, ReadTimeoutError):
        return f"no response for {network.read_s:g} s"
    if isinstance(error, requests.ConnectTimeout):
        return f"no response for {network.connect_s:g} s"
    return otherwise


def persistently(action: Callable[[], T], network: ConnectionLimits, name: str) -> T:
    """Call `action`, and repeat it if the connection breaks while the body is received.

    `Retry` itself only covers requests up to the headers of the response.

    Raises
    ------
    FetchError
        After all attempts, with `name` and the last reason.
    """
    retries = _retries(network)
    while True:
        try:
            return action()
        except requests.RequestException as error:
            reason = _reason(error, network, "the connection was interrupted")
        try:
            retries = retries.increment("GET", name, error=ProtocolError(reason))
        except MaxRetryError:
            raise FetchError(f"{name}: {reason} ({network.attempts} attempts)") from None
        retries.sleep()


def read_bytes(url: str, network: ConnectionLimits, longest: int) -> bytes:
    """The whole body of a response, of at most `longest` bytes.

    Raises
    ------
    FetchError
        As `answer`, or if the body is longer.
    """

    def once() -> bytes:
        with answer(url, network) as response:
            parts: list[bytes] = []
            size = 0
            for part in response.iter_content(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > longest:
                    raise FetchError(f"{url}: the response is longer than expected")
            return b"".join(parts)

    return persistently(once, network, url)


def length_of(response: requests.Response, url: str) -> int | None:
    """Number of bytes announced by the server.

    Raises
    ------
    FetchError
        If the announced length is not a number.
    """
    text = response.headers.get("Content-Length")
    if text is not None and not re.fullmatch(r"[0-9]{1,18}", text):
        raise FetchError(f"{url}: invalid Content-Length {text[:40]!r}")
    return int(text) if text is not None else None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}{suffix}")


def record_path(path: Path) -> Path:
    """Path of the record with the size and SHA-256 of `path`."""
    return path.with_name(f"{path.name}.json")


def read_record(path: Path) -> Record | None:
    """The record of `path`, or None if there is no readable one."""
    try:
        return Record(**json.loads(record_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(path: Path, url: str, content: Path | None = None) -> Record:
    """Record size and SHA-256 of `path`, or of the `content` that will be renamed to it."""
    content = content or path
    record = Record(content.stat().st_size, sha256_of(content), url)
    write_text(json.dumps(asdict(record), indent=1) + "\n", record_path(path))
    return record


def adopt(path: Path, check: Callable[[], object]) -> None:
    """Record a file that was placed there by hand, after it has passed its check."""
    with exclusive(path):
        check()
        if read_record(path) is None:
            write_record(path, path.resolve().as_uri())


def is_as_fetched(path: Path) -> bool:
    """Whether `path` exists and matches its record; False without a record.

    Raises
    ------
    MeiflowError
        If the file has changed; it is left untouched for the user to decide.
    """
    record = read_record(path)
    if record is None or not path.exists():
        return False
    size = path.stat().st_size
    if size != record.size or sha256_of(path) != record.sha256:
        raise MeiflowError(
            f"{path}: changed or damaged since the download ({size} bytes, recorded {record.size}, "
            "or different SHA-256); delete it and run again to download it again"
        )
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Allow only one process at a time to work on `path`; others wait."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(path, ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info(f"another run is downloading {path.name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fetch(
    url: str,
    path: Path,
    network: ConnectionLimits = ConnectionLimits(),
    check: Callable[[Path], None] | None = None,
) -> Record:
    """Download `url` to `path`, unless there is already a verified copy.

    Parameters
    ----------
    url : str
    path : path
        Final name; the partial file ``.{name}.part`` next to it is resumed.
    network : ConnectionLimits
    check : callable, optional
        Called with the completed partial file; raises `MeiflowError`, with a message to follow
        the URL, if its content is invalid.

    Raises
    ------
    FetchError
        If the server refuses, does not respond, or sends something else, after all attempts.
    MeiflowError
        If an existing file differs from the one downloaded, or if there is too little space.
    """
    with exclusive(path):
        if is_as_fetched(path):
            return read_record(path) or write_record(path, url)
        part, state = _beside(path, ".part"), _beside(path, ".part.json")
        persistently(lambda: _receive(url, part, state, network), network, url)
        try:
            if check is not None:
                check(part)
        except MeiflowError as error:
            # this is not the file, and resuming it would only repeat the fault
            part.unlink(missing_ok=True)
            state.unlink(missing_ok=True)
            raise FetchError(f"{url}: {error}") from None
        with open(part, "rb+") as handle:
            os.fsync(handle.fileno())
        # recorded before the rename, so that a kill in between leaves no file
        record = write_record(path, url, content=part)
        os.replace(part, path)
        state.unlink(missing_ok=True)
        return record


def _resume_headers(url: str, part: Path, state: Path) -> dict[str, str]:
    """Request the rest only if it is the same file, with the same URL and validator."""
    try:
        known = json.loads(state.read_text(encoding="utf-8"))
        size = part.stat().st_size
    except (OSError, ValueError):
        return {}
    if known.get("url") != url or not known.get("validator") or not size:
        return {}
    return {"Range": f"bytes={size}-", "If-Range": known["validator"]}


def _receive(url: str, part: Path, state: Path, network: ConnectionLimits) -> None:
    """Make one attempt to complete `part`, or raise."""
    resume = _resume_headers(url, part, state)
    good = (200, 206, 416) if resume else (200,)
    with answer(url, network, {"Accept-Encoding": "identity"} | resume, good) as response:
        if response.status_code == 416:  # the file has changed and has no such range
            part.unlink()
            return _receive(url, part, state, network)
        done = part.stat().st_size if response.status_code == 206 else 0
        length = length_of(response, url)
        total = done + length if length is not None else None
        _require_space(part, (total or 0) - done)
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        weak = validator is not None and validator.startswith("W/")
        write_text(json.dumps({"url": url, "validator": None if weak else validator}), state)
        _copy(response, part, done, total)
    return None


def _copy(response: requests.Response, part: Path, done: int, total: int | None) -> None:
    meter = Transfer(part.name.removeprefix(".").removesuffix(".part"), done, total)
    with closing(meter), open(part, "ab" if done else "wb") as handle:
        for number, chunk in enumerate(response.iter_content(_CHUNK)):
            if total is None and not number % _LOOK:
                _require_space(part, 0)  # the server does not announce the size
            handle.write(chunk)
            meter.add(len(chunk))
        handle.flush()
        os.fsync(handle.fileno())
    size = part.stat().st_size
    if total is not None and size != total:  # an unrequested encoding
        raise FetchError(f"{response.url}: received {size} of {total} bytes")


def _require_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed + _MARGIN:
        raise MeiflowError(
            f"{path.parent}: {free / 1e9:.1f} GB free, but {needed / 1e9:.1f} GB still needed; "
            "free some space or use another folder"
        )
