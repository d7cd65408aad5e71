"""Combined results of several sessions, from made-up results folders."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from meiflow.combined.estimates import estimate, interval, session_values
from meiflow.combined.gather import SessionTables, costs, gather
from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, read_csv, write_array, write_csv
from meiflow.results.layout import CombinedLayout, Layout
from meiflow.stages.combine import combine_sessions, timings
from meiflow.stages.outdated import mark_report
from tests.combined.results import session_results
from tests.docs.pages import ROOT
from tests.docs.test_commands import documented

HOSTILE = "<script>alert(1)</script>\"'&é"
IDS = ["m1", "m2", "m3"]


def config_of(ids=IDS, **more):
    document = {"sessions": list(ids), "image": {"height": 30, "width": 48}}
    return parse_config(document | more)


@pytest.fixture
def results(tmp_path):
    """Two sessions with the same neuron ids, one with two areas, and one with no neuron left."""
    session_results(tmp_path / "m1", {"7": "VISp", "8": "VISp", "9": "VISam"}, 1, failed=1)
    session_results(tmp_path / "m2", {}, 2, unselected=3)
    session_results(tmp_path / "m3", {"8": "VISam", "007": "VISam"}, 3)
    return tmp_path


def combined(results, config=None):
    """Layout of the output of `combine_sessions`."""
    combine_sessions(config or config_of(), results)
    return CombinedLayout(results / "combined")


CHOICE = pd.DataFrame(
    {
        "session_id": ["m1", "m3", "m8"],
        "chosen": [True, True, False],
        "reason": ["", "", "showed no natural scenes"],
    }
)


def tables_of(results, ids=IDS):
    """Tables of the sessions, as the stage reads them."""
    return {
        session: SessionTables(
            *(read_csv(p) for p in layout.named("selection", "fitted_neurons", "units")),
            read_csv(layout.summary) if layout.summary.exists() else None,
        )
        for session in ids
        for layout in [Layout(results / session)]
    }


def test_neurons_keep_their_session_area_and_summary(results):
    found = gather(tables_of(results)).neurons
    assert found.columns[:3].tolist() == ["session_id", "neuron_id", "area"]
    keys = list(zip(found["session_id"], found["neuron_id"], found["area"], strict=True))
    assert keys == [
        ("m1", "7", "VISp"),
        ("m1", "8", "VISp"),
        ("m1", "9", "VISam"),
        ("m3", "8", "VISam"),
        ("m3", "007", "VISam"),
    ]
    own = read_csv(Layout(results / "m3").summary)
    assert found.columns[3:].tolist() == own.columns.drop(["neuron_id", "area"]).tolist()
    np.testing.assert_array_equal(found["cc_norm_model"][3:], own["cc_norm_model"])


def test_a_column_that_one_session_lacks_is_left_empty_there(results):
    path = Layout(results / "m1").summary
    write_csv(read_csv(path).assign(recorded_gabor_response=2.0), path)
    found = gather(tables_of(results)).neurons["recorded_gabor_response"]
    assert found.tolist()[:3] == [2.0] * 3
    assert found[3:].isna().all()


def test_every_session_has_a_row_and_an_empty_one_its_reason(results):
    table = gather(tables_of(results)).sessions.set_index("session_id")
    assert table.index.tolist() == IDS
    assert table.loc["m1", ["units", "selected", "fit_failed", "modelled"]].tolist() == [6, 4, 1, 3]
    assert table.loc["m2", ["units", "selected", "modelled"]].tolist() == [3, 0, 0]
    assert table.loc["m2", "status"] == "no neurons left"
    assert table.loc["m2", "reason"] == "3 of 3: oracle_p > 0.01"
    own = read_csv(Layout(results / "m1").summary)
    median = own["cc_norm_model"].median()
    assert table.loc["m1", "median_cc_norm_model"] == pytest.approx(median)
    assert table.loc["m1", "trusted"] == own["trusted"].sum()


def test_no_neurons_in_any_session_is_an_error_that_gives_the_reasons(results):
    with pytest.raises(MeiflowError, match=r"no session has any neurons left \(m2: 3 of 3"):
        gather(tables_of(results, ["m2"]))


def test_a_session_without_results_is_named(results):
    with pytest.raises(MeiflowError, match=r"m9/models/neurons\.csv: no such file"):
        combined(results, config_of([*IDS, "m9"]))
    assert not (results / "combined").exists()


def test_costs_are_summed_by_stage_and_short_jobs_count(results):
    table = costs(timings(results, ["m1", "m3"])).set_index(["session_id", "stage"])
    assert table.loc[("m1", "fit_models")].tolist() == [1, 2.5, 4.0, 300.0]
    assert table.loc[("m3", "stimuli")].tolist() == [2, 1.0, 0.25, 90.0]
    assert not len(costs(timings(results / "nowhere", ["m1"])))
    odd = pd.DataFrame({"s": [1.0], "mean_load": [2.0]})  # of another version of Snakemake
    assert not len(costs([("m1", "tables", odd)]))


def neurons_of(values, holds=True):
    """Neurons of several sessions from {session: sizes of MEIs}."""
    rows = [(s, str(i), "VISp", v) for s, own in values.items() for i, v in enumerate(own)]
    table = pd.DataFrame(rows, columns=["session_id", "neuron_id", "area", "mei_size_deg"])
    return table.assign(model_above_chance=holds)


def test_a_session_counts_once_however_many_neurons_it_has():
    neurons = neurons_of({"a": [10.0] * 99 + [50.0], "b": [20.0], "c": [30.0]})
    values = session_values(neurons)
    values = values[values["measure"] == "mei_size_deg"]
    assert values["value"].tolist() == pytest.approx([10, 20, 30])
    (row,) = estimate(values, 0).to_dict("records")
    assert (row["mean"], row["sessions"], row["neurons"]) == pytest.approx((20, 3, 102))
    assert np.isnan(row["low"])  # no interval from three sessions


def test_meis_of_models_no_better_than_chance_are_not_counted():
    neurons = neurons_of({"a": [10.0, 90.0], "b": [20.0]}, holds=[True, False, True])
    values = session_values(neurons)
    sizes = values.loc[values["measure"] == "mei_size_deg", "value"]
    assert sizes.tolist() == pytest.approx([10, 20])
    above = values.loc[values["measure"] == "model_above_chance", "value"]
    assert above.tolist() == pytest.approx([0.5, 1])


def test_areas_are_ordered_from_the_thalamus_upwards_and_together():
    neurons = neurons_of({"a": [10.0, 20.0, 60.0]})
    neurons["area"] = ["VISam", "VISp", "CA1"]
    values = session_values(neurons)
    sizes = values[values["measure"] == "mei_size_deg"].set_index("area")["value"].to_dict()
    assert sizes == pytest.approx({"VISam": 10, "VISp": 20, "CA1": 60, "all areas": 20})


def test_the_interval_covers_the_mean_of_independent_sessions():
    """Neurons of a session are similar: the interval reflects sessions, not neurons."""
    rng = np.random.default_rng(4)
    covered, widths = 0, []
    for _ in range(200):
        low, high = interval(rng.normal(0, 1, 20), seed=0)
        covered += low <= 0 <= high
        widths.append(high - low)
    assert 0.87 < covered / 200 < 0.99  # 95 % except for chance and the bootstrap's bias
    assert abs(np.mean(widths) - 2 * 1.96 / np.sqrt(20)) < 0.12
    np.testing.assert_array_equal(interval([1, 2, 3, 4, 5], 1), interval([1, 2, 3, 4, 5], 1))


class Page(HTMLParser):
    """Links and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named["href"]] if tag == "a" else []
        self.loaded += [named["src"]] if "src" in named else []


def json_of(text: str, name: str):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text, re.S)[1])


def test_the_page_contains_every_neuron_and_links_to_the_sessions(results):
    write_csv(CHOICE, CombinedLayout(results / "combined").warehouse)
    text = combined(results).report.read_text()
    assert "sessions in the warehouse" not in text  # left from a run that named all
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {link.split("#")[0] for link in page.links if link.startswith("..")} == {
        "../m1/report.html",
        "../m3/report.html",
    }
    assert "../m3/report.html#neuron-007" in page.links
    assert all(address.startswith("data:") for address in page.loaded)
    table = json_of(text, "data-table")
    assert sorted(row[:3] for row in table["rows"]) == sorted(
        gather(tables_of(results)).neurons.iloc[:, :3].to_numpy().tolist()
    )
    assert "3 of 3: oracle_p &gt; 0.01" in text
    assert "no interval is given" in text


def test_the_same_results_give_the_same_files_whose_columns_are_explained(results):
    first, second = (
        {
            p.relative_to(layout.root): p.read_bytes()
            for p in layout.root.rglob("*.*")
            if not p.name.startswith(".")
        }
        for layout in (combined(results) for _ in range(2))
    )
    assert len(first) == 16
    assert first == second
    costs_of = read_csv(CombinedLayout(results / "combined").cost)
    assert costs_of["session_id"].unique().tolist() == IDS
    known = documented(ROOT / "docs" / "results.md")
    columns = {c for p in first if p.suffix == ".csv" for c in read_csv(results / "combined" / p)}
    assert not {c for c in columns if not known.fullmatch(c)}


def test_a_name_is_shown_and_not_executed(results):
    session_results(results / "m4", {HOSTILE.replace("/", ""): HOSTILE}, 4)
    config = config_of([*IDS, "m4"], report={"title": HOSTILE})
    text = combined(results, config).report.read_text()
    assert "<script>alert" not in text
    assert HOSTILE in [row[2] for row in json_of(text, "data-table")["rows"]]


def test_neurons_without_an_area_are_grouped(results):
    """A user's tables have no areas."""
    for session in IDS:
        path = Layout(results / session).summary
        if path.exists():
            write_csv(read_csv(path).drop(columns="area"), path)
    layout = combined(results)
    table = read_csv(layout.estimates)
    assert set(table["area"]) == {"all areas"}
    assert read_csv(layout.neurons)["area"].isna().all()


def test_sessions_that_were_not_chosen_are_listed(results):
    config = config_of(session={"source": "allen", "id": "1"}, sessions="all")
    with pytest.raises(MeiflowError, match=r"combined/warehouse\.csv: no such file"):
        combined(results, config)
    write_csv(CHOICE, CombinedLayout(results / "combined").warehouse)
    text = combined(results, config).report.read_text()
    assert (
        "Of the 3 sessions in the warehouse, 2 were chosen; excluded: 1 (showed no natural scenes)."
        in text
    )


def test_the_page_is_outdated_as_soon_as_a_session_or_a_shown_mei_changes(results):
    page = combined(results).report
    m3 = Layout(results / "m3")
    before = page.read_bytes()
    mark_report(m3, "summary")
    mark_report(m3, "stimuli", "007")
    assert page.read_bytes() == before
    write_csv(read_csv(m3.summary).assign(cc_norm_model=0.5), m3.summary)
    mark_report(m3, "summary")
    assert "among them those of session m3." in page.read_text()
    combined(results)
    assert page.read_bytes().count(b"outdated.</strong>") == 0
    write_array(read_array(m3.neuron("007").mei) * 0.9, m3.neuron("007").mei)
    mark_report(m3, "stimuli", "007")
    assert "among them those of neuron 007 of session m3." in page.read_text()
