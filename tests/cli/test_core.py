"""Published cores by name: downloaded once, verified, and named in one line where missing."""

import hashlib
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from meiflow.cli.app import core
from meiflow.config.config import check_inputs, load_config
from meiflow.config.cores import KNOWN_CORES
from meiflow.errors import MeiflowError

CONTENT = b"weights" * 1000


@pytest.fixture
def address(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "core.pth").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/core.pth"
        known = replace(
            KNOWN_CORES["sensorium"], url=url, sha256=hashlib.sha256(CONTENT).hexdigest()
        )
        monkeypatch.setitem(KNOWN_CORES, "sensorium", known)
        yield url
        server.shutdown()


def test_a_core_is_downloaded_and_cited(address, tmp_path, capsys):
    core("sensorium")
    assert (tmp_path / "data" / "cores" / "core.pth").read_bytes() == CONTENT
    assert "licence MIT; cite Willeke et al. 2022" in capsys.readouterr().out
    (tmp_path / "site" / "core.pth").unlink()
    core("sensorium")  # the verified copy is used


def test_another_file_is_refused(address, tmp_path):
    (tmp_path / "site" / "core.pth").write_bytes(CONTENT + b"!")
    with pytest.raises(MeiflowError, match=r"core\.pth: the SHA-256 is not [0-9a-f]{64}; this is"):
        core("sensorium")
    assert not (tmp_path / "data" / "cores" / "core.pth").exists()


def test_an_unknown_name_is_refused(address):
    with pytest.raises(MeiflowError, match=r"'sensorum' is not known.*sensorium"):
        core("sensorum")


def test_a_missing_core_is_named_with_the_command_that_fetches_it(address, tmp_path):
    config = load_config(
        '{"model": {"base_models": ["v1", "core_window"], "network": {"core": "sensorium"}}}'
    )
    with pytest.raises(MeiflowError, match=r"core\.pth; download it once with meiflow core sens"):
        check_inputs(config)
    core("sensorium")
    check_inputs(config)
