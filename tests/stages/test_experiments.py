"""The experiments stage: files of a small population, custom experiments, and refused input."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from meiflow import experiments as ex
from meiflow.cli.app import app
from meiflow.config.config import check_inputs, parse_config
from meiflow.config.experiments import MAP_EXPERIMENTS, STANDARD
from meiflow.errors import MeiflowError
from meiflow.experiments.measures import SUMMARY_COLUMNS, untidy
from meiflow.figures.custom_experiments import custom_sheet
from meiflow.figures.experiments import neuron_figure, population_figure
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_arrays, read_csv, write_array, write_csv
from meiflow.report.session_data import read_experiments
from meiflow.results.layout import Layout
from meiflow.stages.experiments import (
    custom_experiments,
    make_experiments,
    read_preferred,
    tidy,
)
from tests.known import linear, write_fitted, write_models, write_stack

GRID = Geometry(30, 48)
GABORS = {
    "007": {"x_deg": -20.0, "y_deg": 10.0, "wavelength_deg": 20.0, "orientation_deg": 20.0},
    "b": {"x_deg": 15.0, "y_deg": -8.0, "wavelength_deg": 18.0, "orientation_deg": 110.0},
}
REST = {"phase_deg": 40.0, "sigma_deg": 7.0, "aspect": 1.2}
SETTINGS = {
    "orientations": 12,
    "frequencies": 8,
    "phases": 4,
    "sizes": 6,
    "contrasts": 5,
    "positions": 5,
    "map_step_deg": 12.0,
}
OWN = """
import numpy as np
from meiflow.experiments import Experiment
from meiflow.images.patterns import bar


def levels(geometry, gabor):
    def render(level):
        return np.broadcast_to(level[:, None, None], (len(level), *geometry.shape))
    return Experiment("levels", render, {"level": [0.4, 0.5, 0.6]})


def two(geometry, gabor):
    def render(offset, kind):
        x = gabor["x_deg"] + offset
        return 0.5 + 0.3 * bar(geometry, x, gabor["y_deg"], 8, 30, 0, np.where(kind == "on", 1, -1))
    return {"swept": (render, {"offset": [-5, 0, 5], "kind": ["on", "off"]}),
            "level_again": levels(geometry, gabor)}


def only_left(geometry, gabor):
    one = {"left_level": levels(geometry, gabor)}
    return one if gabor["x_deg"] < 0 else two(geometry, gabor)


def taken(geometry, gabor):
    return {"orientation": levels(geometry, gabor)}


def bright(geometry, gabor):
    return Experiment("bright", lambda level: 2 + np.zeros((len(level), 3, 4)), {"level": [1]})


def broken(geometry, gabor):
    return Experiment("broken", lambda level: 1 / 0, {"level": [1]})


def small(geometry, gabor):
    return Experiment("small", lambda level: np.zeros((len(level), 3, 4)), {"level": [1]})


def nothing(geometry, gabor):
    return None


def half(geometry, gabor):
    return {"half": lambda level: level}


def wrong(geometry, gabor):
    return {"two words": (lambda level: level, {"level": [1]})}


def misses(geometry, gabor):
    return gabor["colour"]


def no_arguments():
    return None
"""


def config(**experiments):
    return parse_config(
        {"image": {"height": 30, "width": 48}, "experiments": SETTINGS | experiments}
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Results of the earlier stages for two neurons."""
    results = Layout(tmp_path_factory.mktemp("session"))
    states = {}
    for neuron, gabor in GABORS.items():
        template = patterns.gabor(GRID, *gabor.values(), *REST.values())
        scaled = template / np.abs(template).sum() * 20
        states[neuron] = linear(scaled, offset=-0.1, baseline=0.2, scale=1.5)
        files = results.neuron(neuron)
        write_csv(pd.DataFrame([gabor | REST]), files.best_gabor_table)
        write_array(0.45 + 0.2 * template, files.mei)
    write_models(results, GRID, states)
    write_stack(results, np.full((2, *GRID.shape), 0.5), GRID)
    return results


def copied(results, folder):
    shutil.copytree(results.root, folder)
    return Layout(folder)


@pytest.fixture
def results(fitted, tmp_path):
    return copied(fitted, tmp_path / "results")


@pytest.fixture
def custom_code(tmp_path, monkeypatch):
    (tmp_path / "ownexperiments.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_of_the_stage(results, custom_code):
    own = ["ownexperiments:levels", "ownexperiments:two"]
    make_experiments(config(custom=own), results)
    tuning = read_csv(results.experiment_tuning)
    assert list(tuning.columns[:2]) == ["neuron_id", "experiment"]
    assert tuning.columns[-1] == "response"
    shown = [name for name in STANDARD if name not in MAP_EXPERIMENTS]
    assert tuning["experiment"].drop_duplicates().tolist() == [
        *shown,
        "levels",
        "swept",
        "level_again",
    ]
    assert tuning["neuron_id"].drop_duplicates().tolist() == ["007", "b"]
    summary = read_csv(results.experiment_summary)
    assert tuple(summary.columns) == ("neuron_id", *SUMMARY_COLUMNS)
    assert (summary["cell_type"] == "simple").all()
    for i, gabor in enumerate(GABORS.values()):
        row = summary.iloc[i]
        assert row["preferred_orientation_deg"] == pytest.approx(gabor["orientation_deg"], abs=2)
        assert row["preferred_frequency_cpd"] == pytest.approx(
            1 / gabor["wavelength_deg"], rel=0.15
        )
        assert row["field_x_deg"] == pytest.approx(gabor["x_deg"], abs=6)
        assert row["field_y_deg"] == pytest.approx(gabor["y_deg"], abs=6)
    maps = read_arrays(results.experiment_maps)
    assert maps["neuron_id"].tolist() == ["007", "b"]
    assert maps["position"].shape == maps["on"].shape == maps["off"].shape == (2, 7, 10)
    assert maps["y_deg"][0] > maps["y_deg"][-1]
    for name in (*STANDARD, "custom"):
        assert all(path.stat().st_size for path in results.experiment_figures(name))
    found = read_experiments(results)
    figure = neuron_figure(found.tables["007"], found.maps["007"], found.summary.loc["007"])
    titles = [ax.get_title().split(":")[0] for ax in figure.axes]
    assert {"orientation", "size", "small Gabors", "dark spots", "swept"} <= set(titles)


def figures(results):
    return sorted(p.name for p in results.experiment_maps.parent.glob("*.png"))


def test_some_experiments_leave_the_other_columns_empty(results):
    make_experiments(config(make=["phase", "spots"]), results)
    summary = read_csv(results.experiment_summary, ("neuron_id", *SUMMARY_COLUMNS))
    filled = set(summary.columns[summary.notna().all()])
    assert filled == {
        "neuron_id",
        "grey_response",
        "f1_f0",
        "f1_f0_with_grey",
        "cell_type",
        "phase_invariance",
        "on_off_index",
    }
    maps = read_arrays(results.experiment_maps)
    assert set(maps) == {"neuron_id", "x_deg", "y_deg", "on", "off"}
    assert figures(results) == ["phase.png", "spots.png"]
    make_experiments(config(make=[]), results)
    assert figures(results) == []
    assert len(read_csv(results.experiment_tuning)) == 0


def test_figures_of_experiments_no_longer_made_are_removed(results, custom_code):
    own = ["ownexperiments:levels"]
    make_experiments(config(make=["phase", "shift", "spots"], custom=own), results)
    folder = results.experiment_maps.parent
    (folder / "mine.png").write_text("a user's")
    make_experiments(config(make=["phase"]), results)
    left = {p.name for p in folder.iterdir() if p.suffix in (".png", ".svg")}
    assert left == {"phase.png", "phase.svg", "mine.png"}


def _drawn(name, heights, cell_types, top):
    """The population in one experiment whose highest contrast differs between neurons."""
    levels = np.geomspace(0.01, 1, 5)
    tables, rows = {}, []
    for i, (height, kind) in enumerate(zip(heights, cell_types, strict=True)):
        table = pd.DataFrame({"rms_contrast": levels * top[i], "response": height * levels})
        tables[str(i)] = {name: table}
        row = dict.fromkeys(SUMMARY_COLUMNS, np.nan)
        rows.append(row | {"neuron_id": str(i), "grey_response": 0.0, "cell_type": kind})
    figure = population_figure(name, tables, {}, pd.DataFrame(rows))
    return figure, [text.get_text() for text in figure.legends[0].get_texts()]


def test_axes_hold_the_curves_of_all_neurons():
    figure, names = _drawn("mei_contrast", [1, 2, -3], ["simple", "complex", ""], [0.03, 0.2, 0.1])
    ax = figure.axes[0]
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for line in ax.lines:
        x, y = line.get_data()
        assert low <= min(x) <= max(x) <= high
        assert bottom <= min(y) <= max(y) <= top
    assert names == ["simple", "complex", "cell type unknown without phase"]
    assert not any(ax.get_legend() for ax in figure.axes)


def test_panels_state_which_response_they_show():
    phases = np.arange(8) * 45.0
    angle, phase = (a.ravel() for a in np.meshgrid([0.0, 45.0, 90.0, 135.0], phases))
    row = pd.Series(dict.fromkeys(SUMMARY_COLUMNS, 0.5))
    row["neuron_id"], row["grey_response"], row["cell_type"] = "n", 0.0, "simple"
    gain = 1 + np.cos(2 * np.deg2rad(angle))
    for response, label in (
        (gain * np.cos(np.deg2rad(phase)), "F1 of the count"),
        (gain, "F0 (minus grey)"),
    ):
        table = pd.DataFrame({"orientation_deg": angle, "phase_deg": phase, "response": response})
        maps = {k: pd.DataFrame(np.eye(2) * n, [1, 0], [0, 1]) for k, n in (("on", 1), ("off", 3))}
        figure = neuron_figure({"orientation": table}, maps, row)
        assert figure.axes[0].get_ylabel() == label
        shown = [picture for ax in figure.axes[4:6] for picture in ax.images]
        assert [picture.get_clim() for picture in shown] == [(0, 3), (0, 3)]
        # the first row is at the top, and each pixel is centred on its position
        assert np.asarray(shown[1].get_array()).tolist() == [[3, 0], [0, 3]]
        assert list(shown[1].get_extent()) == [-0.5, 1.5, -0.5, 1.5]
        bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
        assert len(bars) == 2


def test_the_sheet_of_custom_experiments_states_what_it_leaves_out():
    whole = pd.DataFrame(
        [(a, b, c, a + b + c) for a in range(5) for b in range(3) for c in (1, 2)],
        columns=["angle", "level", "polarity", "response"],
    )
    neurons = [str(i) for i in range(5)]
    summary = pd.DataFrame({"neuron_id": neurons, "grey_response": 0.0})
    figure = custom_sheet({n: {"crossed": whole} for n in neurons}, summary)
    assert figure.get_suptitle() == "custom experiments (1 more neuron in tuning.csv)"
    assert figure.axes[0].get_title() == "0: crossed\nmean over polarity"


def test_neurons_may_be_shown_different_experiments(results, custom_code):
    parsed = config(make=["phase"], custom=["ownexperiments:only_left"])
    make_experiments(parsed, results)
    tuning = read_csv(results.experiment_tuning)
    shown = tuning.groupby("neuron_id")["experiment"].unique()
    assert list(shown["007"]) == ["phase", "left_level"]
    assert list(shown["b"]) == ["phase", "swept", "level_again"]
    assert all(path.stat().st_size for path in results.experiment_figures("custom"))


def test_a_table_of_many_experiments_comes_apart_again():
    tables = {
        "orientation": pd.DataFrame({"orientation_deg": [0.0, 90.0], "response": [1.0, 2.0]}),
        "surround": pd.DataFrame({"surround": ["none", "iso"], "response": [3.0, 4.0]}),
    }
    whole = tidy({"n": tables})
    assert list(whole.columns) == [
        "neuron_id",
        "experiment",
        "orientation_deg",
        "surround",
        "response",
    ]
    for name, table in untidy(whole).items():
        pd.testing.assert_frame_equal(table.reset_index(drop=True), tables[name])


def test_the_same_on_the_command_line_and_twice(fitted, tmp_path):
    text = config(make=["orientation", "phase"]).model_dump_json()
    runner = CliRunner()
    layouts = [copied(fitted, tmp_path / name) for name in ("one", "two")]
    for results in layouts:
        arguments = ["--config", text, "--results", str(results.root)]
        done = runner.invoke(app, ["experiments", *arguments], catch_exceptions=False)
        assert done.exit_code == 0
    one, two = layouts
    written = {p.relative_to(one.root) for p in one.root.rglob("*.*") if p.is_file()}
    for path in (one.experiment_tuning, one.experiment_summary):
        assert path.relative_to(one.root) in written
    for path in written:
        assert (one.root / path).read_bytes() == (two.root / path).read_bytes(), path
    arguments = ["--config", text, "--results", str(two.root), "--neuron"]
    assert runner.invoke(app, ["experiments", *arguments, "b"]).exit_code == 0
    assert read_csv(two.experiment_summary)["neuron_id"].tolist() == ["b"]
    unknown = runner.invoke(app, ["experiments", *arguments, "c"])
    assert isinstance(unknown.exception, MeiflowError)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("taken", "there is already an experiment orientation; use another name"),
        (
            "bright",
            "bright of neuron 007: ValueError: bright: stimuli range from 2 to 2",
        ),
        ("broken", "broken of neuron 007: ZeroDivisionError"),
        ("small", r"small of neuron 007: .*images have \(3, 4\)"),
        ("nothing", "returned a NoneType; it must return an Experiment"),
        ("half", "half: .*it must return an Experiment"),
        ("wrong", "use letters, digits"),
        ("misses", "KeyError: 'colour'"),
        ("no_arguments", r"TypeError: .*call with \(geometry, gabor\)"),
        ("absent", "AttributeError"),
    ],
)
def test_invalid_custom_experiments(results, custom_code, function, message):
    parsed = config(make=["phase"], custom=[f"ownexperiments:{function}"])
    check_inputs(parsed)
    with pytest.raises(MeiflowError, match=message) as caught:
        make_experiments(parsed, results)
    assert "experiments" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not results.experiment_tuning.parent.exists()


def test_a_custom_experiment_alone(custom_code):
    preferred = ex.Preferred(GRID, 0, 0, 20, 0, 0, 8)
    assert list(custom_experiments("ownexperiments:levels", preferred)) == ["levels"]
    assert list(custom_experiments("ownexperiments:two", preferred)) == ["swept", "level_again"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"make": ["orientations"]}, "experiments.make"),
        ({"make": ["phase", "phase"]}, "duplicate 'phase'"),
        ({"custom": ["no function"]}, "experiments.custom"),
        ({"contrast": 1.2}, "experiments.contrast"),
        ({"phases": 2}, "experiments.phases"),
        ({"colour": 1}, "unknown key experiments.colour"),
    ],
)
def test_invalid_settings(section, message):
    with pytest.raises(MeiflowError, match=message):
        parse_config({"experiments": section})


def test_a_missing_module_is_named_before_any_work():
    with pytest.raises(MeiflowError, match=r"experiments.custom: module 'nowhere' is neither"):
        check_inputs(parse_config({"experiments": {"custom": ["nowhere:build"]}}))


@pytest.mark.parametrize(
    "change", [{"sigma_deg": 0.0}, {"x_deg": np.nan}, {"aspect": -1.0}, {"phase_deg": "x"}]
)
def test_invalid_gabors(tmp_path, change):
    row = GABORS["b"] | REST | change
    write_csv(pd.DataFrame([row]), tmp_path / "best_gabor.csv")
    with pytest.raises(MeiflowError, match=r"best_gabor.csv: expected one row of finite numbers"):
        read_preferred(tmp_path / "best_gabor.csv", GRID)


def test_without_neurons(tmp_path):
    results = Layout(tmp_path)
    write_fitted(results, [])
    with pytest.raises(MeiflowError, match="no neuron was selected"):
        make_experiments(config(), results)
