"""Downloads stay within the configured addresses and their folders."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from meiflow.config.sections import Session
from meiflow.errors import MeiflowError
from meiflow.session.download import download_session, list_sessions
from meiflow.session.transfer import ConnectionLimits, answer, fetch
from meiflow.session.warehouse import Warehouse
from tests.session.warehouse import SESSION, records

HASTY = ConnectionLimits(connect_s=2.0, read_s=5.0, attempts=1, pause_s=0.01)
Reply = tuple[int, dict[str, str], bytes]


class Host:
    """A server on this machine that answers with a function and records the requests."""

    def __init__(self, name: str, reply: Callable[[str], Reply]) -> None:
        self.reply, self.asked = reply, list[str]()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                status, headers, body = host.reply(self.path)
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://{name}:{self.http.server_port}"
        Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    running: list[Host] = []

    def start(reply: Callable[[str], Reply], name: str = "127.0.0.1") -> Host:
        running.append(Host(name, reply))
        return running[-1]

    yield start
    for one in running:
        one.close()


def fine(path: str) -> Reply:
    return 200, {}, b"content"


def to(target: str, status: int = 302) -> Callable[[str], Reply]:
    return lambda path: (status, {"Location": target}, b"")


def test_a_redirect_on_the_same_host_is_followed(host: Any, tmp_path: Path) -> None:
    there = host(lambda p: fine(p) if p == "/moved" else to("/moved")(p))
    fetch(f"{there.address}/file", tmp_path / "file", HASTY)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert there.asked == ["/file", "/moved"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_refused(host: Any, tmp_path: Path, status: int) -> None:
    other = host(fine, "localhost")
    there = host(to(f"{other.address}/file", status))
    with pytest.raises(
        MeiflowError, match=r"redirects to another address, http://localhost.*as session"
    ):
        fetch(f"{there.address}/file", tmp_path / "file", HASTY)
    assert not other.asked
    assert not (tmp_path / "file").exists()


TARGETS = ["file:///etc/passwd", "ftp://127.0.0.1/x", "//localhost/x", "http://127.0.0.1:1/x"]
TARGETS += ["https://127.0.0.1:1/x", "http://127.0.0.1@localhost/x", "http://me:pass@127.0.0.1/x"]
TARGETS += ["http://127.0.0.1:port/x", "javascript:alert(1)", "http://[::1/x", "gopher://127.0.0.1"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_redirect_elsewhere_is_refused(host: Any, tmp_path: Path, target: str) -> None:
    there = host(to(target))
    with pytest.raises(MeiflowError) as caught:
        fetch(f"{there.address}/file", tmp_path / "file", HASTY)
    assert "another address" in str(caught.value)
    assert len(there.asked) == 1
    assert not (tmp_path / "file").exists()


def test_redirects_without_end(host: Any) -> None:
    there = host(to("/again"))
    with pytest.raises(MeiflowError, match="too many redirects"), answer(there.address, HASTY):
        pass
    assert len(there.asked) < 10


def test_a_failing_server_is_retried_with_bounded_pauses(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replies = iter([(500, {}, b""), (429, {}, b""), (503, {"Retry-After": "86400"}, b"")])
    there = host(lambda path: next(replies, fine(path)))
    pauses: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", pauses.append)
    caplog.set_level(logging.INFO, "meiflow")
    fetch(f"{there.address}/file", tmp_path / "file", ConnectionLimits(attempts=4, pause_s=3.0))
    assert (tmp_path / "file").read_bytes() == b"content"
    assert pauses == [6.0, 60.0]  # after the second and third fault; immediately after the first
    assert [record.getMessage() for record in caplog.records] == [
        f"/file: the server returned status {status}; retrying" for status in (500, 429, 503)
    ]


def test_an_answer_that_breaks_off_is_asked_for_again(host: Any, tmp_path: Path) -> None:
    there = host(lambda path: (200, {"Content-Length": "100"}, b"content"))
    with pytest.raises(
        MeiflowError, match=r"/file: the connection was interrupted \(3 attempts\)$"
    ):
        fetch(f"{there.address}/file", tmp_path / "file", ConnectionLimits(2.0, 5.0, 3, 0.0))
    assert len(there.asked) == 3


def test_a_part_that_the_server_no_longer_has_is_fetched_again(host: Any, tmp_path: Path) -> None:
    replies = iter([(416, {}, b"")])
    there = host(lambda path: next(replies, fine(path)))
    (tmp_path / ".file.part").write_bytes(b"longer than the content")
    state = {"url": f"{there.address}/file", "validator": '"old"'}
    (tmp_path / ".file.part.json").write_text(json.dumps(state))
    fetch(f"{there.address}/file", tmp_path / "file", HASTY)
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("length", ["many", "-5", "1e3", "9" * 400, "\u0663"])
def test_an_invalid_length(host: Any, tmp_path: Path, length: str) -> None:
    header = {"Content-Length": length.encode().decode("latin-1")}
    there = host(lambda path: (200, header, b"content"))
    with pytest.raises(MeiflowError) as caught:
        fetch(f"{there.address}/file", tmp_path / "file", HASTY)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("key", ["warehouse", "bucket"])
@pytest.mark.parametrize("address", ["file:///etc", "ftp://host", "http://user:pass@host", "host"])
def test_only_web_addresses_can_be_configured(key: str, address: str) -> None:
    with pytest.raises(ValueError, match=key):
        Session(source="allen", id="7", **{key: address})


def rows(path: str, change: Callable[[list[dict[str, Any]]], Any]) -> Reply:
    """The answer of the warehouse to a query, with other rows."""
    from urllib.parse import unquote

    found = change(records(unquote(path)))
    count = len(found) if isinstance(found, list) else 1
    reply = {"success": True, "num_rows": count, "total_rows": count, "msg": found}
    return 200, {}, json.dumps(reply).encode()


LINKS = ["http://localhost:1/x", "//localhost:1/x", "file:///etc/passwd", "../../etc/passwd"]
LINKS += ["@localhost:1/x", "ftp://localhost/x", "\\\\localhost\\x", "?x=http://localhost:1"]


@pytest.mark.parametrize("link", LINKS)
def test_a_download_link_stays_on_the_warehouse(host: Any, tmp_path: Path, link: str) -> None:
    """Whatever the answer names, only the warehouse is asked, and only our folders are used."""
    home = tmp_path / "data" / "allen"

    def hostile(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            row | {"download_link": link, "path": f"/../../../{row.get('path', '')}"}
            for row in found
        ]

    def reply(path: str) -> Reply:
        return rows(path, hostile) if "query.json" in path else (404, {}, b"")

    there = host(reply)
    address = {"warehouse": there.address, "bucket": f"{there.address}/bucket"}
    session = Session(source="allen", id=str(SESSION), **address)
    nwb = home / f"session_{SESSION}" / f"session_{SESSION}.nwb"
    with pytest.raises(MeiflowError, match="could not be downloaded"):
        download_session(session, nwb, home / "scenes", home / "cache", home / "movies", HASTY)
    asked = [path for path in there.asked if "query.json" not in path]
    assert len(asked) == 3  # the bucket's table and file, and the link, are on this server
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert not list(tmp_path.rglob("passwd*"))


@pytest.mark.parametrize("path", ["/../../../x/7.tiff", "7.tiff/../../evil", "/x/../7.tiff"])
def test_a_templates_name_does_not_say_where_it_is_written(
    host: Any, tmp_path: Path, path: str
) -> None:
    from tests.session.warehouse import _tiff

    link = {"id": 1, "download_link": "/api/v2/well_known_file_download/1", "path": path}
    there = host(lambda p: rows(p, lambda _: [link]) if "query.json" in p else (200, {}, _tiff(7)))
    before = {p for p in tmp_path.parent.iterdir()}
    warehouse = Warehouse(there.address, tmp_path / "data" / "cache", HASTY)
    with contextlib.suppress(MeiflowError):  # or there is no template of that number
        warehouse.scene(7)
    assert {p.name for p in tmp_path.iterdir()} == {"data"}
    assert {p.name for p in (tmp_path / "data").iterdir()} == {"cache"}
    assert set(tmp_path.parent.iterdir()) == before


ANSWERS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "no rows": lambda found: [],
    "rows that are texts": lambda found: ["a"] * len(found),
    "rows without their columns": lambda found: [{"x": 1} for _ in found],
    "a text for rows": lambda found: "rows",
    "a number for rows": lambda found: 3,
    "ids that are texts": lambda found: [row | {"id": "__import__('os')"} for row in found],
    "links that are numbers": lambda found: [row | {"download_link": 3} for row in found],
    "links that are nothing": lambda found: [row | {"download_link": None} for row in found],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_of_another_form_ends_in_one_line(host: Any, tmp_path: Path, name: str) -> None:
    there = host(lambda path: rows(path, ANSWERS[name]) if "query.json" in path else fine(path))
    address = {"warehouse": there.address, "bucket": f"{there.address}/bucket"}
    session = Session(source="allen", id=str(SESSION), **address)
    with pytest.raises(MeiflowError) as caught:
        download_session(
            session, tmp_path / "s.nwb", tmp_path / "f", tmp_path / "cache", tmp_path / "m", HASTY
        )
    assert str(caught.value).isprintable()


WHOLE = {"success": True, "num_rows": 1, "total_rows": 1, "msg": [{}]}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"3", b"null", b"{}", b"[" * 100_000, b'{"success": true}', b"\xff\xfe"),
        json.dumps(WHOLE | {"total_rows": 10**18}).encode(),
        json.dumps(WHOLE | {"total_rows": "many"}).encode(),
        json.dumps(WHOLE | {"num_rows": 0, "msg": []}).encode(),
        json.dumps(WHOLE | {"success": False, "msg": "<b>" * 1000}).encode(),
    ],
    ids=range(12),
)
def test_an_invalid_answer_ends_in_one_line(host: Any, tmp_path: Path, body: bytes) -> None:
    there = host(lambda path: (200, {}, body))
    address = {"warehouse": there.address, "bucket": f"{there.address}/bucket"}
    session = Session(source="allen", id=str(SESSION), **address)
    with pytest.raises(MeiflowError) as caught:
        list_sessions(session, tmp_path, HASTY)
    assert str(caught.value).isprintable()
    assert len(there.asked) < 5
