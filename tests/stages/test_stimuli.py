"""The stimuli stage: a neuron's MEI, best Gabors and best natural images."""

import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.projection import is_matched, project_array
from meiflow.io.files import read_array, write_array, write_csv
from meiflow.models.archive import ModelArchive
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.stimuli import ascent_steps, read_ascent
from meiflow.session.schedule import gabor_conditions
from meiflow.stages.stimuli import make_stimuli
from meiflow.tables.conditions import Conditions
from tests.known import linear, write_models, write_stack

GRID = Geometry(60, 96)
GABORS = SessionHas(gabors=True)
FIELD = patterns.gabor(GRID, 10.0, 0.0, 12.5, 45.0, 60.0, 6.0)
CONTRAST = 0.05


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A neuron with a known filter and Gabor trials with known counts."""
    results = Layout(tmp_path_factory.mktemp("results"))
    write_models(results, GRID, {"n": linear(FIELD, baseline=-4.0)}, places={"n": (10.0, 0.0)})
    write_stack(results, np.random.default_rng(0).random((4, *GRID.shape)), GRID)
    conditions = gabor_conditions()
    place = "x_position == 10 and y_position == 0"
    (target,) = conditions.query(f"{place} and orientation == 45").index
    (second,) = conditions.query(f"{place} and orientation == 0").index
    order = np.repeat(np.arange(len(conditions)), 4)
    counts = np.ones(len(order), int)
    counts[order == target] = [4, 6, 4, 6]
    counts[order == second] = [4, 4, 5, 5]
    recorded = Conditions.of(conditions.iloc[order].reset_index(drop=True), counts[:, None], ["n"])
    write_csv(recorded.trial_table(), results.gabor_trials)
    searched = results.procedure("best_gabors")
    write_array(project_array(FIELD[None], 0.5, CONTRAST), searched.images)
    found = pd.DataFrame({"neuron_id": ["n"], "x_deg": 10.0, "predicted_response": 1.0})
    write_csv(found, searched.table)
    return results, target, second


@pytest.fixture
def neuron(whole, tmp_path):
    results, target, second = whole
    shutil.copytree(results.root, tmp_path / "results")
    return Layout(tmp_path / "results"), target, second


def made(results, has=GABORS, **gabor):
    config = parse_config({"gabor": gabor, "mei": {"steps": 1, "restarts": 1}})
    make_stimuli(config, results, has, "n")
    return results.neuron("n")


def recorded(results, **gabor):
    files = made(results, **gabor)
    return pd.read_csv(files.gabor_table), read_array(files.gabor)


def test_every_image_has_the_common_mean_and_contrast(neuron):
    results, _, _ = neuron
    files = made(results)
    mean = read_array(results.images).mean()
    for path in files.named("mei", "best_natural"):
        assert is_matched(read_array(path), mean, CONTRAST), path
    # the image and row of the search, unchanged
    np.testing.assert_array_equal(
        read_array(files.best_gabor), read_array(results.procedure("best_gabors").images)[0]
    )
    assert pd.read_csv(files.best_gabor_table).columns.tolist() == ["x_deg", "predicted_response"]
    for path in files.named("mei", "best_gabor", "best_natural", "windowed_natural", "gabor"):
        assert path.with_suffix(".png").stat().st_size > 100


def test_the_best_gabor_is_a_start_of_the_mei(neuron):
    """After a single step the Gabor is still visible."""
    files = made(neuron[0])
    assert np.corrcoef(read_array(files.mei).ravel(), FIELD.ravel())[0, 1] > 0.95
    trace = pd.read_csv(files.mei_trace)
    assert trace.columns.tolist() == ["step", "response", "objective", "mean", "rms_contrast"]


def test_images_on_the_way_to_the_mei_have_the_responses_of_the_trace(neuron):
    results, _, _ = neuron
    config = parse_config({"mei": {"steps": 9, "restarts": 1}})
    make_stimuli(config, results, SessionHas(), "n")
    files = results.neuron("n")
    way, trace = read_ascent(files), pd.read_csv(files.mei_trace)
    *_, last = way
    assert last == trace["response"].argmax()
    assert list(way) == [step for step in ascent_steps(9) if step < last] + [last]
    level = np.ptp(way[last]) / 255
    np.testing.assert_allclose(way[last], read_array(files.mei), atol=level)
    predicted = ModelArchive(results.models, GRID).model("n").predict(np.stack(list(way.values())))
    # 256 levels change the response a little
    np.testing.assert_allclose(predicted, trace["response"][list(way)], rtol=0.02, atol=0.01)
    assert files.mei_ascent.stat().st_size < 50_000


def test_the_best_natural_image_has_the_highest_predicted_response(neuron):
    results, _, _ = neuron
    files = made(results)
    images = read_array(results.images)
    candidates = project_array(images, float(images.mean()), CONTRAST)
    best = ModelArchive(results.models, GRID).model("n").predict(candidates).argmax()
    np.testing.assert_allclose(read_array(files.best_natural), candidates[best], atol=1e-6)
    # only within the mask of the MEI
    window = read_array(files.windowed_natural)
    assert window[:, :20].std() < 1e-3 < window[:, 45:65].std()


def test_without_gabors_none_is_made(neuron):
    results, _, _ = neuron
    results.gabor_trials.unlink()
    files = made(results, SessionHas())
    assert not any(path.exists() for path in files.named("gabor", "gabor_picture", "gabor_table"))
    with pytest.raises(MeiflowError, match="'m' is not in this session"):
        make_stimuli(parse_config({}), results, SessionHas(), "m")


def test_best_recorded_gabor_comes_with_its_error(neuron):
    results, target, _ = neuron
    table, image = recorded(results)
    row = table.iloc[0]
    assert len(table) == 1
    assert row["condition_id"] == target
    assert (row["x_deg"], row["y_deg"], row["orientation_deg"]) == (10, 0, 45)
    assert row["recorded_count"] == 5
    assert row["recorded_sem"] == pytest.approx(np.std([4, 6, 4, 6], ddof=1) / 2)
    assert row["rivals"] == 1  # 4.5 +- 0.3 against 5 +- 0.6
    assert row["repeats"] == 4
    # the preferred phase of the drift
    assert row["phase_deg"] in (45.0, 90.0)
    assert row["predicted_response"] > row["predicted_phase_mean"]
    assert image.mean() == pytest.approx(0.5, abs=0.02)


def test_best_conditions_can_be_merged(neuron):
    results, target, second = neuron
    alone = recorded(results)[1]
    table, image = recorded(results, merge_top=2)
    assert table["condition_id"].tolist() == [target, second]
    assert table["predicted_response"].nunique() == 1
    assert np.corrcoef(alone.ravel(), image.ravel())[0, 1] < 0.95
    assert image.std() == pytest.approx(alone.std(), abs=1e-3)


def test_a_neuron_that_no_gabor_drives_has_nothing_but_rivals(neuron):
    results, _, _ = neuron
    write_csv(pd.read_csv(results.gabor_trials).assign(n=0), results.gabor_trials)
    assert recorded(results)[0]["rivals"].tolist() == [242]
