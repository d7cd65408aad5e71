"""The first screen and the linked views, driven in a browser as a reader would."""

from __future__ import annotations

import csv
import io
from urllib.parse import parse_qs

from meiflow.config.config import load_config
from tests.report.conftest import MANY
from tests.report.test_browser import column, rows, saved

SHOWN = """selector => [...document.querySelectorAll(selector)].filter(one => one.checkVisibility()
  && !one.classList.contains("out")).map(one => one.dataset.neuron ?? one.__data__.id).sort()"""
DOT = "g => g.__data__.id"


def in_every_view(page) -> dict[str, list[str]]:
    """Ids shown by the table, the gallery, the map and a plot, each sorted."""
    if page.locator("#all-cards").is_visible():
        page.click("#all-cards")
    selectors = {"gallery": ".card", "map": "#map .on-map", "plot": ".scatter:first-child .dot"}
    return {
        "table": sorted(rows(page)),
        **{name: page.evaluate(SHOWN, selector) for name, selector in selectors.items()},
    }


def drag(page, plot, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Draw a rectangle between two points, given as fractions of the plot."""
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, stop)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()


def given(page) -> dict[str, str]:
    """The state in the address, once it was written."""
    page.wait_for_timeout(250)
    return {k: v[0] for k, v in parse_qs(page.url.partition("?")[2]).items()}


def test_views_follow_each_other_and_the_address_keeps_their_state(open_page):
    page = open_page()
    labels = page.locator(".key-numbers dt").all_inner_texts()
    assert labels[0] == "MEIs can be trusted"
    assert "2 of 3 selected" in page.locator(".key-numbers dd").first.inner_text()
    # hover: the MEI with three numbers, and the same neuron in every view
    dot = page.locator(".scatter .dot").nth(30)
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    lit = page.locator("#table tr.lit").get_attribute("data-neuron")
    assert page.locator("#tip strong").inner_text().startswith(lit)
    assert page.locator("#tip dt").all_inner_texts() == ["CC_norm", "MEI / Gabor", "MEI"]
    assert "(1.00 to 1.22)" in page.locator("#tip dd").nth(1).inner_text()
    assert {one.evaluate(DOT) for one in page.locator(".dot.lit").all()} == {lit}
    # a rectangle around the upper half of a plot: all views show what lies in it
    scores = dict(zip(rows(page), map(float, column(page, "cc_norm_model")), strict=True))
    plot = page.locator(".scatter svg").first
    drag(page, plot, (0.16, 0.05), (0.96, 0.4))
    brush = [float(v) for v in given(page)["brush1"].split("~")]
    inside = sorted(n for n, score in scores.items() if brush[2] <= score <= brush[3])
    assert 5 < len(inside) < MANY - 5
    assert in_every_view(page) == dict.fromkeys(("table", "gallery", "map", "plot"), inside)
    assert f"{len(inside)} of {MANY} neurons selected" in page.inner_text("#chosen")
    # filters, order and colours act together with it
    page.check("#f-trusted")
    page.select_option("#order", "beyond")
    page.select_option("#colour", "mei_orientation_deg")
    page.locator(".axis-x").nth(1).select_option("mei_size_deg")
    trusted = [n for n in inside if n in rows(page)]
    assert 0 < len(trusted) < len(inside)
    assert in_every_view(page)["map"] == trusted
    # the tray
    for neuron in trusted[:2]:
        page.locator(f".card[data-neuron='{neuron}'] .compare").click()
    page.click("#tray-open")
    assert page.locator("#side h3").all_inner_texts() == trusted[:2]
    assert page.locator("#side img").count() == 6
    page.keyboard.press("Escape")
    # its address shows the same in another browser, and survives a neuron's page
    state = given(page)
    assert set(state) == {"brush1", "trusted", "sort", "colour", "axes2", "tray"}
    again = open_page(fragment="#" + page.url.partition("#")[2])
    assert rows(again) == rows(page)
    assert given(again) == state
    assert again.locator("#tray li").all_inner_texts() == page.locator("#tray li").all_inner_texts()
    page.locator(f"#table a:text-is('{trusted[1]}')").click()
    page.wait_for_selector(".neuron.open")
    assert page.url.endswith(f"#neuron-{trusted[1]}")
    page.go_back()
    page.wait_for_selector("main:visible")
    assert page.evaluate("document.activeElement.textContent") == trusted[1]
    assert given(page) == state
    page.click("#clear")
    page.wait_for_selector(f"#count:text-is('{MANY} of {MANY} neurons')")
    assert page.locator("#chosen").is_hidden()


def test_the_map_is_walked_with_the_keyboard(open_page):
    page = open_page()
    assert page.locator("#map a[tabindex='0']").count() == 1
    page.focus("#map a[tabindex='0']")
    page.keyboard.press("ArrowRight")
    here = page.evaluate("document.activeElement.__data__.id")
    assert here == rows(page)[1]
    assert page.locator("#tip strong").inner_text().startswith(here)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".neuron.open[data-neuron='{here}']")


def test_verdicts_are_kept_and_exclude_neurons(open_page, tmp_path):
    page = open_page()
    one, two, three = rows(page)[1:4]
    page.hover(f".card[data-neuron='{one}']")
    page.wait_for_selector(f".card[data-neuron='{one}']:hover")
    page.keyboard.press("r")
    page.focus(f".card[data-neuron='{two}'] a")
    page.keyboard.press("b")
    page.locator(f"#table a:text-is('{three}')").click()
    page.wait_for_selector(f".neuron.open[data-neuron='{three}']")
    page.keyboard.press("r")
    page.locator(".neuron.open .judge input").fill('drifts, "late"')
    page.reload()
    page.go_back()
    assert page.inner_text("#verdicts") == "3 verdicts, kept in this browser."
    page.select_option("#f-verdict", "reject")
    assert sorted(rows(page)) == sorted([one, three])
    text = saved(page, page.locator("#verdicts-csv")).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["neuron_id", "verdict", "note"],
        [one, "reject", ""],
        [two, "believe", ""],
        [three, "reject", 'drifts, "late"'],
    ]
    (tmp_path / "verdicts-small.csv").write_text(text)
    (tmp_path / "next.yaml").write_text("selection: {exclude: verdicts-small.csv}\n")
    assert load_config(tmp_path / "next.yaml").selection.exclude == [one, three]
    denied = open_page(storage=False)
    assert rows(denied)[1] == one
    denied.focus(f".card[data-neuron='{one}'] a")
    denied.keyboard.press("u")
    assert "1 verdict; this browser keeps nothing" in denied.inner_text("#verdicts")
