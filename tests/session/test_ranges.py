"""Sessions read from an address by ranges, with a server that counts bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.session.ranges import BLOCK, RangeFile, connect
from meiflow.session.reader import open_reader
from meiflow.session.recording import read_session
from meiflow.session.transfer import ConnectionLimits
from tests.session.byte_server import byte_server

AREA = ("VISp",)
QUICK = ConnectionLimits(connect_s=2, read_s=2, attempts=2, pause_s=0.01)


@pytest.fixture(scope="module")
def large(small_session, tmp_path_factory):
    """The small session with trains and waveforms as large as in a released file."""
    path = tmp_path_factory.mktemp("large") / "session.nwb"
    shutil.copy(small_session.session_file, path)
    rng = np.random.default_rng(0)
    with h5py.File(path, "r+") as file:
        units = file["units"]
        n = len(units["id"])
        ends = 50_000 * np.arange(1, n + 1)
        spikes = np.concatenate([np.sort(rng.uniform(0, 600, 50_000)) for _ in range(n)])
        new = {"spike_times": spikes, "spike_amplitudes": spikes, "spike_times_index": ends}
        new |= {"spike_amplitudes_index": ends, "waveform_mean": np.zeros((374 * n, 82))}
        new["waveform_mean_index"] = 374 * np.arange(1, n + 1)
        for name, values in new.items():
            attributes = dict(units[name].attrs)
            del units[name]
            units.create_dataset(name, data=values).attrs.update(attributes)
    return path


def same(one, two):
    pd.testing.assert_frame_equal(one.units, two.units)
    pd.testing.assert_frame_equal(one.scenes, two.scenes)
    assert one.conditions.keys() == two.conditions.keys()
    for name, table in one.conditions.items():
        pd.testing.assert_frame_equal(table, two.conditions[name])
    for a, b in zip(one.spike_times, two.spike_times, strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_area_moves_less_than_a_quarter_and_nothing_twice(large, tmp_path):
    whole = read_session(large, AREA, Quality())
    with byte_server(file=large) as server:
        connect(f"{server.address}/file", tmp_path / "part", QUICK)
        same(read_session(tmp_path / "part", AREA, Quality()), whole)
        assert len(whole.units) >= 3
        assert 0 < server.sent < large.stat().st_size / 4
        before = server.sent
        same(read_session(tmp_path / "part", AREA, Quality()), whole)
        assert server.sent == before
    # without the server, from what is on disk
    same(read_session(tmp_path / "part", AREA, Quality()), whole)
    with pytest.raises(MeiflowError, match=r"127.0.0.1.*"):
        read_session(tmp_path / "part", ("VISam",), Quality())


def test_every_table_by_ranges_is_that_of_the_file(small_session, tmp_path):
    with byte_server(file=small_session.session_file) as server:
        connect(f"{server.address}/file", tmp_path / "part", QUICK)
        with (
            open_reader(tmp_path / "part") as one,
            open_reader(small_session.session_file) as two,
        ):
            for name in ("units", "channels", "presentations", "invalid_times", "running"):
                pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), obj=name)


def test_any_part_of_a_file_is_its_bytes(tmp_path, rng):
    data = rng.integers(0, 256, 9 * BLOCK + 17, dtype=np.uint8).tobytes()
    (tmp_path / "data").write_bytes(data)
    with byte_server(data=tmp_path / "data") as server:
        connect(f"{server.address}/data", tmp_path / "part", QUICK)
        with RangeFile(tmp_path / "part", QUICK) as file:
            for start in (0, BLOCK - 1, 3 * BLOCK, len(data) - 5, len(data), 7):
                file.seek(start)
                assert file.read(BLOCK + 2) == data[start : start + BLOCK + 2]
        asked = len(server.asked)
        connect(f"{server.address}/data", tmp_path / "part", QUICK)  # as it was
        with RangeFile(tmp_path / "part", QUICK) as file:
            assert file.read(BLOCK) == data[:BLOCK]
        assert len(server.asked) == asked + 1
        server.faults["data"] = "changed"
        with RangeFile(tmp_path / "part", QUICK) as file:
            file.seek(6 * BLOCK)
            with pytest.raises(MeiflowError, match="file on the server has changed"):
                file.read(10)
        connect(f"{server.address}/data", tmp_path / "part", QUICK)
        with RangeFile(tmp_path / "part", QUICK) as file:
            assert file.read() == data


@pytest.mark.parametrize(
    ("fault", "message"),
    [("norange", "does not send parts of files"), ("404", "returned status 404")],
)
def test_a_server_without_ranges_is_explained(small_session, tmp_path, fault, message):
    with byte_server(file=small_session.session_file) as server:
        server.faults["file"] = fault
        with pytest.raises(MeiflowError, match=message):
            connect(f"{server.address}/file", tmp_path / "part", QUICK)


def test_a_transfer_that_breaks_off_is_one_line_and_goes_on_later(large, tmp_path):
    part = tmp_path / "part"
    with byte_server(file=large) as server:
        connect(f"{server.address}/file", part, QUICK)
        server.faults["file"] = "cut"
        with RangeFile(part, QUICK) as file, pytest.raises(MeiflowError, match="interrupted"):
            file.read(10)
        server.faults.clear()
        same(read_session(part, AREA, Quality()), read_session(large, AREA, Quality()))


def test_info_of_a_file_and_of_an_address_are_the_same(large):
    def info(source: str) -> str:
        done = CliRunner().invoke(app, ["session", "info", str(source)])
        assert done.exit_code == 0, done.output
        return done.output.replace("session.nwb", "").replace("file", "")

    with byte_server(file=large) as server:
        assert info(f"{server.address}/file") == info(str(large))
        assert server.sent < large.stat().st_size / 4


def test_info_says_what_can_be_run_and_what_is_missing(tmp_path):
    old = Path(__file__).parents[1] / "data" / "old_session.nwb"
    text = CliRunner().invoke(app, ["session", "info", str(old)]).output
    assert "units: 13 in the file, 9 with a good label in a known structure, 8 after" in text
    assert "area VISam: 6 units, 5 good, 5 after the filters" in text
    assert "stimulus natural_scenes: 68 presentations of 8 frames" in text
    assert "can be run: models and MEIs from natural_scenes" in text
    assert "missing: flashes: no on and off responses" in text
    broken = Path(shutil.copy(old, tmp_path / "broken.nwb"))
    with h5py.File(broken, "r+") as file:
        del file["units"], file["intervals/natural_scenes_presentations"]
    text = CliRunner().invoke(app, ["session", "info", str(broken)]).output
    assert "missing: session.nwb: " in text
    assert "contains no sorted units" in text
    assert "cannot be run: no units that can be read" in text
    assert "stimulus gabors: 243 presentations" in text
