"""AllenSDK's real client and our transfer, with a faulty loopback warehouse."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from meiflow.config.recording import NaturalMovies
from meiflow.config.sections import Quality, Session
from meiflow.errors import MeiflowError
from meiflow.io.checksums import sha256_of
from meiflow.session.download import download_session, list_sessions
from meiflow.session.images import load_images
from meiflow.session.recording import read_session
from meiflow.session.transfer import ConnectionLimits, fetch, is_as_fetched, read_record
from tests.session.warehouse import (
    FIRST_MOVIE,
    NWB_FILE,
    SCENES,
    SESSION,
    Known,
    movie,
    tiny_session,
    warehouse,
)

HASTY = ConnectionLimits(connect_s=0.5, read_s=0.5, attempts=3, pause_s=0.01)
IN_BUCKET = f"session_{SESSION}.nwb"
IN_WAREHOUSE = f"well_known_file_download/{NWB_FILE}"


@pytest.fixture
def server(tiny_nwb):
    with warehouse(tiny_nwb) as running:
        yield running


def download(server, home, session_id=SESSION, network=HASTY, movies=(), **keys):
    session = Session(
        movies={"shown": list(movies)},
        source="allen",
        id=str(session_id),
        warehouse=server.address,
        bucket=server.bucket,
        **keys,
    )
    scenes, cache, stacks = (home.parents[1] / name for name in ("scenes", "cache", "movies"))
    download_session(session, home, scenes, cache, stacks, network)


def is_whole(home, tiny_nwb):
    """The master copy exists and is verified, without temporary files."""
    left = [p.name for p in home.parent.iterdir() if ".part" in p.name]
    return is_as_fetched(home) and home.read_bytes() == tiny_nwb.read_bytes() and not left


def test_everything_arrives_from_the_bucket_and_only_once(server, empty_home, tiny_nwb):
    download(server, empty_home)
    assert is_whole(empty_home, tiny_nwb)
    assert not [p for p in server.asked if IN_WAREHOUSE in p]
    record = read_record(empty_home)
    assert record.size == tiny_nwb.stat().st_size
    assert record.sha256 == sha256_of(tiny_nwb)
    numbers, stack = load_images(empty_home.parents[1] / "scenes", (9, 12))
    assert numbers.tolist() == list(range(SCENES))
    np.testing.assert_allclose(stack[:, 0, 0] * 255, numbers, atol=1e-4)
    assert len(read_session(empty_home, ("VISam",), Quality()).units) == 2
    before = len(server.asked)
    download(server, empty_home)
    assert len(server.asked) == before


@pytest.mark.parametrize("fault", ["500", "404", "garbage", "cut_without_length", "stall"])
def test_the_warehouse_steps_in_when_the_bucket_fails(server, home, tiny_nwb, fault):
    server.faults[IN_BUCKET] = fault
    download(server, home)
    assert is_whole(home, tiny_nwb)
    assert [p for p in server.asked if IN_WAREHOUSE in p]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", r"the server returned status 500 \(3 attempts\)"),
        ("404", "the server returned status 404"),
        ("garbage", "not a complete session NWB file"),
        ("cut", r"received|the connection was interrupted"),
        ("cut_without_length", "not a complete session NWB file"),
        ("stall", r"no response for 0.5 s \(3 attempts\)"),
    ],
)
def test_every_fault_ends_clearly_and_the_next_run_succeeds(server, home, tiny_nwb, fault, message):
    server.faults |= {IN_BUCKET: fault, IN_WAREHOUSE: fault}
    start = time.monotonic()
    with pytest.raises(MeiflowError, match=message) as caught:
        download(server, home)
    assert "\n" not in str(caught.value)
    assert "could not be downloaded" in str(caught.value)
    assert time.monotonic() - start < 25  # nothing hangs
    assert not home.exists()
    server.faults.clear()
    download(server, home)
    assert is_whole(home, tiny_nwb)


@pytest.mark.parametrize("fault", ["500:2", "cut:2", "stall:1"])
def test_a_passing_fault_is_outlasted(server, home, tiny_nwb, fault):
    server.faults[IN_BUCKET] = fault
    download(server, home)
    assert is_whole(home, tiny_nwb)
    assert not [p for p in server.asked if IN_WAREHOUSE in p]
    if fault.startswith("cut"):
        assert server.ranges  # the second attempt asked only for the rest


def test_a_server_without_ranges_is_asked_for_the_whole(server, home, tiny_nwb):
    server.faults[IN_BUCKET] = "cut:1"
    with pytest.raises(MeiflowError):
        fetch(f"{server.bucket}/{IN_BUCKET}", home, ConnectionLimits(0.5, 0.5, 1, 0.01))
    server.faults[IN_BUCKET] = "norange"
    fetch(f"{server.bucket}/{IN_BUCKET}", home, HASTY)
    assert is_whole(home, tiny_nwb)


def test_slow_but_steady_is_fine(server, home, tiny_nwb):
    """The whole transfer takes longer than the read timeout, but no pause does."""
    server.faults[IN_BUCKET] = "slow"
    download(server, home)
    assert is_whole(home, tiny_nwb)
    assert not [p for p in server.asked if IN_WAREHOUSE in p]


def test_a_wrong_session_is_refused(small_session, home):
    with warehouse(small_session.session_file) as server:
        with pytest.raises(MeiflowError, match=r"contains session \d+ instead of 798911424"):
            download(server, home)
        assert not home.exists()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", "the server returned status 500"),
        ("garbage", "not from the Allen warehouse"),
        ("stall", "no response for 0.5 s"),
        ("cut", "received|interrupted|failed"),
    ],
)
def test_queries_are_guarded_too(server, home, tiny_nwb, fault, message):
    server.faults["query.json"] = fault
    with pytest.raises(MeiflowError, match=message):
        download(server, home)
    server.faults.clear()
    download(server, home)
    assert is_whole(home, tiny_nwb)


@pytest.mark.parametrize("fault", ["500", "garbage", "stall", "cut"])
def test_templates_are_guarded_too(server, home, tiny_nwb, fault):
    (home.parents[1] / "scenes" / "005.png").unlink()
    server.faults["download/1005"] = fault
    with pytest.raises(MeiflowError):
        download(server, home)
    assert not (home.parents[1] / "scenes" / "005.png").exists()
    server.faults.clear()
    download(server, home)
    numbers, stack = load_images(home.parents[1] / "scenes", (9, 12))
    np.testing.assert_allclose(stack[:, 0, 0] * 255, numbers, atol=1e-4)


IN_MOVIES = "natural_movie_templates/natural_movie_3.h5"


@pytest.mark.parametrize("fault", ["", "404", "garbage", "cut_without_length"])
def test_movies_come_from_the_bucket_or_from_the_warehouse(server, home, tiny_nwb, fault):
    """The files are .npy arrays in spite of their names, as in the real bucket."""
    server.faults[IN_MOVIES] = fault
    names = ["natural_movie_one", "natural_movie_three"]
    download(server, home, movies=names)
    for name, number in zip(names, (1, 3), strict=True):
        found = np.load(home.parents[1] / "movies" / f"{name}.npy")
        np.testing.assert_array_equal(found, movie(number))
    assert bool([p for p in server.asked if f"download/{FIRST_MOVIE + 3}" in p]) == bool(fault)
    before = len(server.asked)
    download(server, home, movies=names)
    assert len(server.asked) == before


def test_a_movie_that_cannot_be_had_is_named(server, home, tiny_nwb):
    server.faults |= {IN_MOVIES: "404", f"download/{FIRST_MOVIE + 3}": "500"}
    with pytest.raises(MeiflowError, match=r"natural_movie_three could not .*movies\.shown: \[\]"):
        download(server, home, movies=["natural_movie_three"])
    assert not (home.parents[1] / "movies" / "natural_movie_three.npy").exists()
    with pytest.raises(MeiflowError, match=r"no template of 'natural_movie_on' .did you mean"):
        download(server, home, movies=["natural_movie_on"])


def test_a_session_without_scenes_needs_none(empty_home, tmp_path):
    name = "natural_movie_one_more_repeats"
    nwb = tiny_session(tmp_path / "without", repeats=0, movie_repeats={name: 1})
    with warehouse(nwb) as server:
        server.known = (Known(type="functional_connectivity"),)
        with pytest.raises(MeiflowError, match=rf"name its movies in .* \({name}\), or choose"):
            download(server, empty_home, movies=["natural_movie_one"])
        with pytest.raises(MeiflowError, match="the order in which its frames are on the monitor"):
            download(server, empty_home, movies=["natural_movie_one_shuffled"])
        download(server, empty_home, movies=NaturalMovies().shown)
        assert is_whole(empty_home, nwb)
        assert not [p for p in server.asked if "download/1" in p]  # templates of scenes
    assert not (empty_home.parents[1] / "scenes").exists()
    (found,) = (empty_home.parents[1] / "movies").glob("*.npy")
    np.testing.assert_array_equal(np.load(found), movie(1))
    assert found.stem == name


def test_unknown_session_and_no_server(server, home):
    with pytest.raises(MeiflowError, match=r"no session 5; available \(1\): 798911424"):
        download(server, home, 5)
    server.address = "http://127.0.0.1:9"
    with pytest.raises(MeiflowError, match=r"refuses the connection .*; check the network"):
        download(server, home.parent / "other" / home.name)


def test_a_changed_master_copy_is_noticed_and_left_alone(server, home, tiny_nwb):
    download(server, home)
    damaged = bytearray(home.read_bytes())
    damaged[5000:5100] = bytes(100)
    home.write_bytes(damaged)
    with pytest.raises(MeiflowError, match=r"changed or damaged since the download .*[Dd]elete"):
        download(server, home)
    assert home.read_bytes() == bytes(damaged)
    home.unlink()
    download(server, home)
    assert is_whole(home, tiny_nwb)


def test_half_written_tables_are_fetched_again(server, home):
    """A killed run leaves half a units.csv, which AllenSDK would take as complete."""
    download(server, home)
    cache = home.parents[1] / "cache"
    units = cache / "units.csv"
    whole = units.read_bytes()
    (cache / "units.csv.json").unlink()
    units.write_bytes(whole[: len(whole) // 2])
    manifest = cache / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:100])
    session = Session(source="allen", id=str(SESSION), warehouse=server.address)
    table = list_sessions(session, home.parents[1], HASTY)
    assert table["units"].tolist() == [1]
    assert units.read_bytes() == whole


def test_an_existing_file_is_used_after_the_same_checks(server, home, tiny_nwb, tmp_path):
    download(server, home, nwb=str(tiny_nwb))
    assert is_whole(home, tiny_nwb)
    assert not [p for p in server.asked if IN_BUCKET in p or IN_WAREHOUSE in p]
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(tiny_nwb.read_bytes()[:9000])
    with pytest.raises(MeiflowError, match=r"broken.nwb: not a complete session NWB file"):
        download(server, home.parent / "x" / home.name, nwb=str(broken))
    # put in place by hand, without a record
    by_hand = tmp_path / "y" / home.parent.name / home.name
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(tiny_nwb.read_bytes())
    download(server, by_hand)
    assert is_whole(by_hand, tiny_nwb)


def test_two_runs_at_once_both_succeed_with_one_download(server, home, tiny_nwb):
    server.faults[IN_BUCKET] = "slow"
    faults = []

    def run():
        try:
            download(server, home)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults
    assert is_whole(home, tiny_nwb)
    assert sum(IN_BUCKET in p for p in server.asked) == 1


def test_full_disk_is_noticed_before_anything_is_written(server, home, monkeypatch):
    import shutil

    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(MeiflowError, match="GB free, but"):
        download(server, home)
    assert not home.exists()


def test_kill_during_the_download_and_resume(server, home, tiny_nwb):
    """Kill -9 half-way; the next run asks only for the rest."""
    server.faults[IN_BUCKET] = "stall"
    session = {"source": "allen", "id": str(SESSION), "warehouse": server.address}
    config = json.dumps({"session": session | {"bucket": server.bucket}})
    data = home.parents[2]
    command = [sys.executable, "-m", "meiflow.cli.app", "download", "--config", config]
    command += ["--results", str(data / "results"), "--data", str(data)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    part = home.parent / f".{home.name}.part"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if part.exists() and part.stat().st_size:
            break
        time.sleep(0.05)
    arrived = part.stat().st_size
    assert 0 < arrived < tiny_nwb.stat().st_size
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert not home.exists()
    server.faults.clear()
    download(server, home)
    assert is_whole(home, tiny_nwb)
    assert server.ranges == [f"bytes={arrived}-"]


def test_sessions_are_listed(server, home):
    session = Session(source="allen", id=str(SESSION), warehouse=server.address)
    table = list_sessions(session, home.parents[1], HASTY)
    expected = pd.DataFrame(
        {
            "session_id": [SESSION],
            "session_type": ["brain_observatory_1.1"],
            "units": [1],
            "areas": ["VISam"],
            "cached": [False],
        }
    )
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
