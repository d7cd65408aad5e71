"""The sessions that `sessions: all` selects, with AllenSDK's real client."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from meiflow.config.sections import Session
from meiflow.errors import MeiflowError
from meiflow.io.files import write_csv
from meiflow.session.download import choose_sessions, chosen_sessions
from meiflow.session.warehouse import Warehouse
from tests.session.warehouse import Known, warehouse

BAD = {"isi_violations": 0.9}
KNOWN = (
    Known(30, units=(("VISam", {}), ("VISp", BAD))),
    Known(10, "functional_connectivity", units=(("VISp", {}),)),
    Known(20, units=(("VISp", {}), ("VISp", {"presence_ratio": 0.9}), ("VISam", BAD))),
    Known(40, units=(("VISp", {"amplitude_cutoff": None}),)),
)


@pytest.fixture
def server(tmp_path):
    with warehouse(tmp_path / "none.nwb") as running:
        running.known = KNOWN
        yield running


def choice(server, tmp_path, **keys):
    session = Session(source="allen", warehouse=server.address, bucket=server.bucket, **keys)
    return choose_sessions(session, tmp_path).set_index("session_id")


def test_units_come_unfiltered(server, tmp_path):
    """With infinite limits AllenSDK drops only units without metrics."""
    units = Warehouse(server.address, tmp_path / "cache").units()
    assert len(units) == 6
    assert sorted(units["isi_violations"]) == [0.1] * 4 + [0.9] * 2
    assert units["presence_ratio"].min() == 0.9
    assert not units["amplitude_cutoff"].map(math.isnan).any()


@pytest.mark.parametrize(
    ("area", "units", "chosen"),
    [
        ("VISam", [0, 0, 1, 0], [30]),
        ("VISp", [1, 1, 0, 0], [20]),
        (["VISam", "VISp"], [1, 1, 1, 0], [20, 30]),
        ("all", [1, 1, 1, 0], [20, 30]),
    ],
)
def test_sessions_with_scenes_and_good_units_are_chosen(server, tmp_path, area, units, chosen):
    table = choice(server, tmp_path, area=area, movies={"shown": ["natural_movie_one"]})
    assert table.index.tolist() == [10, 20, 30, 40]
    assert table["units"].tolist() == units
    assert table.index[table["chosen"]].tolist() == chosen
    reasons = table.loc[~table["chosen"], "reason"]
    assert reasons[10] == "showed neither natural scenes nor a movie of session.movies.shown"
    assert set(reasons.drop(10)) == {"no unit in the areas passes the quality filters"}


def test_sessions_of_both_kinds_are_chosen_by_default(server, tmp_path):
    table = choice(server, tmp_path, area="all")
    assert table.index[table["chosen"]].tolist() == [10, 20, 30]


def test_the_quality_filters_are_those_of_the_configuration(server, tmp_path):
    quality = {"isi_violations_max": 1.0, "presence_ratio_min": 0.5}
    table = choice(server, tmp_path, area="all", quality=quality)
    assert table["units"].tolist() == [1, 3, 2, 0]


def test_no_session_at_all_is_an_error_that_names_the_areas(server, tmp_path):
    with pytest.raises(MeiflowError, match=r"none of the 4 .* LGd; available areas: VISam"):
        choice(server, tmp_path, area="LGd")


def test_the_choice_is_read_back_as_ids(tmp_path):
    table = pd.DataFrame({"session_id": [1, 2], "chosen": [True, False], "reason": ["", "x"]})
    write_csv(table, tmp_path / "w.csv")
    assert chosen_sessions(tmp_path / "w.csv") == ["1"]
