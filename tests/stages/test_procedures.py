"""Every procedure on a small population with known filters."""

import logging
import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.config.names import PROCEDURES
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, write_array, write_arrays
from meiflow.models import members
from meiflow.models.archive import write_archive
from meiflow.results.layout import Layout
from meiflow.results.stimuli import read_procedures, read_transparent
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.stages.procedures import make_procedure
from meiflow.stages.stimulus_sets import load_population
from tests.known import linear, write_fitted, write_models, write_stack

CONFIG = parse_config(
    {
        "image": {"height": 30, "width": 48},
        "mei": {"restarts": 3, "steps": 60},
        "stimuli": {
            "diverse_images": 3,
            "diverse_steps": 60,
            "fade_steps": 200,
            "field_samples": 64,
            "published_steps": 150,
        },
        "seed": 3,
    }
)
GRID = Geometry(30, 48)
PLACES = ((-20.0, 10.0, 20.0), (15.0, -8.0, 110.0), (0.0, 0.0, 60.0))


def filters():
    return [patterns.gabor(GRID, x, y, 18.0, angle, 40.0, 7.0) for x, y, angle in PLACES]


def neuron(template, scale=1.5):
    scaled = template / max(np.abs(template).sum(), 1e-9) * 20
    return linear(scaled, offset=-0.1, baseline=-2.0, scale=scale)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Results of all earlier stages."""
    results = Layout(tmp_path_factory.mktemp("results"))
    frames = [dead_leaves((60, 78), np.random.default_rng([2, i])) for i in range(20)]
    images = resize(np.stack(frames) / 255.0, GRID.shape)
    write_stack(results, images, GRID, np.arange(100, 120))
    write_models(results, GRID, {f"00{i}": neuron(f) for i, f in enumerate(filters())})
    x, y = np.linspace(-55, 55, 12), np.linspace(40, -40, 9)
    maps = [np.exp(-np.hypot(x - x0, y[:, None] - y0) / 10) for x0, y0, _ in PLACES]
    search = {"neuron_ids": np.array(["000", "001", "002"]), "rf_map": np.stack(maps, -1)}
    write_arrays(search | {"rf_map_x_deg": x, "rf_map_y_deg": y}, results.model_search)
    for i, template in enumerate(filters()):
        mei = project_array(template[None], float(images.mean()), 0.05)[0]
        write_array(mei, results.neuron(f"00{i}").mei)
    return results


@pytest.fixture
def results(shared, tmp_path):
    shutil.copytree(shared.root, tmp_path / "results")
    return Layout(tmp_path / "results")


@pytest.fixture(scope="module")
def population(shared):
    return load_population(CONFIG, shared, PROCEDURES["natural"], None)


def made(name, results, config=CONFIG, neurons=None):
    make_procedure(config, results, name, neurons)
    files = results.procedure(name)
    assert files.picture.stat().st_size > 1000
    table = pd.read_csv(files.table, dtype={"neuron_id": str})
    return read_array(files.images), table


def searching(others):
    """The configuration with additional natural images."""
    document = CONFIG.model_dump(mode="json")
    document["stimuli"]["natural_images"] = str(others)
    return parse_config(document)


def correlation(images, index):
    a, b = images.ravel(), filters()[index].ravel()
    return np.corrcoef(a, b)[0, 1]


def test_population_mei_gives_every_neuron_its_own_filter(results):
    images, table = made("population_mei", results)
    assert table["neuron_id"].tolist() == ["000", "001", "002"]
    for i, image in enumerate(images):
        assert correlation(image, i) > 0.97
    np.testing.assert_allclose(images.std((1, 2)), 0.05, atol=1e-4)
    assert (table["restarts_agreeing"] == 1).all()
    assert (table["restart_correlation"] > 0.95).all()
    assert table["steps_to_95"].between(1, 59).all()
    np.testing.assert_allclose(table["predicted_response"], table["matched_response"], rtol=1e-3)


def test_suppressive_is_the_negative(results):
    images, table = made("suppressive", results)
    assert (table["predicted_response"] < table["grey_response"]).all()
    assert (table["grey_response"] < table["mei_response"]).all()
    for i, image in enumerate(images):
        assert correlation(image, i) < -0.9


def test_diverse_images_reach_the_fraction(results):
    images, table = made("diverse", results)
    assert images.shape == (3, 3, 30, 48)
    assert len(table) == 9
    assert (table["fraction_of_mei"] >= 0.85 - 1e-3).all()
    assert (table["similarity"] < 0.99).all()


def test_natural_is_the_best_of_all_images(population, results):
    images, table = made("natural", results)
    candidates = project_array(population.images, population.mean, population.contrast)
    for i, model in enumerate(population.models):
        responses = model.predict(candidates)
        assert table["predicted_response"][i] == pytest.approx(responses.max(), rel=1e-5)
        assert table["image"][i] == 100 + responses.argmax()
        np.testing.assert_allclose(images[i], candidates[responses.argmax()], atol=1e-6)


def test_further_images_are_searched(results, tmp_path):
    """Pictures of the filters themselves must beat natural scenes."""
    stack = np.stack([0.5 + 0.45 * f / np.abs(f).max() for f in filters()])
    np.save(tmp_path / "own.npy", stack.astype(np.float32))
    _, table = made("natural", results, searching(tmp_path / "own.npy"))
    assert (table["source"] == "natural_images").all()
    assert table["image"].tolist() == [0, 1, 2]
    assert (table["searched"] == 23).all()


def test_faded_natural_image_keeps_the_response_and_loses_the_rest(results):
    _, table = made("regularised_natural", results)
    np.testing.assert_allclose(table["response_kept"], 1, atol=0.02)
    assert (table["contrast_left"] < 0.6).all()


def test_receptive_fields_are_the_filters(results):
    images, table = made("receptive_field", results)
    assert images.shape == (3, 2, 30, 48)
    for i, pair in enumerate(images):
        assert correlation(pair[0], i) > 0.99
        assert correlation(pair[1], i) > 0.99
    assert (table["fields_correlation"] > 0.99).all()


@pytest.mark.parametrize("name", ["notebook_mei", "walker_mei"])
def test_published_procedures_run_on_the_same_models(population, results, name):
    images, table = made(name, results)
    assert images.min() >= 0
    assert images.max() <= 1
    mei, _ = made("population_mei", results)
    best = population.predictions(mei)
    assert (table["matched_response"] < best).all()
    assert (table["matched_response"] > population.predictions(np.full_like(mei, 0.5))).all()


def test_one_neuron_alone_gives_what_the_population_gives(results):
    all_of_them, _ = made("population_mei", results)
    one, table = made("population_mei", results, neurons=["001"])
    assert table["neuron_id"].tolist() == ["001"]
    np.testing.assert_allclose(one[0], all_of_them[1], atol=2e-3)


def test_what_excites_is_read_back_at_the_common_contrast(results):
    for name in ("population_mei", "receptive_field"):
        make_procedure(CONFIG, results, name)
    found = read_procedures(
        results, ["receptive_field", "population_mei", "suppressive"], ["002"], 0.47, 0.05
    )
    assert [s.name for s in found["002"]] == ["noise_mei", "linear_rf"]
    for stimulus in found["002"]:
        assert stimulus.image.mean() == pytest.approx(0.47, abs=1e-4)
        assert stimulus.image.std() == pytest.approx(0.05, abs=1e-4)
        assert correlation(stimulus.image, 2) > 0.95
    with pytest.raises(MeiflowError, match="rebuild it"):
        read_procedures(results, ["population_mei"], ["900"], 0.47, 0.05)


def test_a_folder_of_photographs_of_any_name_and_size_is_searched(results, tmp_path):
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (name, scale) in enumerate((("dog.png", 2), ("house.jpg", 4), ("tree 7.tif", 3))):
        template = filters()[i]
        pixels = np.uint8(255 * (0.5 + 0.45 * template / np.abs(template).max()))
        Image.fromarray(np.kron(pixels, np.ones((scale, scale), np.uint8))).save(folder / name)
    _, table = made("natural", results, searching(folder))
    assert table["image"].tolist() == ["dog.png", "house.jpg", "tree 7.tif"]
    (folder / "house.jpg").write_bytes(b"no picture")
    with pytest.raises(MeiflowError, match=r"stimuli\.natural_images: .*house\.jpg is not a read"):
        make_procedure(searching(folder), results, "natural")


@pytest.mark.parametrize("background", ["noise", "images"])
def test_transparent_meis_keep_the_response_where_the_filter_is(results, background):
    document = CONFIG.model_dump(mode="json")
    document["stimuli"]["transparent_background"] = background
    images, table = made("transparent", results, parse_config(document))
    assert images.shape == (3, 2, *GRID.shape)
    assert images.dtype == np.float32
    assert table["fraction_of_mei"].between(0.85, 0.97).all()
    for i, (image, alpha) in enumerate(images):
        assert correlation(image, i) > 0.9
        energy = filters()[i] ** 2
        assert (energy * (alpha > 0.5)).sum() > 0.6 * energy.sum()
    assert (table["mask_deg2"] < 0.15 * GRID.width_deg * GRID.height_deg).all()
    assert (table["rf_overlap"] > 0.2).all()
    read = read_transparent(results, ["002", "000"])
    np.testing.assert_array_equal(read["002"].alpha, images[2, 1])
    assert read["000"].row["mask_deg2"] == table["mask_deg2"][0]


def test_robust_meis_are_compared_with_the_mei_under_the_same_transformations(results):
    images, table = made("robust_mei", results)
    assert images.shape == (3, *GRID.shape)
    np.testing.assert_allclose(images.std((1, 2)), 0.05, atol=1e-4)
    assert (table["mei_similarity"] > 0.7).all()
    assert (table["transformed_response"] > 0.95 * table["mei_transformed_response"]).all()
    assert (table["predicted_response"] > table["transformed_response"]).all()


def test_one_silent_neuron_does_not_stop_the_others(results, caplog):
    """Its images stay grey, its numbers stay empty, and a message names it."""
    caplog.set_level(logging.INFO)
    scales = (1.5, 0.0, 1.5)
    pairs = zip(filters(), scales, strict=True)
    write_models(results, GRID, {f"00{i}": neuron(f, scale) for i, (f, scale) in enumerate(pairs)})
    for name in ("regularised_natural", "diverse", "transparent"):
        caplog.clear()
        images, table = made(name, results)
        assert (images[1, 0] if name == "transparent" else images[1]).std() < 1e-6
        own = table[table["neuron_id"] == "001"]
        empty = {"diverse": "predicted_response", "transparent": "mask_deg2"}
        assert own[empty.get(name, "response_kept")].isna().all()
        assert table[table["neuron_id"] == "002"].notna().all(axis=None)
        assert "neuron 001" in caplog.text


def test_no_neuron_and_a_silent_model_are_named(results):
    write_fitted(results, [])
    with pytest.raises(MeiflowError, match="no neuron was selected"):
        make_procedure(CONFIG, results, "regularised_natural")
    write_models(results, GRID, {"flat": neuron(np.zeros(GRID.shape))})
    # a model without responses: everything can fade, and nothing fails
    _, table = made("regularised_natural", results)
    assert table["contrast_left"][0] < 0.1


def test_a_procedure_reads_no_more_than_it_needs(results):
    """From noise, neither images nor MEIs: the files need not exist."""
    results.images.unlink()
    for neuron in ("000", "001", "002"):
        results.neuron(neuron).mei.unlink()
    made("population_mei", results)
    for name, missing in (("natural", "images"), ("suppressive", "mei")):
        with pytest.raises(MeiflowError, match=rf"{missing}\.npy"):
            make_procedure(CONFIG, results, name)
    with pytest.raises(MeiflowError, match="'004' is not in this session"):
        make_procedure(CONFIG, results, "population_mei", ["000", "004"])


def test_the_network_has_its_own_mei(results, monkeypatch):
    """A network that prefers another filter than the ensemble, in which it has no weight."""
    network = neuron(filters()[1]) | {"kind": "cnn"}
    document = {"x_deg": 0.0, "y_deg": 0.0, "base_models": [neuron(filters()[0]), network]}
    write_archive(GRID, {"000": document | {"weights": [1.0, 0.0]}}, lambda n: [], results.models)
    write_fitted(results, ["000"])
    monkeypatch.setitem(members._KINDS, "cnn", members.LnMember)
    images, table = made("cnn_mei", results)
    assert correlation(images[0], 1) > 0.97
    assert (table["cnn_response"] > table["predicted_response"]).all()


def test_a_network_that_was_not_fitted_is_named(results):
    with pytest.raises(MeiflowError, match="no base model cnn, only ln; add cnn"):
        make_procedure(CONFIG, results, "cnn_mei")
