"""Read parts of a file on a server by HTTP ranges, and keep them on disk.

The file is a folder here: ``blocks`` has the size of the whole file but contains only the blocks
that were read, ``present`` tells which, and ``address.json`` where the rest is. A reader that is
killed loses nothing that it has read.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.session.transfer import (
    ConnectionLimits,
    FetchError,
    answer,
    exclusive,
    persistently,
)

BLOCK = 1 << 18  # a quarter of a megabyte: a spike train of some ten thousand spikes
_AHEAD = 16  # blocks in one request
ADDRESS, _BLOCKS, _PRESENT = "address.json", "blocks", "present"


def is_remote(path: Path) -> bool:
    """Whether a path is the folder of a file that is read by ranges."""
    return (path / ADDRESS).is_file()


class RangeFile(io.RawIOBase):
    """A file on a server, as a file that can be read at any position.

    Parameters
    ----------
    folder : path
        Folder made by `connect`.
    network : ConnectionLimits
    """

    def __init__(self, folder: Path, network: ConnectionLimits = ConnectionLimits()) -> None:
        super().__init__()
        known = json.loads((folder / ADDRESS).read_text(encoding="utf-8"))
        self.url, self.size = str(known["url"]), int(known["size"])
        self._validator, self._network = known["validator"], network
        self._blocks = open(folder / _BLOCKS, "rb+", buffering=0)  # noqa: SIM115
        self._marks = open(folder / _PRESENT, "rb+", buffering=0)  # noqa: SIM115
        self._present = bytearray(self._marks.read())
        self._position = 0

    def readable(self) -> bool:
        """Whether the file can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether the position can be set: always."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the position; blocks that are not on disk are requested."""
        stop = min(self._position + len(buffer), self.size)
        n = max(stop - self._position, 0)
        if n:
            self._require(self._position // BLOCK, (stop - 1) // BLOCK + 1)
            self._blocks.seek(self._position)
            buffer[:n] = self._read_blocks(n)
            self._position = stop
        return n

    def _read_blocks(self, n: int) -> bytes:
        parts = []
        while n:
            part = self._blocks.read(n)
            if not part:
                raise MeiflowError(f"{self._blocks.name}: cut off; delete its folder and run again")
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def _require(self, first: int, last: int) -> None:
        """Request the missing ones of the blocks from `first` to before `last`."""
        block = first
        while block < last:
            if self._present[block]:
                block += 1
                continue
            end = block
            while end < last and end - block < _AHEAD and not self._present[end]:
                end += 1
            self._request(block, end)
            block = end

    def _request(self, first: int, last: int) -> None:
        start, stop = first * BLOCK, min(last * BLOCK, self.size)
        data = persistently(lambda: self._once(start, stop), self._network, self.url)
        self._blocks.seek(start)
        view = memoryview(data)
        while view:
            view = view[self._blocks.write(view) :]
        # marked after the data, so that a kill in between only repeats the request
        self._present[first:last] = b"\1" * (last - first)
        self._marks.seek(first)
        self._marks.write(b"\1" * (last - first))

    def _once(self, start: int, stop: int) -> bytes:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{stop - 1}"}
        headers["If-Range"] = self._validator
        with answer(self.url, self._network, headers, (200, 206)) as response:
            if response.status_code != 206:
                raise FetchError(
                    f"{self.url}: the file on the server has changed, or the server does not send "
                    "parts of files; delete the folder "
                    f"{Path(self._blocks.name).parent} and run again, or set session.stream: false"
                )
            data: bytes = response.content
        if len(data) != stop - start:
            raise FetchError(f"{self.url}: received {len(data)} of {stop - start} bytes")
        return data

    def close(self) -> None:
        """Close the files; what was read stays on disk."""
        if not self.closed:
            self._blocks.close()
            self._marks.close()
        super().close()


def connect(url: str, folder: Path, network: ConnectionLimits = ConnectionLimits()) -> None:
    """Prepare a folder from which a file on a server can be read by ranges.

    Parameters
    ----------
    url : str
    folder : path
        An existing folder is kept if the file on the server is the same, and emptied otherwise.
    network : ConnectionLimits

    Raises
    ------
    FetchError
        If the server does not have the file, or does not send parts of it.
    """
    headers = {"Accept-Encoding": "identity", "Range": "bytes=0-0"}
    with exclusive(folder):
        with answer(url, network, headers, (200, 206)) as response:
            whole = re.fullmatch(r"bytes 0-0/(\d{1,18})", response.headers.get("Content-Range", ""))
            validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
            partial = response.status_code == 206 and whole is not None
        if not partial or whole is None or not validator or validator.startswith("W/"):
            raise FetchError(
                f"{url}: the server does not send parts of files; set session.stream: false to "
                "download the whole file"
            )
        size = int(whole[1])
        known = {"url": url, "size": size, "validator": validator}
        address = folder / ADDRESS
        if address.is_file() and json.loads(address.read_text(encoding="utf-8")) == known:
            return
        folder.mkdir(parents=True, exist_ok=True)
        address.unlink(missing_ok=True)
        with open(folder / _BLOCKS, "wb") as blocks:
            blocks.truncate(size)
        (folder / _PRESENT).write_bytes(bytes(-(-size // BLOCK)))
        write_text(json.dumps(known, indent=1) + "\n", address)
