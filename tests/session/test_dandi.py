"""``source: dandi``, with a loopback stand-in for the archive's API."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import check_inputs, parse_config, resolved
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.session.download import download_session
from meiflow.session.recording import read_session
from meiflow.session.source import session_files
from meiflow.session.transfer import ConnectionLimits, is_as_fetched
from meiflow.stages.download import download
from meiflow.stages.registry import STAGES
from tests.session.byte_server import ASSET, DANDISET, IN_DANDISET, VERSION, byte_server

HASTY = ConnectionLimits(connect_s=1, read_s=1, attempts=2, pause_s=0.01)
BY_PATH = {"dandiset": DANDISET, "version": VERSION, "path": IN_DANDISET}


@pytest.fixture
def server(small_session):
    with byte_server() as running:
        running.add_asset(small_session.session_file)
        yield running


def config_for(server, small_session, stream=False, **dandi):
    address = {"api": f"{server.address}/api", "store": f"{server.address}/blobs"}
    session = {"source": "dandi", "id": "mouse", "dandi": address | dandi, "stream": stream}
    session |= {"images": str(small_session.scenes), "area": "VISp"}
    return parse_config({"session": session})


def get(config, folder):
    files = session_files(config, folder / "results", folder / "data")
    home = folder / "data" / "allen"
    movies = home / "natural_movies"
    download_session(config.session, files.nwb, files.images, home / "cache", movies, HASTY)
    return files.nwb


def same(one, two):
    pd.testing.assert_frame_equal(one.units, two.units)
    pd.testing.assert_frame_equal(one.scenes, two.scenes)
    for a, b in zip(one.spike_times, two.spike_times, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("way", [BY_PATH, {"asset": ASSET}], ids=["path", "asset"])
def test_an_asset_is_downloaded_once_and_verified(server, small_session, tmp_path, way):
    config = config_for(server, small_session, **way)
    nwb = get(config, tmp_path)
    assert nwb.read_bytes() == small_session.session_file.read_bytes()
    assert is_as_fetched(nwb)
    asked = len(server.asked)
    assert get(config, tmp_path) == nwb
    assert len(server.asked) == asked


@pytest.mark.parametrize("stream", [False, True])
def test_the_stage_gives_the_same_tables_as_the_file(server, small_session, tmp_path, stream):
    config = config_for(server, small_session, stream, asset=ASSET)
    results = Layout(tmp_path / "results")
    # with what the rules pass on to the two stages
    for_download, for_tables = (
        parse_config(json.loads(resolved(config, *STAGES[stage].keys)))
        for stage in ("download", "tables")
    )
    download(for_download, results, tmp_path / "data")
    assert for_tables.session.area == "VISp"
    record = json.loads(results.download_record.read_text())
    assert record["size"] == small_session.session_file.stat().st_size
    nwb = session_files(config, tmp_path / "results", tmp_path / "data").nwb
    assert nwb.is_dir() == stream
    areas, quality = config.session.areas, Quality()
    same(
        read_session(nwb, areas, quality), read_session(small_session.session_file, areas, quality)
    )


def test_a_broken_transfer_is_resumed(server, small_session, tmp_path):
    config = config_for(server, small_session, **BY_PATH)
    server.faults["blobs"] = "cut"
    with pytest.raises(MeiflowError, match="connection was interrupted"):
        get(config, tmp_path)
    server.faults.clear()
    before = server.sent
    nwb = get(config, tmp_path)
    assert nwb.read_bytes() == small_session.session_file.read_bytes()
    assert server.sent - before < 0.6 * nwb.stat().st_size


def test_another_file_than_the_archives_checksum_is_refused(server, small_session, tmp_path):
    server.asset["digest"]["dandi:sha2-256"] = "0" * 64
    config = config_for(server, small_session, **BY_PATH)
    with pytest.raises(MeiflowError, match=r"differs from the archive's SHA-256 \(0000"):
        get(config, tmp_path)
    assert not list((tmp_path / "data" / "dandi").glob("*.nwb"))


def test_a_path_that_is_not_there_lists_what_is(server, small_session, tmp_path):
    near = BY_PATH | {"path": IN_DANDISET[:-1]}
    with pytest.raises(MeiflowError, match=rf"no {near['path']}; it has {IN_DANDISET}"):
        get(config_for(server, small_session, **near), tmp_path)


def test_a_zarr_asset_is_explained(server, small_session, tmp_path):
    server.asset["encodingFormat"] = "application/x-zarr"
    with pytest.raises(MeiflowError, match=r"is a Zarr folder, .* use session.source nwb"):
        get(config_for(server, small_session, asset=ASSET), tmp_path)


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ({"source": "dandi"}, "needs either dandiset and path, or asset"),
        ({"source": "dandi", "dandi": BY_PATH | {"asset": ASSET}}, "needs either dandiset"),
        ({"source": "dandi", "dandi": BY_PATH | {"version": "last"}}, "session.dandi.version"),
        ({"source": "nwb", "stream": True}, "only sources allen and dandi are read from a server"),
    ],
)
def test_what_is_needed_is_said(session, message):
    with pytest.raises(MeiflowError, match=message):
        check_inputs(parse_config({"session": session}))
