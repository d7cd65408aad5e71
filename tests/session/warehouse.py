"""A loopback stand-in for the Allen warehouse: answers what AllenSDK's client asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

SESSION = 798911424
PROBE, CHANNEL, UNIT, NWB_FILE, FIRST_SCENE = 1, 2, 3, 10, 1000
SCENES = 118


def scene(number: int) -> np.ndarray:
    """A template that can be told from the others."""
    return np.full((9, 12), number, np.uint8)


def records(query: str) -> list[dict]:
    """Rows for one RMA query."""
    if "model::EcephysSession" in query:
        donor = {"sex": "F", "full_genotype": "wt/wt", "age": {"days": 100}}
        file = {"well_known_file_type": {"name": "EcephysNwb"}}
        row = {"id": SESSION, "fail_eye_tracking": False, "stimulus_name": "brain_observatory_1.1"}
        return [row | {"specimen": {"donor": donor}, "well_known_files": [file]}]
    if "model::EcephysProbe" in query:
        return [{"id": PROBE, "ecephys_session_id": SESSION, "name": "probeA"}]
    if "model::EcephysChannel" in query:
        row = {"id": CHANNEL, "ecephys_probe_id": PROBE, "local_index": 0}
        row |= {"ecephys_structure_id": 394, "ecephys_structure_acronym": "VISam"}
        row |= dict.fromkeys(("probe_horizontal_position", "probe_vertical_position"), 20)
        axes = ("anterior_posterior", "dorsal_ventral", "left_right")
        return [row | {f"{axis}_ccf_coordinate": 1.0 for axis in axes}]
    if "model::EcephysUnit" in query:
        row = {"id": UNIT, "ecephys_channel_id": CHANNEL, "quality": "good"}
        return [row | {"amplitude_cutoff": 0.01, "presence_ratio": 0.99, "isi_violations": 0.1}]
    if "'EcephysNwb'" in query:
        wanted = f"[attachable_id$eq{SESSION}]" in query
        link = f"/api/v2/well_known_file_download/{NWB_FILE}"
        return [{"id": NWB_FILE, "download_link": link, "path": "/x/s.nwb"}] if wanted else []
    return [
        {
            "id": FIRST_SCENE + number,
            "download_link": f"/api/v2/well_known_file_download/{FIRST_SCENE + number}",
            "path": f"/x/{number}.tiff",
        }
        for number in reversed(range(SCENES))
    ]


@contextmanager
def warehouse(nwb: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve one session; yields the address and the list of paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            asked.append(path)
            if "query.json" in path:
                rows = records(path)
                body = json.dumps(
                    {
                        "success": True,
                        "id": 0,
                        "start_row": 0,
                        "num_rows": len(rows),
                        "total_rows": len(rows),
                        "msg": rows,
                    }
                ).encode()
            else:
                number = int(path.rsplit("/", 1)[1])
                body = nwb.read_bytes() if number == NWB_FILE else _tiff(number - FIRST_SCENE)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()


def _tiff(number: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(scene(number)).save(buffer, format="TIFF")
    return buffer.getvalue()
