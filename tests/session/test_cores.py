"""A published core is downloaded like a session: resumed, verified, and never twice."""

from pathlib import Path

import pytest

from meiflow.config.cores import KNOWN_CORES
from meiflow.errors import MeiflowError
from meiflow.io.checksums import sha256_of
from meiflow.report.provenance import hash_of
from meiflow.session.cores import download_core
from meiflow.session.transfer import ConnectionLimits, read_record
from tests.session.warehouse import warehouse

HASTY = ConnectionLimits(connect_s=0.5, read_s=0.5, attempts=3, pause_s=0.01)
COPY = Path("data", "cores", "core.pth")


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warehouse(tmp_path / "none.nwb") as running:
        monkeypatch.setitem(KNOWN_CORES, "sensorium", running.known_core)
        yield running


def download():
    return download_core("sensorium", network=HASTY)


def left_over():
    return [path.name for path in COPY.parent.iterdir() if ".part" in path.name]


def test_it_arrives_once_and_is_recorded(server):
    assert download() == COPY
    assert COPY.read_bytes() == server.core
    assert read_record(COPY).sha256 == sha256_of(COPY) == server.known_core.sha256
    assert download() == COPY
    assert len(server.asked) == 1
    assert not left_over()


def test_an_interrupted_download_is_resumed(server):
    server.faults["core.pth"] = "cut:1"
    download()
    assert COPY.read_bytes() == server.core
    assert server.ranges  # the second attempt asked only for the rest


def test_a_killed_download_is_resumed_by_the_next_run(server):
    server.faults["core.pth"] = "cut:3"
    with pytest.raises(MeiflowError, match="an interrupted transfer is resumed"):
        download()
    assert not COPY.exists()
    received = sum(path.stat().st_size for path in COPY.parent.glob("*.part"))
    assert received > len(server.core) / 4
    download()
    assert COPY.read_bytes() == server.core
    assert server.ranges[-1] == f"bytes={received}-"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("404", "the server returned status 404"),
        ("500", r"the server returned status 500 \(3 attempts\)"),
        ("garbage", "the SHA-256 is not [0-9a-f]{64}; this is a different file"),
        ("stall", r"no response for 0.5 s \(3 attempts\)"),
    ],
)
def test_a_fault_says_in_one_line_what_can_be_done(server, fault, reason):
    server.faults["core.pth"] = fault
    with pytest.raises(MeiflowError, match=f"core sensorium could not be .*{reason}") as caught:
        download()
    text = str(caught.value)
    assert "\n" not in text
    assert "meiflow core sensorium" in text
    assert f"by hand as {COPY}" in text
    assert "model.network.core: null" in text
    assert not COPY.exists()
    server.faults.clear()
    download()
    assert not left_over()


def test_without_a_network(server):
    with pytest.raises(MeiflowError, match=r"refuses the connection .*\(3 attempts\).*core: null"):
        download_core("sensorium", "http://127.0.0.1:9/core.pth", HASTY)


def test_a_file_saved_by_hand_is_adopted_if_it_is_the_right_one(server):
    COPY.parent.mkdir(parents=True)
    COPY.write_bytes(server.core)
    download()
    assert not server.asked
    assert read_record(COPY).url.startswith("file:")
    COPY.write_bytes(server.core + b"!")
    with pytest.raises(MeiflowError, match=r"core\.pth: the SHA-256 is not .*; delete it"):
        download()
    assert COPY.read_bytes() == server.core + b"!"  # left for the user


def test_provenance_names_origin_licence_and_citation(server):
    found = hash_of(download())
    assert found["sha256"] == server.known_core.sha256
    assert f"downloaded from {server.address}/cores/core.pth; mouse V1" in found["how"]
    assert found["how"].endswith("licence MIT; cite Willeke et al. 2022, arXiv:2206.08666")
