"""The page as data and as text; test_browser.py tests it in a browser."""

import base64
import json
import re
import shutil
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv, write_text
from meiflow.report.headline import findings, mei_summary
from meiflow.report.methods import counting, further_stimuli
from meiflow.report.page import libraries, render_report
from meiflow.report.provenance import read_provenance
from meiflow.report.session_data import SessionData, read_session_data
from meiflow.report.trust import precision_text
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.report import write_report
from meiflow.tables.counts import Responses
from meiflow.validation.trust import calibration
from tests.project import ROOT
from tests.report.conftest import EVERYTHING, HOSTILE, MANY
from tests.report.results import make_results, view_of


class Tags(HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_images_for_testing_only_are_no_training_images():
    """Of 20 images, 8 are the first of 5 folds: 12 and four times 9 are used to fit models."""
    images = np.random.default_rng(0).uniform(size=(20, 4, 6))
    shown = Responses(np.arange(20), images, ["a"], np.zeros((20, 1)), tests=np.arange(20) < 8)
    scores = pd.DataFrame({"folds": [0, 5]})
    data = SimpleNamespace(scores=scores, responses=shown, config=parse_config({}))
    assert SessionData.training_images.fget(data) == 10


def words_of(page: str) -> str:
    return " ".join(Tags(page).text.split())


def test_fifty_neurons_fit_into_fifteen_megabytes(big_page):
    size = big_page.stat().st_size
    assert 2_000_000 < size < 15_000_000


def test_the_page_is_well_formed_and_names_everything(big_page):
    page = Tags(big_page.read_text(encoding="utf-8"))
    images = page.all("img")
    assert len(images) > 3 * MANY
    assert all(image.get("alt") for image in images)
    plots = [a for a in page.all("div") if a.get("class") == "frame" and "role" in a]
    assert len(plots) > 12 * MANY
    assert all(plot["aria-label"] for plot in plots)
    ids = [a["id"] for _, a in page.found if "id" in a]
    assert len(ids) == len(set(ids))
    # d3 can fetch files, but the page's policy forbids every connection.
    own = big_page.read_text(encoding="utf-8").replace(libraries(), "")
    loaded = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import|fetch\(', own)
    assert all((one or two).startswith(("data:", "#")) for one, two in loaded)
    figures = [a for a in page.all("figure") if "data-key" in a]
    downloads = [b["data-get"] for b in page.all("button") if "data-get" in b]
    assert downloads == ["png", "svg", "csv"] * len(figures)


def test_hostile_ids_stay_text(big_page):
    text = big_page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    page = Tags(text)
    assert HOSTILE in page.text
    assert any(a.get("id") == f"neuron-{HOSTILE}" for a in page.all("section"))


def test_a_hostile_title_path_or_module_stays_text(view, report_config):
    """Also values that the configuration would refuse: an id, an area, a module and a path."""
    session = report_config.session.model_copy(update={"id": HOSTILE, "images": HOSTILE})
    model = report_config.model.model_copy(update={"custom": HOSTILE})
    update = {"session": session, "model": model}
    one = {"path": HOSTILE, "bytes": 3, "sha256": "0" * 64, "how": HOSTILE}
    shown = replace(view, title=HOSTILE, source=HOSTILE, area=HOSTILE)
    text = render_report(shown, report_config.model_copy(update=update), [one])
    assert "<script>alert" not in text
    page = Tags(text)
    assert page.text.count(HOSTILE) >= 7
    assert len(page.all("script")) == len(
        Tags(render_report(view, report_config, [])).all("script")
    )


def test_a_neurons_store_holds_the_data_of_its_figures(view):
    for page in view.pages:
        store = json.loads(zlib.decompress(base64.b64decode(page.store)))
        assert list(store) == [d.key for d in page.drawings]
        assert {
            "mei",
            "trials",
            "reliability",
            "prediction",
            "scores",
            "spectra",
            "tuning",
            "experiments",
            "rivals",
            "responses",
            "raster",
            "contrast",
        } <= set(store)
        assert store["experiments"]["panels"][0]["lines"][0]["x"][:2] == [0, 15]
        curve = store["contrast"]["table"]
        assert curve["rms_contrast"][-1] == pytest.approx(0.1)


def unpacked(image, kind):
    levels = np.frombuffer(base64.b64decode(image["data"]), kind).astype(float)
    share = levels.reshape(image["height"], image["width"]) / (2 ** image["bits"] - 1)
    return image["low"] + share * (image["high"] - image["low"])


def test_numbers_behind_the_figures(view, results):
    """The numbers that a reader downloads are those of the tables."""
    page = view.pages[0]
    data = {d.key: pd.DataFrame(d.data["table"]) for d in page.drawings if "table" in d.data}
    stored = {d.key: d.data for d in page.drawings}
    responses = read_csv(results.responses)
    np.testing.assert_allclose(data["prediction"]["measured"], responses[page.id], rtol=1e-4)
    # as many odd as even trials, so the mean is that of the two halves
    halves = data["reliability"][["odd", "even"]].mean(1)
    np.testing.assert_allclose(halves, data["reliability"]["mean"], rtol=1e-3, atol=1e-4)
    mei = np.load(results.neuron(page.id).mei)
    np.testing.assert_allclose(unpacked(stored["mei"]["image"], "<u2"), mei, atol=1e-4)
    trials = read_csv(results.trials)
    own = trials[(trials["neuron_id"] == page.id) & (trials["image_id"] >= 0)]
    counts = np.rint(unpacked(stored["raster"]["trials"], "u1"))
    ordered = own.groupby("image_id")["spike_count"].agg(list)
    assert counts.tolist() == ordered.tolist()
    spikes = data["trials"]
    inside = spikes[(spikes["spike_s"] > 0) & (spikes["spike_s"] <= 0.25)]
    for label, part in inside.groupby("image"):
        image = int(label.removeprefix("image "))
        assert abs(len(part) - own[own["image_id"] == image]["spike_count"].sum()) <= 2


def test_the_best_and_the_worst_images_are(view, report_config, results):
    data = read_session_data(report_config, results, EVERYTHING)
    neuron = data.neurons[1]
    means = data.responses.means[:, data.responses.column(neuron)]
    shown = data.best_and_worst(neuron)
    assert [one.best for one in shown] == [True, True, False, False]
    assert shown[0].counts.mean() == pytest.approx(means.max())
    assert shown[-1].counts.mean() == pytest.approx(means.min())
    assert all(len(one.spikes) == len(one.counts) for one in shown)


def test_the_funnel_narrows(view, results):
    counts = [stage.count for stage in view.stages]
    labels = [stage.label for stage in view.stages]
    assert labels[0] == "units in the file"
    assert labels[-1] == "trusted"
    assert counts[-1] == 2
    assert counts[:3] == sorted(counts[:3], reverse=True)
    units = json.loads(results.unit_counts.read_text())
    assert counts[:3] == [units["in_file"], units["in_areas"], units["passed"]]


def test_trust_is_stated_in_words_with_its_measured_precision(view, big_page):
    assert [page.trust.kind for page in view.pages] == ["yes", "yes", "no"]
    assert "93 % of the MEIs with this mark reached at least 80 %" in view.precision
    assert "95 % CI from 87 %" in view.precision
    assert any(view.pages[2].id in line for line in view.confidence_summary)
    text = Tags(big_page.read_text(encoding="utf-8")).text
    assert "not trusted" in text
    assert "Measured on simulated sessions." in text
    assert "Not trusted: its Gabor disagrees." in text
    assert " ".join(text.split()).count(view.precision) == MANY + 1  # next to every neuron's mark
    assert "✗ not trusted" in view.drawings["gallery"].svg
    mark = "mean luminance of the lower half of the screen alone predicts nearly as well as"
    assert [mark in page.nuisance for page in view.pages] == [False, False, True]
    assert mark in text


def copied(results, folder):
    shutil.copytree(results.root, folder / "small")
    return Layout(folder / "small")


def test_without_columns_of_trust_there_are_no_marks(view, report_config, results, tmp_path):
    copy = copied(results, tmp_path)
    summary = read_csv(copy.summary)
    plain = summary.drop(columns=["trusted", "expected_fraction", "trust_reason", "nuisance"])
    write_csv(plain.assign(model_above_chance=[False, True, True]), copy.summary)
    write_report(report_config, copy, EVERYTHING)
    page = Tags(copy.report.read_text(encoding="utf-8"))
    words = " ".join(page.text.split())
    assert "trusted" not in words
    assert "2 of 3 neurons predict responses to held-out images" in words
    assert "model not better than chance" in words
    assert "ignore the MEI" in words
    # the same results give the same bytes
    assert all(one.store in copy.report.read_text() for one in view.pages)


def test_a_session_of_counts_has_strips_and_no_ground_truth(report_config, small_results, tmp_path):
    """Source tables: no spike times, no Gabors, no closed loop, no experiments.

    Such tables of another session exist in the folder.
    """
    config = parse_config(
        {
            "session": {"source": "tables", "id": "own", "trials": "trials.csv"},
            "image": {"width_deg": 121.24, "height_deg": 94.8},
            "stimuli": {"make": []},
            "experiments": {"make": []},
            "selection": {"oracle_p_max": 0.01, "shuffles": 200},
            "report": {"title": "<b>mine</b>"},
        }
    )
    results, nothing = Layout(tmp_path / "own"), SessionHas()
    ids = read_csv(small_results.units)["neuron_id"].tolist()[:1]
    make_results(config, small_results, results, nothing, ids)
    made = view_of(config, results, nothing)
    assert not made.simulated
    assert made.stages[0].label == "neurons in the tables"
    keys = {d.key for d in made.pages[0].drawings}
    assert "trials" in keys
    assert not keys & {"tuning", "experiments"}
    assert "no raster" in next(d.caption for d in made.pages[0].drawings if d.key == "trials")
    page = render_report(made, config, read_provenance(results.provenance))
    assert "Simulated session." not in page
    assert made.key_numbers[3].value == "–"
    assert made.key_numbers[3].note == "no stimuli with recorded tuning were shown"
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    # nothing is said of a session file: neither area nor filters, not even in the configuration
    words = words_of(page)
    for never in ("VISam", "Allen", "quality", "Siegle", "filters", "all areas", "gratings"):
        assert not re.search(f".{{30}}{never}", words.split("Configuration of this run")[0]), never
    assert "VISam" not in page
    assert "Spike counts per trial are those of the tables, counted from 0 s to 0.25 s" in words
    assert "source tables, custom tables; images of 121.24 x 94.8 degrees" in words
    saved = page.partition('id="data-config">')[2].partition("</script>")[0]
    assert parse_config(json.loads(json.loads(saved))) == config  # what is left out has no effect


def test_the_command_names_the_neuron_and_the_saved_configuration(view, report_config):
    page = view.pages[1]
    assert page.command.endswith(f"/neurons/{page.id}/comparison.csv")
    assert f"--configfile {view.config_name}" in page.command
    # the saved configuration gives the same one again
    saved = json.loads(json.dumps(report_config.model_dump(mode="json")))
    assert parse_config(saved) == report_config


def test_notes_on_the_inputs_are_in_the_provenance(view, report_config):
    note = "images.npy: pixels are not square: 2 degrees wide & 1 high"
    page = render_report(view, report_config, [], notes=[note])
    provenance = page[page.index('id="provenance"') :]
    assert "<li>images.npy: pixels are not square: 2 degrees wide &amp; 1 high</li>" in provenance
    assert "Nothing was noted about the inputs." in render_report(view, report_config, [])


def test_missing_results_are_named(report_config, results, tmp_path):
    copy = copied(results, tmp_path)
    write_text("{}", copy.provenance)
    with pytest.raises(MeiflowError, match=r"provenance.json: .* run meiflow provenance"):
        read_provenance(copy.provenance)
    copy.unit_counts.unlink()
    with pytest.raises(MeiflowError, match=r"units.json: .*rebuild the tables"):
        write_report(report_config, copy, EVERYTHING)
    copy.summary.unlink()
    with pytest.raises(MeiflowError, match=r"summary.csv: no such file"):
        write_report(report_config, copy, EVERYTHING)
    assert not copy.report.exists()


def counting_of(report_config, results, **changes) -> str:
    data = read_session_data(report_config, results, EVERYTHING)
    session = report_config.session.model_copy(update=changes)
    return counting(replace(data, config=report_config.model_copy(update={"session": session})))


def test_filters_are_named_as_they_were_applied(report_config, results):
    units = json.loads(results.unit_counts.read_text())
    text = counting_of(report_config, results)
    assert "(those of Siegle et al. 2021): ISI violations at most 0.5; amplitude" in text
    assert f"{units['passed']} of {units['in_areas']} units in the areas pass." in text
    one = Quality(isi_violations_max=None, amplitude_cutoff_max=None, presence_ratio_min=0.9)
    text = counting_of(report_config, results, quality=one)
    assert "metrics of the session file: presence ratio at least 0.9." in text
    assert "Siegle" not in text
    none = one.model_copy(update={"presence_ratio_min": None})
    assert "filtered" not in counting_of(report_config, results, quality=none)
    assert "are those of the folder;" in counting_of(report_config, results, source="sensorium")


def test_only_stimuli_that_were_shown_and_learned_are_named(report_config, results, tmp_path):
    """A download promises tables of all stimuli; those that were not shown are empty."""
    copy = copied(results, tmp_path)
    model = report_config.model.model_copy(
        update={"learn_from": ["scenes", "static_gratings", "gabors", "drifting_gratings"]}
    )
    config = report_config.model_copy(update={"model": model})
    moving = replace(EVERYTHING, drifting=True)
    write_csv(pd.DataFrame({"condition": []}), copy.drifting_responses)
    text = further_stimuli(read_session_data(config, copy, moving))
    assert text == (
        "The models were also fitted to static gratings; v1 and v1_window were also fitted to "
        "Gabors; recorded tuning is compared with models that were not fitted to stimuli of the "
        "same class."
    )
    write_csv(pd.DataFrame({"condition": [0]}), copy.drifting_responses)
    assert "Gabors and drifting gratings;" in further_stimuli(
        read_session_data(config, copy, moving)
    )
    only = report_config.model_copy(
        update={"model": model.model_copy(update={"learn_from": ["scenes"]})}
    )
    assert further_stimuli(read_session_data(only, copy, moving)) == ""
    moved = only.model_copy(update={"model": only.model.model_copy(update={"gaze": "shift"})})
    assert "shifted by gaze" in further_stimuli(read_session_data(moved, copy, moving))


def with_trust(results, trusted):
    table = read_csv(results.summary)
    write_csv(table.assign(trusted=trusted), results.summary)


def test_headlines_count_trusted_neurons_and_dim_the_others(report_config, results, tmp_path):
    copy = copied(results, tmp_path)
    table = read_csv(copy.summary)
    sizes = table.assign(mei_size_deg=[10.0, 12.0, 99.0])
    write_csv(sizes, copy.summary)
    sure, *_, rest = mei_summary(read_session_data(report_config, copy, EVERYTHING))
    assert sure.text.startswith("MEIs of 2 trusted neurons: ")
    assert (
        "median size 11 degrees; number well described by a single Gabor (R² ≥ 0.9): 2 of 2."
        in sure.text
    )
    assert rest.dimmed
    assert "Not to be relied on: MEIs of 1 other neuron: " in rest.text
    assert "median size 99 degrees" in rest.text
    loop = findings(read_session_data(report_config, copy, EVERYTHING))
    assert [s.dimmed for s in loop if s.text.startswith("Closed loop")] == [False, True]
    with_trust(copy, [False] * 3)
    write_report(report_config, copy, EVERYTHING)
    page = copy.report.read_text(encoding="utf-8")
    assert "No MEI is trusted, so nothing can be said about what drives" in words_of(page)
    assert '<p class="soft">Not to be relied on: MEIs of 3 other neurons: ' in page
    assert page.count('class="card doubted"') == 3
    assert words_of(page).count("– no neuron is trusted") == 3  # in place of three key numbers
    with_trust(copy, [None] * 3)
    first, second, *_ = mei_summary(read_session_data(report_config, copy, EVERYTHING))
    assert "was not judged" in first.text
    assert second.text.startswith("MEIs of 3 neurons: ")


def test_the_precision_quoted_is_that_of_the_files():
    """README and page quote the file of the rule."""
    own = calibration()
    percent = f"{100 * own.precision:.0f} % of the MEIs"
    assert percent in precision_text(own)
    assert percent in own.source
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{100 * own.precision:.0f} % of the MEIs labelled as trusted" in readme
