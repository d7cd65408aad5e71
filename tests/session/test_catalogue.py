"""The release from the bucket alone, and the warehouse where the bucket fails."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from meiflow.config.sections import Quality, Session
from meiflow.errors import MeiflowError
from meiflow.session.catalogue import Catalogue
from meiflow.session.download import choose_sessions, list_sessions
from meiflow.session.images import load_images
from meiflow.session.recording import read_session
from meiflow.session.warehouse import Warehouse
from tests.session.test_choose import KNOWN
from tests.session.test_download import HASTY, download, is_whole
from tests.session.warehouse import SCENES, SESSION, warehouse


@pytest.fixture
def server(tiny_nwb):
    with warehouse(tiny_nwb) as running:
        running.tables = True
        yield running


def of(server):
    return Session(source="allen", warehouse=server.address, bucket=server.bucket)


def test_a_session_comes_from_the_bucket_alone_and_without_allensdk(
    server, empty_home, tiny_nwb, monkeypatch
):
    monkeypatch.setitem(sys.modules, "allensdk", None)
    monkeypatch.delitem(sys.modules, "meiflow.session.warehouse")
    download(server, empty_home, movies=["natural_movie_one"])
    assert is_whole(empty_home, tiny_nwb)
    assert all(path.startswith("/bucket/") for path in server.asked)
    numbers, stack = load_images(empty_home.parents[1] / "scenes", (9, 12))
    assert numbers.tolist() == list(range(SCENES))
    np.testing.assert_allclose(stack[:, 0, 0] * 255, numbers, atol=1e-4)
    assert len(read_session(empty_home, ("VISam",), Quality()).units) == 2
    asked = len(server.asked)
    download(server, empty_home, movies=["natural_movie_one"])
    assert len(server.asked) == asked


@pytest.mark.filterwarnings("ignore")
def test_tables_of_the_bucket_are_allensdks(server, tmp_path):
    """Sessions, numbers of units, areas, and the units without filters by metrics."""
    server.known = KNOWN
    ours = Catalogue(of(server), tmp_path / "cache", HASTY)
    theirs = Warehouse(server.address, tmp_path / "theirs", HASTY)
    columns = ["session_type", "unit_count", "ecephys_structure_acronyms"]
    sessions = ours.sessions()
    wanted = theirs.sessions()[columns]
    for table in (sessions, wanted):
        table["ecephys_structure_acronyms"] = table["ecephys_structure_acronyms"].map(sorted)
    pd.testing.assert_frame_equal(sessions[columns], wanted, check_dtype=False)
    units, wanted = ours.units(), theirs.units()
    units = units.dropna(subset=["amplitude_cutoff"])  # AllenSDK drops units without a metric
    assert set(units.index) == set(wanted.index)
    columns = ["ecephys_session_id", "ecephys_structure_acronym", "isi_violations"]
    pd.testing.assert_frame_equal(units[columns], wanted.loc[units.index, columns])
    one, two = (choose_sessions(of(server), tmp_path / name, HASTY) for name in ("with", "without"))
    server.tables = False
    pd.testing.assert_frame_equal(one, choose_sessions(of(server), tmp_path / "x", HASTY))
    pd.testing.assert_frame_equal(one, two)
    assert any("query.json" in path for path in server.asked)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("fault", ["500", "404", "garbage", "cut_without_length"])
def test_the_warehouse_steps_in_for_tables_and_scenes(server, home, tiny_nwb, fault):
    (home.parents[1] / "scenes" / "003.png").unlink()
    server.faults |= {"units.csv": fault, "natural_scene_3.tiff": fault}
    download(server, home)
    assert is_whole(home, tiny_nwb)
    listed = list_sessions(of(server), home.parents[1], HASTY)
    assert listed["session_id"].tolist() == [SESSION]
    stack = load_images(home.parents[1] / "scenes", (9, 12))[1]
    np.testing.assert_allclose(stack[:, 0, 0] * 255, np.arange(SCENES), atol=1e-4)


def test_without_both_the_message_names_both(server, tmp_path):
    server.faults |= {".csv": "404", "query.json": "500"}
    with pytest.raises(MeiflowError, match=r"sessions: .*csv: .*404; .*status 500"):
        Catalogue(of(server), tmp_path, HASTY).sessions()


def test_without_allensdk_the_message_says_so(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "meiflow.session.warehouse", None)
    server.faults[".csv"] = "404"
    with pytest.raises(MeiflowError, match=r"404; .* needs AllenSDK, which is not installed"):
        Catalogue(of(server), tmp_path, HASTY).sessions()
