"""The report of fifty neurons in a real headless browser, without a network."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.report.conftest import HOSTILE, MANY


def rows(page) -> list[str]:
    return page.eval_on_selector_all(
        "#table tbody tr", "rows => rows.filter(r => !r.hidden).map(r => r.dataset.neuron)"
    )


def column(page, name: str) -> list[str]:
    return page.evaluate(
        """name => {
          const heads = [...document.querySelectorAll("#table th")];
          const at = heads.findIndex(h => h.dataset.name === name);
          return [...document.querySelectorAll("#table tbody tr")].filter(r => !r.hidden)
            .map(r => r.cells[at].dataset.value);
        }""",
        name,
    )


def drawn(page) -> None:
    """Wait until every figure of the open neuron is drawn."""
    page.wait_for_function(
        """() => { const frames = [...document.querySelectorAll(".neuron.open .panels")];
          return frames.length && frames.every(f => f.querySelector("svg")); }"""
    )


def test_the_overview_is_all_there(open_page):
    page = open_page()
    assert page.locator("h1").inner_text() == "Session small"
    assert page.locator(".funnel li").first.inner_text().split()[1:] [:4] == [
        "units", "in", "the", "file"
    ]  # fmt: skip
    assert page.locator("#count").inner_text() == f"{MANY} of {MANY} neurons"
    broken = page.eval_on_selector_all(
        "main img", "images => images.filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
    )
    assert not broken
    assert page.eval_on_selector_all("img", "images => images.every(i => i.alt)")
    assert page.locator(".card:visible").count() == 24
    page.click("#all-cards")
    assert page.locator(".card:visible").count() == MANY
    assert page.locator(".card .trust").first.inner_text() == "✓ trusted"


def test_an_address_of_no_neuron_is_reported(open_page):
    page = open_page(fragment="#neuron-nobody")
    assert page.locator("#count").inner_text() == "There is no neuron nobody in this report."
    assert not page.locator(".neuron.open").count()


def test_columns_sort_as_numbers_and_as_text_both_ways(open_page):
    page = open_page()
    score = page.locator('th[data-name="cc_norm_model"]')
    score.locator("button").click()  # the highest numbers come first
    values = [float(v) for v in column(page, "cc_norm_model")]
    assert score.get_attribute("aria-sort") == "descending"
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    score.locator("button").click()
    assert score.get_attribute("aria-sort") == "ascending"
    assert [float(v) for v in column(page, "cc_norm_model")] == sorted(values)
    kind = page.locator('th[data-name="kind"] button')
    kind.click()
    assert score.get_attribute("aria-sort") == "none"
    kinds = column(page, "kind")
    assert kinds == sorted(kinds)
    kind.click()
    assert column(page, "kind") == sorted(kinds, reverse=True)
    assert set(kinds) == {"complex", "simple"}
    orientation = page.locator('th[data-name="mei_orientation_deg"] button')
    for _ in ("descending", "ascending"):
        orientation.click()
        values = column(page, "mei_orientation_deg")
        missing = values.count("")
        assert missing
        assert values[-missing:] == [""] * missing


def test_filters_narrow_the_table_and_say_how_many_are_left(open_page):
    page = open_page()
    page.check("#f-trusted")
    trusted = rows(page)
    assert 0 < len(trusted) < MANY
    assert set(column(page, "trusted")) == {"1"}
    assert page.locator("#count").inner_text() == f"{len(trusted)} of {MANY} neurons"
    page.fill("#f-score", "0.5")
    values = [float(v) for v in column(page, "cc_norm_model")]
    assert 0 < len(values) < len(trusted)
    assert min(values) >= 0.5
    page.select_option("#f-kind", "simple")
    assert set(column(page, "kind")) == {"simple"}
    page.click("button[type=reset]")
    page.wait_for_selector(f"#count:text-is('{MANY} of {MANY} neurons')")
    page.fill("#f-text", "u1007")
    assert rows(page) == ["u1007"]
    page.fill("#f-text", "no such neuron")
    assert page.locator("#count").inner_text() == f"0 of {MANY} neurons"
    page.fill("#f-text", "")
    assert page.locator("td:visible").count() < page.locator("#table td").count()
    page.check("#f-columns")
    assert page.locator("#table tbody tr").first.locator("td:visible").count() == int(
        page.locator("#table th").count()
    )


def test_a_click_opens_a_neuron_and_the_back_button_returns(open_page):
    page = open_page()
    page.click('#table a:text-is("u1003")')
    drawn(page)
    assert page.locator("h2:visible").first.inner_text().startswith("Neuron u1003")
    assert page.evaluate("document.activeElement.tagName") == "H2"
    assert not page.locator("main").is_visible()
    assert page.locator(".neuron.open figure").count() >= 10
    page.click(".neuron.open [data-walk='1']")
    drawn(page)
    assert page.locator("h2:visible").first.inner_text().startswith("Neuron u1004")
    page.go_back()
    page.wait_for_selector("h2:visible:has-text('Neuron u1003')")
    page.go_back()
    page.wait_for_selector("main:visible")
    assert page.evaluate("document.activeElement.textContent") == "u1003"
    page.go_forward()
    page.wait_for_selector("h2:visible:has-text('Neuron u1003')")


def test_the_keyboard_alone_is_enough(open_page):
    page = open_page()
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#table td') !== null"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".neuron.open")
    first = page.locator(".neuron.open").get_attribute("data-neuron")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".neuron.open[data-neuron='u1001']")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "id => document.querySelector('.neuron.open').dataset.neuron === id", arg=first
    )
    page.keyboard.press("Escape")
    page.wait_for_selector("main:visible")
    assert page.evaluate("location.hash") == "#neurons"
    # headings of the table are buttons
    page.focus('th[data-name="oracle"] button')
    page.keyboard.press("Enter")
    assert page.locator('th[data-name="oracle"]').get_attribute("aria-sort") == "descending"


def test_next_follows_what_the_table_shows(open_page):
    page = open_page()
    page.fill("#f-text", "u100")
    page.click('th[data-name="neuron_id"] button')
    page.click('th[data-name="neuron_id"] button')
    shown = rows(page)
    page.click(f'#table a:text-is("{shown[2]}")')
    page.wait_for_selector(f".neuron.open[data-neuron='{shown[2]}']")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f".neuron.open[data-neuron='{shown[3]}']")


def test_every_neuron_has_its_figures_by_address(open_page):
    page = open_page(fragment="#neuron-u1049")
    drawn(page)
    ids = page.eval_on_selector_all(".neuron", "pages => pages.map(p => p.dataset.neuron)")
    assert len(ids) == MANY
    for neuron in ids[1:8]:
        page.evaluate("id => { location.hash = 'neuron-' + encodeURIComponent(id); }", neuron)
        page.wait_for_function(
            "id => document.querySelector('.neuron.open')?.dataset.neuron === id", arg=neuron
        )
        drawn(page)


def test_a_hostile_id_is_text_and_opens(open_page):
    page = open_page()
    page.on("dialog", lambda dialog: pytest.fail("a script of an id ran"))
    row = page.locator("#table tbody tr").filter(has_text="alert(1)")
    row.locator("a").click()
    drawn(page)
    assert page.locator(".neuron.open").get_attribute("data-neuron") == HOSTILE
    assert "<script>alert(1)</script>" in page.locator("h2:visible").first.inner_text()


def saved(page, button) -> bytes:
    with page.expect_download() as waiting:
        button.click()
    return Path(waiting.value.path()).read_bytes()


def check_downloads(png: bytes, svg: bytes, csv: bytes) -> None:
    """The files open elsewhere: the SVG needs neither the page's style nor other files."""
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    grey = picture.convert("L")
    assert grey.getextrema()[0] < 100  # the picture is not empty, ...
    assert grey.getpixel((grey.width - 1, 0)) == 255  # ... on white
    root = ET.fromstring(svg)
    width = root.attrib["width"]
    points = 4 / 3 if width.endswith("pt") else 1
    assert picture.width == pytest.approx(3 * points * float(width.removesuffix("pt")), abs=3)
    text = svg.decode()
    assert not re.search(r"var\(|currentColor|url\((?!#)", text)
    links = re.findall(r'href="([^"]{5})', text)
    assert all(link == "data:" or link.startswith("#") for link in links)
    assert len(pd.read_csv(io.BytesIO(csv)))


def test_a_figure_is_saved_as_a_file(open_page):
    page = open_page()
    figure = page.locator("main figure[data-key=closed_loop]")
    check_downloads(
        *(saved(page, figure.locator(f"[data-get={k}]")) for k in ("png", "svg", "csv"))
    )


def test_figures_answer_and_are_saved_together(open_page, results, view):
    page = open_page(fragment="#neuron-u1003")
    drawn(page)
    table = next(d.data["table"] for d in view.pages[0].drawings if d.key == "prediction")
    raster = page.locator(".neuron.open figure[data-key=raster]")
    card, order = raster.locator(".shown > text"), {}
    for name in ("measured", "predicted"):
        raster.locator("select").select_option(name)
        order[name] = table["image_id"][int(np.argmax(table[name]))]
        page.wait_for_selector(
            f".neuron.open [data-key=raster][data-sort={name}] .shown > text"
            f":text-matches('^image {order[name]}, 1 of')"
        )
    heat = raster.locator(".rows image").first
    heat.hover(position={"x": 5, "y": heat.bounding_box()["height"] - 2})
    least = table["image_id"][int(np.argmin(table["predicted"]))]
    assert card.first.text_content().startswith(f"image {least}, ")
    # from the keyboard as well
    raster.locator("input[type=range]").press("Home")
    assert card.first.text_content().startswith(f"image {order['predicted']}, 1 of")
    contrast = page.locator(".neuron.open figure[data-key=contrast]")
    contrast.locator("input").press("Home")
    assert contrast.locator("output").inner_text().endswith(" 0.00")
    ascent = page.locator(".neuron.open figure[data-key=ascent]")
    shown = ascent.locator("image").first
    images = [shown.get_attribute("href")]
    for key, step, response in (
        ("Home", 0, "1.00"),
        ("ArrowRight", 10, "3.53"),
        ("End", 99, "5.00"),
    ):
        ascent.locator("input").press(key)
        assert ascent.locator("input").get_attribute("aria-valuetext").startswith(f"step {step}")
        assert ascent.locator("output").inner_text().endswith(f" {response}")
        images.append(shown.get_attribute("href"))
    assert images[0] == images[3]
    assert len(set(images)) == 3
    zipped = zipfile.ZipFile(io.BytesIO(saved(page, page.locator(".neuron.open [data-zip]"))))
    assert zipped.testzip() is None
    names = zipped.namelist()
    keys = page.eval_on_selector_all(".neuron.open figure", "all => all.map(f => f.dataset.key)")
    for key in keys:
        check_downloads(*(zipped.read(f"{key}.{kind}") for kind in ("png", "svg", "csv")))
    assert all(f"{key}: " in zipped.read("captions.txt").decode() for key in keys)
    assert {"without-axes/mei.png", "without-axes/best_gabor.png"} <= set(names)
    mei = Image.open(io.BytesIO(zipped.read("without-axes/mei.png")))
    truth = np.load(results.neuron(view.pages[0].id).mei)
    assert mei.size == (8 * truth.shape[1], 8 * truth.shape[0])
    grey = np.asarray(mei.convert("L"), dtype=float)[::8, ::8]
    away = truth - np.median(truth)
    np.testing.assert_allclose(grey, 127.5 + 127.5 * away / np.abs(away).max(), atol=0.6)
    # transparent where alpha is, and over grey the image that was shown
    clear = Image.open(io.BytesIO(zipped.read("without-axes/transparent.png")))
    assert clear.mode == "RGBA"
    colour, alpha = (np.asarray(clear, dtype=float)[::8, ::8, k] for k in (0, 3))
    image, opacity = np.load(results.procedure("transparent").images)[0]
    np.testing.assert_allclose(alpha, 255 * opacity, atol=1.1)
    away = image - np.median(image)
    shown = 127.5 + (colour - 127.5) * alpha / 255
    expected = 127.5 + 127.5 * away / np.abs(away).max()
    np.testing.assert_allclose(shown, expected, atol=4)


# Content of a download, without saving it: Chromium drops every eleventh download of a page.
CAUGHT = """
() => {
  window.caught = [];
  const blobs = new Map(), address = URL.createObjectURL;
  URL.createObjectURL = blob => { const a = address(blob); blobs.set(a, blob); return a; };
  HTMLAnchorElement.prototype.click = function () {
    const name = this.download;
    blobs.get(this.href).arrayBuffer().then(all => {
      let text = "";
      for (const byte of new Uint8Array(all)) text += String.fromCharCode(byte);
      window.caught.push([name, btoa(text)]);
    });
  };
}
"""


def test_every_figure_has_downloads(open_page):
    page = open_page()
    page.evaluate(CAUGHT)
    figures = page.locator("main figure[data-key]")
    assert figures.count() >= 8
    for figure in figures.all():
        page.evaluate("window.caught = []")
        figure.evaluate("f => f.querySelectorAll('[data-get]').forEach(b => b.click())")
        page.wait_for_function("() => window.caught.length === 3")
        got = dict(page.evaluate("window.caught"))
        by_kind = {name.rpartition(".")[2]: base64.b64decode(text) for name, text in got.items()}
        check_downloads(by_kind["png"], by_kind["svg"], by_kind["csv"])
        assert all(re.fullmatch(r"[\w.-]+", name) for name in got)


def test_table_and_configuration_can_be_saved(open_page, report_config, results):
    from meiflow.config.config import load_config

    page = open_page()
    table = saved(page, page.locator("[data-save=summary]"))
    assert pd.read_csv(io.BytesIO(table)).shape == pd.read_csv(results.summary).shape
    with page.expect_download() as waiting:
        page.locator("[data-save=config]").first.click()
    assert waiting.value.suggested_filename == "meiflow-small.json"
    assert load_config(Path(waiting.value.path()).read_text()) == report_config


@pytest.mark.parametrize("fragment", ["", "#neuron-u1001"])
def test_a_phone_needs_no_sideways_scrolling(open_page, fragment):
    page = open_page(fragment=fragment, viewport={"width": 390, "height": 844})
    if fragment:
        drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.eval_on_selector_all(
        "figure:not(.wide) img, figure:not(.wide) .panels",
        "all => all.filter(i => i.offsetParent && i.getBoundingClientRect().width < 300).length",
    )
    assert small == 0  # a figure of column width fills the screen of a phone


@pytest.mark.parametrize(("scheme", "paper"), [("light", 255), ("dark", 24)])
def test_light_and_dark_follow_the_system(open_page, scheme, paper):
    page = open_page(color_scheme=scheme)

    def colour(selector: str, name: str) -> list[float]:
        text = page.eval_on_selector(selector, f"e => getComputedStyle(e).{name}")
        return [float(v) for v in text.removeprefix("rgb(").removesuffix(")").split(",")]

    def luminance(rgb: list[float]) -> float:
        linear = [v / 3294.6 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = colour("body", "backgroundColor")
    assert max(ground) == pytest.approx(paper, abs=6)
    for selector in ("body", ".soft", "nav a", ".trust.yes", ".trust.no", "th button"):
        light, dark = sorted((luminance(colour(selector, "color")), luminance(ground)))[::-1]
        assert (light + 0.05) / (dark + 0.05) >= 4.5, selector  # WCAG AA


def test_without_javascript_the_tables_are_there(browser, big_page):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(big_page.as_uri())
    assert page.locator("noscript").count() == 1
    assert page.locator("noscript p").is_visible()
    assert page.locator(".neuron .facts").nth(MANY - 1).is_visible()
    assert page.locator(".card:visible").count() == MANY
    assert not page.locator(".downloads").first.is_visible()
    context.close()


def test_it_prints(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator("#table").is_visible()
    assert len(page.pdf()) > 50_000
