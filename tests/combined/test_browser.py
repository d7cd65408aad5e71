"""The page of all sessions in a real browser: a table of thousands of rows stays usable."""

from __future__ import annotations

import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.io.files import read_csv, write_csv
from meiflow.results.layout import CombinedLayout
from meiflow.stages.combine import combine_sessions
from tests.combined.results import session_results
from tests.report.conftest import LOCAL, browser

__all__ = ["browser"]  # a fixture
HOSTILE = "<img src=x onerror=alert(1)>"
COPIES = 40  # of 130 neurons: 5,200 rows


@pytest.fixture(scope="module")
def page_of_thousands(tmp_path_factory):
    """Two sessions; one neuron of the second has a hostile name and the highest score."""
    results = tmp_path_factory.mktemp("thousands")
    one = session_results(results / "m1", {f"a{i}": "VISp" for i in range(100)}, 1)
    areas = {f"b{i}": "VISam" for i in range(29)} | {"hostile": "VISam"}
    two = session_results(results / "m2", areas, 2)
    for path in (one.summary, one.selection, one.fitted_neurons):
        table = read_csv(path)
        copies = [table.assign(neuron_id=table["neuron_id"] + f"-{k}") for k in range(COPIES)]
        low = [c.assign(expected_fraction=0.1) for c in copies] if path == one.summary else copies
        write_csv(pd.concat([table, *low]), path)
    table = read_csv(two.summary)
    mine = table["neuron_id"] == "hostile"
    table.loc[mine, ["cc_norm_model", "trust_reason"]] = [1.5, HOSTILE]
    write_csv(table, two.summary)
    config = {"sessions": ["m1", "m2"], "image": {"height": 30, "width": 48}}
    with pytest.MonkeyPatch.context() as patch:  # the copies have no files
        patch.setattr("meiflow.stages.combine.write_atlas", lambda *_: None)
        combine_sessions(parse_config(config), results)
    return CombinedLayout(results / "combined").report


def cells(page, column: str) -> list[str]:
    at = page.eval_on_selector_all("#table th", "heads => heads.map(h => h.dataset.name)")
    return page.eval_on_selector_all(
        "#table tbody tr", f"rows => rows.map(r => r.cells[{at.index(column)}].textContent)"
    )


def test_thousands_of_rows_are_sorted_filtered_and_paged(browser, page_of_thousands):
    context = browser.new_context(offline=True, accept_downloads=True)
    page, faults = context.new_page(), []
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else 0)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(LOCAL) else faults.append(r.url))
    page.goto(page_of_thousands.as_uri())
    total = 100 * (COPIES + 1) + 30
    assert page.inner_text("#count") == f"{total} of {total} neurons"
    assert len(cells(page, "neuron_id")) == 100
    page.click("#table th[data-name=cc_norm_model] button")
    scores = [float(text) for text in cells(page, "cc_norm_model")]
    assert scores == sorted(scores, reverse=True)
    assert cells(page, "neuron_id")[0] == "hostile"
    link = page.get_attribute("#table tbody tr a", "href")
    assert link == "../m2/report.html#neuron-hostile"
    page.click("#page-on")
    assert page.inner_text("#page-at").startswith("page 2 of")
    assert float(cells(page, "cc_norm_model")[0]) <= scores[-1]
    page.check("#f-columns")  # all columns, the hostile reason among them, as text
    page.fill("#f-text", "onerror")
    assert page.inner_text("#count") == f"1 of {total} neurons"
    assert HOSTILE in page.inner_text("#table tbody")
    page.fill("#f-text", "")
    page.select_option("#f-area", "VISam")
    assert page.inner_text("#count") == f"30 of {total} neurons"
    with page.expect_download() as saved:
        page.click("#rows-csv")
    table = pd.read_csv(saved.value.path())
    assert len(table) == 30
    assert set(table["area"]) == {"VISam"}
    assert HOSTILE in set(table["trust_reason"])
    with page.expect_download() as saved:
        page.click("figure[data-key=areas] [data-get=csv]")
    assert {"measure", "area", "session_id"} < set(pd.read_csv(saved.value.path()))
    page.click("[type=reset]")
    # a function: an expression would be evaluated, which the page's security policy refuses
    page.wait_for_function(
        f"() => document.getElementById('count').textContent.startsWith('{total} of')"
    )
    context.close()
    assert not faults
