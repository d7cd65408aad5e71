"""A connection that fails says why."""

from __future__ import annotations

import socket

import pytest

from meiflow.config.config import load_config
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.session.transfer import ConnectionLimits, FetchError, read_bytes
from meiflow.stages import download as stage
from tests.session.warehouse import warehouse

ONCE = ConnectionLimits(connect_s=5, read_s=5, attempts=1, pause_s=0)


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed():
    """A port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_refused(closed):
    with pytest.raises(FetchError, match=r"127\.0\.0\.1 refuses the connection.*\(1 attempts\)"):
        read_bytes(f"http://127.0.0.1:{closed}/a", ONCE, 10)


def test_the_name_is_not_found():
    with pytest.raises(FetchError, match=r"the name nobody\.invalid is not found"):
        read_bytes("http://nobody.invalid/a", ONCE, 10)


def test_the_proxy_is_not_there(closed, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{closed}")
    with pytest.raises(FetchError, match=r"the proxy cannot be used.*http_proxy") as error:
        read_bytes("http://nobody.invalid/a", ONCE, 10)
    assert "secret" not in str(error.value)


def test_tls_is_not_accepted(tmp_path):
    with warehouse(tmp_path / "none.nwb") as server:  # speaks no TLS
        address = server.address.replace("http://", "https://")
        with pytest.raises(FetchError, match=r"the TLS connection to .* REQUESTS_CA_BUNDLE"):
            read_bytes(f"{address}/a", ONCE, 10)


def test_a_download_that_fails_names_the_way_without_a_connection(tmp_path, monkeypatch):
    def fails(*_):
        raise FetchError("sessions: the name a is not found")

    monkeypatch.setattr(stage, "download_session", fails)
    config = load_config('{"session": {"id": 798911424, "source": "allen"}}')
    with pytest.raises(
        MeiflowError, match=r"not found\. Run .*copy the folder data/.*session\.nwb"
    ):
        stage.download(config, Layout(tmp_path), tmp_path / "data")
