"""The atlas: arrangement of MEIs, and its page in a browser."""

import numpy as np
import pandas as pd
import pytest

from meiflow.combined.atlas import TILE, arrange, centred_tile
from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.report.atlas_page import render_atlas
from tests.report.conftest import LOCAL, browser

__all__ = ["browser"]  # a fixture
SCREEN = Geometry(30, 48)
COUNT = 1000


def meis(n, rng):
    """Gabors of two orientations, anywhere and of any phase, with noise."""
    kind = rng.integers(2, size=n)
    x, y = rng.uniform(-30, 30, n), rng.uniform(-20, 20, n)
    waves = gabor(SCREEN, x, y, 20.0, 90.0 * kind, rng.uniform(0, 360, n), 9.0)
    images = 0.5 + 0.2 * waves + rng.normal(0, 0.01, waves.shape)
    tiles = [centred_tile(*one, SCREEN) for one in zip(images, x, y, strict=True)]
    return kind, tiles


def test_similar_meis_are_beside_each_other():
    kind, tiles = meis(120, np.random.default_rng(0))
    places = arrange(tiles, seed=0)
    assert len(np.unique(places, axis=0)) == 120
    near = np.abs(places[:, None] - places[None]).sum(2) == 1
    same = kind[:, None] == kind[None]
    assert same[near].mean() > 0.85  # 0.5 by chance
    np.testing.assert_array_equal(places, arrange(tiles, seed=0))


@pytest.mark.parametrize("n", [1, 2, 11])
def test_few_meis_are_arranged(n):
    assert len(np.unique(arrange(meis(n, np.random.default_rng(1))[1], 0), axis=0)) == n


def test_a_thousand_meis_are_filtered_and_opened(browser, tmp_path):
    rng = np.random.default_rng(2)
    tiles = meis(40, rng)[1]
    tiles = [tiles[i % 40] + rng.normal(0, 0.05, (TILE, TILE)) for i in range(COUNT)]
    neurons = pd.DataFrame({"session_id": "m1", "neuron_id": [f"n{i}" for i in range(COUNT)]})
    neurons["area"] = np.where(np.arange(COUNT) % 4, "VISp", "<b>VISam</b>")
    neurons["spiking"] = np.where(np.arange(COUNT) % 10, "regular", "fast")
    neurons["trusted"] = np.arange(COUNT) % 2 == 0
    neurons["model_above_chance"] = True
    (tmp_path / "combined").mkdir()
    (tmp_path / "m1").mkdir()
    (tmp_path / "m1" / "report.html").write_text("<title>session</title>")
    path = tmp_path / "combined" / "atlas.html"
    path.write_text(render_atlas(neurons, tiles, "mice & rats", 0), encoding="utf-8")
    context = browser.new_context(offline=True)
    page, faults = context.new_page(), []
    # a warning about getImageData is about this test
    wrong = ("error", "warning")
    page.on(
        "console",
        lambda m: faults.append(m.text) if m.type in wrong and "getImageData" not in m.text else 0,
    )
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(LOCAL) else faults.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_function("() => document.getElementById('atlas').dataset.zoom")
    spread = """() => {
      const c = document.getElementById('atlas');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      let alpha = 0;
      for (let i = 3; i < d.length; i += 4) alpha += d[i];
      return alpha;
    }"""
    full = page.evaluate(spread)
    assert full > 0
    page.select_option("[data-class=area]", "<b>VISam</b>")
    page.select_option("[data-class=spiking]", "fast")
    assert page.inner_text("#count") == f"50 of {COUNT} neurons"
    page.wait_for_function(f"() => ({spread})() < {0.3 * full}")  # the others are faded
    page.click("[type=reset]")
    page.check("#f-trusted")
    assert page.inner_text("#count") == f"{COUNT // 2} of {COUNT} neurons"
    before = float(page.get_attribute("#atlas", "data-zoom"))
    page.click("#closer")
    page.wait_for_function(f"() => document.getElementById('atlas').dataset.zoom > {before * 1.4}")
    page.hover("#atlas")
    assert page.inner_text("#name").startswith("session m1, neuron n")
    with page.expect_navigation():
        page.click("#atlas")
    assert page.url.split("/")[-2:][0] == "m1"
    assert "#neuron-n" in page.url
    context.close()
    assert not faults
