"""Download large files over HTTP without hanging, truncation or loss.

A partial file next to the final one is resumed. It is renamed atomically after status, length and
content have been checked. Size and SHA-256 are then recorded and verified at every later use.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.progress import Transfer, say

T = TypeVar("T")
_CHUNK = 1 << 16
_MARGIN = 64 << 20
_LOOK = 256  # chunks between checks of the free disk space
_MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Network:
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


class Transient(Exception):
    """A temporary failure; another attempt may succeed."""


class FetchError(MeiflowError):
    """A permanent failure of one source; another source may be tried."""


def persistently(action: Callable[[], T], network: Network, name: str) -> T:
    """Call `action`, repeating it if it raises `Transient` or the network fails.

    Raises
    ------
    FetchError
        After all attempts, with `name` and the last reason.
    """
    reason = ""
    for attempt in range(network.attempts):
        if attempt:
            pause = network.pause_s * 2 ** (attempt - 1)
            say(f"{name}: {reason}; retrying in {pause:.0f} s")
            time.sleep(pause)
        try:
            with _network_faults(network):
                return action()
        except Transient as fault:
            reason = str(fault)
    raise FetchError(f"{name}: {reason} ({network.attempts} attempts)")


@contextmanager
def _network_faults(network: Network) -> Iterator[None]:
    """Convert errors of requests into `Transient`."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        # a time-out within the body is raised as a ConnectionError
        text = str(error).lower()
        if isinstance(error, requests.Timeout) or "timed out" in text:
            reason = f"no response for {network.read_s:g} s"
        elif "max retries" in text:
            reason = "the connection failed"
        else:
            reason = "the connection was interrupted"
        raise Transient(reason) from None


def require_status(response: Any, url: str, good: tuple[int, ...] = (200,)) -> None:
    """Raise `Transient` for temporary server errors, `FetchError` for permanent ones."""
    status = response.status_code
    if status >= 500 or status in (408, 429):
        raise Transient(f"the server returned status {status}")
    if status not in good:
        raise FetchError(f"{url}: the server returned status {status}")


@contextmanager
def answer(url: str, network: Network, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Stream the response to a GET request; follow redirects only on the same host.

    A server may redirect from http to https on the same host, or to another path. Anything else
    would download from an address that was not configured.

    Raises
    ------
    FetchError
        For a redirect to another host, and for too many redirects.
    """
    import requests

    timeout = (network.connect_s, network.read_s)
    for _ in range(_MOST_REDIRECTS):
        try:
            response = requests.get(
                url, headers=headers, stream=True, timeout=timeout, allow_redirects=False
            )
        except requests.RequestException:
            raise
        except ValueError as error:  # requests parses the target of the redirect
            raise FetchError(f"{url}: invalid redirect ({error})") from None
        with response:
            if not response.is_redirect:
                yield response
                return
            target = urljoin(url, response.headers["Location"])
        if not _same_host(url, target):
            raise FetchError(
                f"{url}: the server redirects to another address, {target[:200]}; if this is "
                "legitimate, configure it as session.bucket or session.warehouse"
            )
        url = target
    raise FetchError(f"{url}: too many redirects")


def _same_host(url: str, target: str) -> bool:
    try:
        old, new = urlsplit(url), urlsplit(target)
        if new.username or new.password or old.hostname != new.hostname:
            return False
        if old.scheme == new.scheme:
            return (old.port or 0) == (new.port or 0)
        upgraded = (old.scheme, new.scheme) == ("http", "https")
        return upgraded and old.port in (None, 80) and new.port in (None, 443)
    except ValueError:  # no port number
        return False


def length_of(response: Any, url: str) -> int | None:
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


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as hexadecimal text."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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


def verify(path: Path) -> bool:
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
        say(f"another run is downloading {path.name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fetch(
    url: str,
    path: Path,
    network: Network = Network(),
    check: Callable[[Path], None] | None = None,
) -> Record:
    """Download `url` to `path`, unless there is already a verified copy.

    Parameters
    ----------
    url : str
    path : path
        Final name; the partial file ``.{name}.part`` next to it is resumed.
    network : Network
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
        if verify(path):
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


def _receive(url: str, part: Path, state: Path, network: Network) -> None:
    """Make one attempt to complete `part`, or raise."""
    headers = {"Accept-Encoding": "identity"} | _resume_headers(url, part, state)
    with answer(url, network, headers) as response:
        if response.status_code == 416:  # the file has changed and has no such range
            part.unlink(missing_ok=True)
            raise Transient("the requested range is not available")
        require_status(response, url, (200, 206))
        done = part.stat().st_size if response.status_code == 206 else 0
        length = length_of(response, url)
        total = done + length if length is not None else None
        _require_space(part, (total or 0) - done)
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        weak = validator is not None and validator.startswith("W/")
        write_text(json.dumps({"url": url, "validator": None if weak else validator}), state)
        _copy(response, part, done, total)


def _copy(response: Any, part: Path, done: int, total: int | None) -> None:
    meter = Transfer(part.name.removeprefix(".").removesuffix(".part"), done, total)
    with open(part, "ab" if done else "wb") as handle:
        for number, chunk in enumerate(response.iter_content(_CHUNK)):
            if total is None and not number % _LOOK:
                _require_space(part, 0)  # the server does not announce the size
            handle.write(chunk)
            meter.add(len(chunk))
        handle.flush()
        os.fsync(handle.fileno())
    meter.close()
    size = part.stat().st_size
    if total is not None and size != total:
        raise Transient(f"received {size} of {total} bytes")


def _require_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed + _MARGIN:
        raise MeiflowError(
            f"{path.parent}: {free / 1e9:.1f} GB free, but {needed / 1e9:.1f} GB still needed; "
            "free some space or use another folder"
        )
