"""A loopback server that sends parts of files, counts bytes, and answers as the DANDI API."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.session.serving import serving

ASSET = "2dac2c8d-66f9-4c53-9a9b-1b8a2c1a4a10"
DANDISET, VERSION = "000021", "0.220126.1855"
IN_DANDISET = "sub-699733573/sub-699733573_ses-715093703.nwb"


@dataclass
class ByteServer:
    """Files by path, and what was asked for and sent.

    ``faults`` maps a part of a path to a fault: ``norange`` sends whole files, ``cut`` breaks off
    in the middle, ``404``, and ``changed`` another validator.
    """

    files: dict[str, Path] = field(default_factory=dict)
    asset: dict[str, object] = field(default_factory=dict)
    address: str = ""
    sent: int = 0
    asked: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def fault(self, path: str) -> str:
        return next((fault for part, fault in self.faults.items() if part in path), "")

    def add_asset(self, path: Path) -> None:
        """Serve a file as an asset of a dandiset."""
        self.files["/blobs/abc"] = path
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        download = f"{self.address}/api/assets/{ASSET}/download/"
        self.asset = {
            "path": IN_DANDISET,
            "contentSize": path.stat().st_size,
            "encodingFormat": "application/x-nwb",
            "digest": {"dandi:dandi-etag": "0-1", "dandi:sha2-256": digest},
            "contentUrl": [download, f"{self.address}/blobs/abc"],
        }

    def reply(self, url: str) -> object:
        """The answer of the DANDI API, None if there is none."""
        parts = urlsplit(url)
        listing = f"/api/dandisets/{DANDISET}/versions/{VERSION}/assets/"
        if parts.path == listing:
            [wanted] = parse_qs(parts.query)["path"]
            rows = [{"asset_id": ASSET, "path": IN_DANDISET, "size": 1, "blob": "x", "zarr": None}]
            rows.append(rows[0] | {"path": f"{IN_DANDISET}.json", "asset_id": "other"})
            found = [row for row in rows if str(row["path"]).startswith(wanted)]
            return {"count": len(found), "next": None, "previous": None, "results": found}
        return self.asset if parts.path == f"/api/assets/{ASSET}/" else None


def _handler(server: ByteServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            fault = server.fault(self.path)
            file, reply = server.files.get(urlsplit(self.path).path), server.reply(self.path)
            if fault == "404" or (file is None and reply is None):
                return self.send_error(404)
            if file is None:
                return self.answer(200, json.dumps(reply).encode(), {})
            size = file.stat().st_size
            tag = '"v2"' if fault == "changed" else '"v1"'
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if not wanted or fault == "norange" or self.headers.get("If-Range", tag) != tag:
                return self.answer(200, file.read_bytes(), {"ETag": tag}, fault)
            start, stop = int(wanted[1]), min(int(wanted[2] or size), size - 1) + 1
            with open(file, "rb") as handle:
                handle.seek(start)
                body = handle.read(stop - start)
            known = {"ETag": tag, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
            return self.answer(206, body, known, fault)

        def answer(self, status: int, body: bytes, headers: dict, fault: str = "") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            body = body[: len(body) // 2] if fault == "cut" else body
            server.sent += len(body)
            self.close_connection = fault == "cut"
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def byte_server(**files: Path) -> Iterator[ByteServer]:
    """Serve files on a free local port."""
    server = ByteServer({f"/{name}": path for name, path in files.items()})
    with serving(_handler(server)) as server.address:
        yield server
