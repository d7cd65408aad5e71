"""Every sentence of the page is true of the run: other responses, movies, other folders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.io.files import read_csv
from meiflow.report.page import render_report
from meiflow.report.provenance import read_provenance
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from tests.report.results import make_results, view_of
from tests.report.test_provisional import text_of
from tests.session.test_sensorium import TEST, scan  # noqa: F401

IMAGES, REPEATS = 30, 10
MOVIE = "natural_movie_one_more_repeats"


def config_of(session, image, experiments=()):
    return parse_config(
        {
            "session": session,
            "image": image,
            "stimuli": {"make": []},
            "selection": {"oracle_p_max": 0.01, "shuffles": 200},
            "experiments": {"make": list(experiments)},
        }
    ).for_source()


def page_of(config, tables, has, folder) -> str:
    """Everything that a reader or a screen reader meets on the page, without the configuration."""
    results = Layout(folder / "results")
    make_results(config, tables, results, has, read_csv(tables.units)["neuron_id"].tolist()[:2])
    view = view_of(config, results, has)
    page = render_report(view, config, read_provenance(results.provenance))
    alts = [plot.alt for one in view.pages for plot in one.drawings]
    alts += [drawing.alt for drawing in view.drawings.values()]
    alts += [column.meaning for column in view.columns]
    shown = page.partition("<summary>Configuration of this run")
    return text_of(shown[0] + shown[2].partition("</details>")[2]) + " " + " ".join(alts)


@pytest.fixture
def real(tmp_path, rng):
    """Medians of dF/F of two neurons."""
    np.save(tmp_path / "images.npy", rng.uniform(size=(IMAGES, 16, 24)))
    shown = np.repeat(np.arange(IMAGES), REPEATS)
    values = np.column_stack([shown - 12.0, -np.abs(shown - 10.0)]) / 10
    values += rng.normal(0, 0.1, values.shape)
    trials = pd.DataFrame({"trial_id": np.repeat(np.arange(len(shown)), 2)})
    trials = trials.assign(neuron_id=["a", "b"] * len(shown), response=values.ravel())
    trials.assign(image_id=np.repeat(shown, 2)).to_csv(tmp_path / "trials.csv", index=False)
    session = {"source": "tables", "id": "mine", "response": "real", "response_unit": "dF/F"}
    session |= {"average": "median", "trials": str(tmp_path / "trials.csv")}
    session |= {"images": str(tmp_path / "images.npy")}
    image = {"height": 16, "width": 24, "width_deg": 60.0, "height_deg": 40.0}
    config, tables = config_of(session, image, ["orientation"]), Layout(tmp_path / "tables")
    build_tables(config, tables, tmp_path / "images.npy", None)
    return page_of(config, tables, SessionHas(), tmp_path)


def test_real_numbers_are_no_counts(real):
    for caveat in ("in simulations of spike counts", "with spike counts that took no part"):
        assert caveat in real
        real = real.replace(caveat, "")
    real = real.replace("These simulations had spike counts.", "").replace("counter-clockwise", "")
    for never in ("spike", " count", "Count", "rate ", "Binned", "bars: means", "by the mean"):
        assert never not in real, real[max(real.find(never) - 60, 0) :][:120]
    assert (
        "Responses (dF/F) per trial are those of the tables; those to the same image are "
        "summarised by their median."
    ) in real
    assert "bars: medians" in real
    assert "for the best Gabor, both minus the response to grey" in real
    assert "2 respond reliably oracle correlation, p ≤ 0.01" in real  # which can be reached
    assert "CC_norm and its shuffled control." in real


def test_sides_of_the_screen_have_names(real):
    assert "centred 10 degrees to the left of and 5 above the centre of the screen" in real
    assert "-10 degrees to" not in real


def test_frames_of_a_movie_are_no_scenes(tmp_path):
    sizes = {"units": {"VISam": 4, "VISp": 2}, "frames": 6, "repeats": 0, "gabor_repeats": 0}
    sizes |= {"grating_repeats": 0, "frame_height": 40, "frame_width": 50, "movie_frames": 240}
    simulation = sizes | {"movie_repeats": {MOVIE: 6}}
    session = {"id": "film", "simulation": simulation, "movies": {"shown": [MOVIE]}}
    config, tables = config_of(session, {"height": 16, "width": 24}), Layout(tmp_path / "tables")
    simulate(config, tables)
    build_tables(config, tables, None, tables.session_file, movies=tables.movies)
    has = SessionHas(spike_times=True, movies=True, truth=True)
    page = page_of(config, tables, has, tmp_path)
    assert "Intervals over images are too narrow, because neighbouring frames are alike." in page
    assert "where there are only frames of a movie was not measured" in page
    assert "how well a perfect model would do is not known" in page  # one has no noise ceiling
    assert "correlation of –" not in page
    assert "responses permuted across images" not in page
    assert "CC_norm, its shuffled control and the closed loop." in page
    assert "Gabors were" not in page


def test_a_folder_names_its_test_images(scan, tmp_path):  # noqa: F811
    session = {"source": "sensorium", "id": "scan", "sensorium": {"folder": str(scan[0])}}
    image = {"height": 9, "width": 16, "width_deg": 100.0, "height_deg": 56.0}
    config, tables = config_of(session, image), Layout(tmp_path / "tables")
    build_tables(config, tables, None, None)
    page = page_of(config, tables, SessionHas(), tmp_path)
    assert f"The {TEST} images of its test tier are not used to fit any model" in page
    assert "source sensorium, all neurons of the folder" in page
    for never in ("session file", "unit id", "unit's channel", "VISam", "quality"):
        assert never not in page, page[max(page.find(never) - 60, 0) :][:120]
