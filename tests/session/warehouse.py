"""A loopback stand-in for the Allen warehouse that answers AllenSDK's client."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meiflow.config.cores import KNOWN_CORES, KnownCore
from tests.session.serving import serving

SESSION = 798911424
PROBE, CHANNEL, UNIT, NWB_FILE, FIRST_SCENE, FIRST_MOVIE = 1, 2, 3, 77, 1000, 2000
SCENES = 118


def scene(number: int) -> np.ndarray:
    """A template that differs from the others."""
    return np.full((9, 12), number, np.uint8)


def movie(number: int) -> np.ndarray:
    """A movie whose frames differ, with `number` in the corner."""
    frames = np.arange(24, dtype=np.uint8)[:, None, None] + np.zeros((24, 19, 38), np.uint8)
    frames[:, 0, 0] = number
    return frames


def show_movie(path: Path) -> None:
    """Add three passes of `movie` to a session file in the released format."""
    with h5py.File(path, "r+") as file:
        scenes = file["intervals/natural_scenes_presentations"]
        group = file.create_group("intervals/natural_movie_one_presentations")
        group.attrs.update(scenes.attrs)
        names = ["start_time", "stop_time", "stimulus_block", "stimulus_name", "stimulus_index"]
        names.append("frame")
        onset = scenes["stop_time"][:].max() + 1 + np.arange(72) / 30
        values = {"start_time": onset, "stop_time": onset + 1 / 30, "frame": np.arange(72.0) % 24}
        for name in [*names, "id"]:
            file.copy(scenes[name], group, name)
            group[name].attrs["object_id"] = str(uuid4())
            if name in values:
                group[name][...] = values[name]
        group["stimulus_name"][...] = "natural_movie_one"
        group["stimulus_block"][...] = 90.0
        group.attrs["colnames"] = np.array(names, dtype=object)
        group.attrs["object_id"] = str(uuid4())


def show_gratings_and_flashes(path: Path) -> None:
    """Add drifting gratings and flashes to a session file in the released format."""
    number = np.arange(72)
    gratings = {"orientation": 45.0 * (number % 8), "temporal_frequency": 2.0 ** (number % 3)}
    flashes = {"color": np.where(number % 2, "1.0", "-1.0").astype(object)}
    with h5py.File(path, "r+") as file:
        after = file["intervals/natural_scenes_presentations/stop_time"][:].max() + 10
        _add(file, "drifting_gratings", after + 3.0 * number, 2.0, gratings)
        _add(file, "flashes", after + 300 + 2.0 * number, 0.25, flashes)


def _add(file: h5py.File, name: str, onset: np.ndarray, length: float, parameters: dict) -> None:
    """Add as many presentations as there are natural scenes."""
    scenes = file["intervals/natural_scenes_presentations"]
    group = file.create_group(f"intervals/{name}_presentations")
    group.attrs.update(scenes.attrs)
    fixed = ["start_time", "stop_time", "stimulus_block", "stimulus_name", "stimulus_index"]
    for column in [*fixed, "id"]:
        file.copy(scenes[column], group, column)
    for column, data in parameters.items():
        kind = h5py.string_dtype() if data.dtype == object else float
        group.create_dataset(column, data=data, dtype=kind).attrs.update(scenes["frame"].attrs)
    group["start_time"][...], group["stop_time"][...] = onset, onset + length
    group["stimulus_name"][...], group["stimulus_block"][...] = name, onset[0]
    for dataset in group.values():
        dataset.attrs["object_id"] = str(uuid4())
    group.attrs["colnames"] = np.array([*fixed, *parameters], dtype=object)
    group.attrs["object_id"] = str(uuid4())


@dataclass(frozen=True)
class Known:
    """A session in the warehouse.

    ``units`` are pairs (area, metrics that differ from those of a good unit).
    """

    id: int = SESSION
    type: str = "brain_observatory_1.1"
    units: tuple[tuple[str, dict[str, float | None]], ...] = (("VISam", {}),)


def records(query: str, known: tuple[Known, ...] = (Known(),)) -> list[dict]:
    """Rows for one RMA query."""
    if "model::EcephysSession" in query:
        donor = {"sex": "F", "full_genotype": "wt/wt", "age": {"days": 100}}
        file = {"well_known_file_type": {"name": "EcephysNwb"}}
        row = {"fail_eye_tracking": False, "specimen": {"donor": donor}}
        row |= {"well_known_files": [file]}
        return [row | {"id": one.id, "stimulus_name": one.type} for one in known]
    if "model::EcephysProbe" in query:
        probes = [{"id": PROBE + 10 * i, "name": "probeA"} for i in range(len(known))]
        return [p | {"ecephys_session_id": one.id} for p, one in zip(probes, known, strict=True)]
    units = [(i, k, *unit) for i, one in enumerate(known) for k, unit in enumerate(one.units)]
    if "model::EcephysChannel" in query:
        row = {"ecephys_structure_id": 394}
        row |= dict.fromkeys(("probe_horizontal_position", "probe_vertical_position"), 20)
        axes = ("anterior_posterior", "dorsal_ventral", "left_right")
        row |= {f"{axis}_ccf_coordinate": 1.0 for axis in axes}
        return [
            row
            | {"id": CHANNEL + 100 * i + k, "ecephys_probe_id": PROBE + 10 * i, "local_index": k}
            | {"ecephys_structure_acronym": area}
            for i, k, area, _ in units
        ]
    if "model::EcephysUnit" in query:
        good: dict[str, object] = {
            "amplitude_cutoff": 0.01,
            "presence_ratio": 0.99,
            "isi_violations": 0.1,
        }
        good |= {"quality": "good"}
        return [
            good | {"id": UNIT + 100 * i + k, "ecephys_channel_id": CHANNEL + 100 * i + k} | metrics
            for i, k, _, metrics in units
        ]
    if "'EcephysNwb'" in query:
        wanted = f"[attachable_id$eq{SESSION}]" in query
        link = f"/api/v2/well_known_file_download/{NWB_FILE}"
        return [{"id": NWB_FILE, "download_link": link, "path": "/x/s.nwb"}] if wanted else []
    templates = {FIRST_SCENE + number: f"/x/{number}.tiff" for number in reversed(range(SCENES))}
    templates |= {FIRST_MOVIE + number: f"/x/natural_movie_{number}.npy" for number in (1, 3)}
    link = "/api/v2/well_known_file_download"
    return [
        {"id": key, "download_link": f"{link}/{key}", "path": path}
        for key, path in templates.items()
    ]


@dataclass
class Server:
    """A running stand-in: its addresses, the requests it received, and its faults.

    ``core`` is a published core, at another address than the session; ``movies`` are templates
    other than `movie`, by number.

    ``faults`` maps a part of a path (``query.json``, ``session_798911424.nwb``,
    ``download/77``) to a fault; a number after it is the number of times: ``cut:1`` fails once.
    """

    nwb: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    known: tuple[Known, ...] = (Known(),)
    tables: bool = False  # whether the bucket also holds tables and scenes
    core: bytes = b"weights" * 60_000
    movies: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def known_core(self) -> KnownCore:
        """The core as meiflow would know it."""
        sha256 = hashlib.sha256(self.core).hexdigest()
        url = f"{self.address}/cores/core.pth"
        return replace(KNOWN_CORES["sensorium"], url=url, size=len(self.core), sha256=sha256)

    @property
    def known_cores(self) -> str:
        """The same for processes in which tests.audit.hook is active: MEIFLOW_KNOWN_CORES."""
        return json.dumps({"sensorium": asdict(self.known_core)})

    @property
    def bucket(self) -> str:
        return f"{self.address}/bucket"

    def fault(self, path: str) -> str:
        """The fault for this request, counting down."""
        for part, fault in self.faults.items():
            if part in path:
                name, _, times = fault.partition(":")
                if times:
                    self.faults[part] = f"{name}:{int(times) - 1}"
                    return name if int(times) > 0 else ""
                return name
        return ""

    def in_bucket(self, path: str) -> bytes:
        """A table or a scene in the bucket, b"" if it is not there."""
        name, _, kind = path.rsplit("/", 1)[1].partition(".")
        if not self.tables:
            return b""
        if kind == "tiff":
            return _tiff(int(name.removeprefix("natural_scene_")))
        rows = pd.DataFrame(records(f"model::Ecephys{name[:-1].capitalize()}", self.known))
        if name == "sessions":
            rows = rows[["id", "stimulus_name"]].rename(columns={"stimulus_name": "session_type"})
        return rows.to_csv(index=False).encode()

    def body(self, path: str) -> bytes:
        """The answer of a warehouse without faults."""
        if "query.json" in path:
            rows = records(path, self.known)
            reply = {"success": True, "id": 0, "start_row": 0, "num_rows": len(rows)}
            return json.dumps(reply | {"total_rows": len(rows), "msg": rows}).encode()
        if path.startswith("/bucket/") and path.endswith((".csv", ".tiff")):
            return self.in_bucket(path)
        if path.endswith(f"session_{SESSION}.nwb") or path.endswith(f"/{NWB_FILE}"):
            return self.nwb.read_bytes()
        if path.endswith("/cores/core.pth"):
            return self.core
        name = path.rsplit("/", 1)[1]
        if name.startswith("natural_movie_"):
            return self._movie(int(name[len("natural_movie_") : -len(".h5")]))
        if int(name) >= FIRST_MOVIE:
            return self._movie(int(name) - FIRST_MOVIE)
        return _tiff(int(name) - FIRST_SCENE)

    def _movie(self, number: int) -> bytes:
        return _npy(self.movies.get(number, movie(number)))


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            server.asked.append(path)
            fault = server.fault(path)
            if fault == "500":
                return self.send_error(500)
            if fault == "404":
                return self.send_error(404)
            if fault != "garbage" and not server.body(path):
                return self.send_error(404)
            body = b"<html>We are sorry</html>" * 50 if fault == "garbage" else server.body(path)
            start, wanted = 0, self.headers.get("Range", "")
            if wanted and fault != "norange" and self.headers.get("If-Range") == '"v1"':
                server.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            rest = body[start:]
            self.send_response(206 if start else 200)
            if fault != "cut_without_length":
                self.send_header("Content-Length", str(len(rest)))
            self.send_header("ETag", '"v1"')
            self.end_headers()
            half = rest[: len(rest) // 2]
            if fault.startswith("cut"):
                self.wfile.write(half)
                self.close_connection = True
                return None
            if fault == "stall":
                self.wfile.write(half)
                self.wfile.flush()
                server.released.wait(30)
                self.close_connection = True
                return None
            if fault == "slow":
                for i in range(0, len(rest), len(rest) // 8 + 1):
                    self.wfile.write(rest[i : i + len(rest) // 8 + 1])
                    self.wfile.flush()
                    time.sleep(0.15)
                return None
            self.wfile.write(rest)
            return None

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def warehouse(nwb: Path) -> Iterator[Server]:
    """Serve one session on a free local port."""
    server = Server(nwb)
    with serving(_handler(server)) as server.address:
        try:
            yield server
        finally:
            server.released.set()


def _npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _tiff(number: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(scene(number)).save(buffer, format="TIFF")
    return buffer.getvalue()


def tiny_session(folder: Path, **more: Any) -> Path:
    """A session file with this id, small enough to send many times."""
    from meiflow.config.config import parse_config
    from meiflow.results.layout import Layout
    from meiflow.simulation import simulate
    from meiflow.stages.simulate import simulate as write_session

    results = Layout(folder)
    sizes = {"units": {"VISam": 2}, "frames": 4, "repeats": 2, "gabor_repeats": 0}
    sizes |= {"grating_repeats": 0, "frame_height": 40, "frame_width": 40, "movie_frames": 30}
    sizes |= {"movie_repeats": {"natural_movie_one": 1, "natural_movie_three": 1}} | more
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "simulated_session_id", lambda _: SESSION)
        write_session(parse_config({"session": {"simulation": sizes}}), results)
    return results.session_file
