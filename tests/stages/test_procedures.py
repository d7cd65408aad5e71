"""Every procedure on a small population whose filters are known."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from meiflow.comparison.compare import read_procedure, read_procedures
from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, write_array
from meiflow.models.network import NeuronModel, save_model
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.stages.procedures import load_population, make_procedure

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


def neuron(template, x, y, scale=1.5):
    state = {
        "kind": "ln",
        "filter": torch.as_tensor(
            template / max(np.abs(template).sum(), 1e-9) * 20, dtype=torch.float32
        ),
        "offset": -0.1,
        "baseline": -2.0,
        "scale": scale,
    }
    return NeuronModel(GRID, x, y, [state], [1.0])


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neurons")
    frames = [dead_leaves((60, 78), np.random.default_rng([2, i])) for i in range(20)]
    images = resize(np.stack(frames) / 255.0, GRID.shape)
    mean = float(images.mean())
    folders = {}
    for i, (template, (x, y, _)) in enumerate(zip(filters(), PLACES, strict=True)):
        home = folder / f"00{i}"
        save_model(neuron(template, x, y), home / "model.pt")
        write_array(project_array(template[None], mean, 0.05)[0], home / "mei.npy")
        folders[home.name] = home
    return load_population(CONFIG, np.arange(100, 120), images, folders)


def made(name, population, folder):
    make_procedure(name, population, folder)
    assert (folder / f"{name}.png").stat().st_size > 1000
    table = pd.read_csv(folder / f"{name}.csv", dtype={"neuron_id": str})
    return read_array(folder / f"{name}.npy"), table


def alike(images, index):
    a, b = images.ravel(), filters()[index].ravel()
    return np.corrcoef(a, b)[0, 1]


def test_population_mei_gives_every_neuron_its_own_filter(population, tmp_path):
    images, table = made("population_mei", population, tmp_path)
    assert table["neuron_id"].tolist() == ["000", "001", "002"]
    for i, image in enumerate(images):
        assert alike(image, i) > 0.97
    np.testing.assert_allclose(images.std((1, 2)), 0.05, atol=1e-4)
    assert (table["restarts_agreeing"] == 1).all()
    assert (table["restart_correlation"] > 0.95).all()
    assert table["steps_to_95"].between(1, 59).all()
    np.testing.assert_allclose(table["predicted_response"], table["matched_response"], rtol=1e-3)


def test_suppressive_is_the_negative(population, tmp_path):
    images, table = made("suppressive", population, tmp_path)
    assert (table["predicted_response"] < table["grey_response"]).all()
    assert (table["grey_response"] < table["mei_response"]).all()
    for i, image in enumerate(images):
        assert alike(image, i) < -0.9


def test_diverse_images_reach_the_fraction(population, tmp_path):
    images, table = made("diverse", population, tmp_path)
    assert images.shape == (3, 3, 30, 48)
    assert len(table) == 9
    assert (table["fraction_of_mei"] >= 0.85 - 1e-3).all()
    assert (table["similarity"] < 0.99).all()


def test_natural_is_the_best_of_all_images(population, tmp_path):
    images, table = made("natural", population, tmp_path)
    candidates = project_array(population.images, population.mean, population.contrast)
    for i, model in enumerate(population.models):
        responses = model.predict(candidates)
        assert table["predicted_response"][i] == pytest.approx(responses.max(), rel=1e-5)
        assert table["image"][i] == 100 + responses.argmax()
        np.testing.assert_allclose(images[i], candidates[responses.argmax()], atol=1e-6)


def test_further_images_are_searched(population, tmp_path):
    """Pictures of the filters themselves must win over natural scenes."""
    stack = np.stack([0.5 + 0.45 * f / np.abs(f).max() for f in filters()])
    np.save(tmp_path / "own.npy", stack.astype(np.float32))
    document = CONFIG.model_dump(mode="json")
    document["stimuli"]["natural_images"] = str(tmp_path / "own.npy")
    folders = dict(zip(population.neurons, population.folders, strict=True))
    wide = load_population(parse_config(document), population.image_ids, population.images, folders)
    _, table = made("natural", wide, tmp_path)
    assert (table["source"] == "natural_images").all()
    assert table["image"].tolist() == [0, 1, 2]
    assert (table["searched"] == 23).all()


def test_faded_natural_image_keeps_the_response_and_loses_the_rest(population, tmp_path):
    _, table = made("regularised_natural", population, tmp_path)
    np.testing.assert_allclose(table["response_kept"], 1, atol=0.02)
    assert (table["contrast_left"] < 0.6).all()


def test_receptive_fields_are_the_filters(population, tmp_path):
    images, table = made("receptive_field", population, tmp_path)
    assert images.shape == (3, 2, 30, 48)
    for i, pair in enumerate(images):
        assert alike(pair[0], i) > 0.99
        assert alike(pair[1], i) > 0.99
    assert (table["fields_correlation"] > 0.99).all()


@pytest.mark.parametrize("name", ["notebook_mei", "walker_mei"])
def test_published_procedures_run_on_the_same_models(population, tmp_path, name):
    images, table = made(name, population, tmp_path)
    assert images.min() >= 0
    assert images.max() <= 1
    mei, _ = made("population_mei", population, tmp_path)
    best = population.predictions(mei)
    assert (table["matched_response"] < best).all()
    assert (table["matched_response"] > population.predictions(np.full_like(mei, 0.5))).all()


def test_one_neuron_alone_gives_what_the_population_gives(population, tmp_path):
    all_of_them, _ = made("population_mei", population, tmp_path)
    folders = {population.neurons[1]: population.folders[1]}
    alone = load_population(CONFIG, population.image_ids, population.images, folders)
    one, _ = made("population_mei", alone, tmp_path)
    np.testing.assert_allclose(one[0], all_of_them[1], atol=2e-3)


def test_what_excites_is_read_back_at_the_common_contrast(population, tmp_path):
    for name in ("population_mei", "receptive_field"):
        make_procedure(name, population, tmp_path)
    found = read_procedures(
        tmp_path, ["receptive_field", "population_mei", "suppressive"], ["002"], 0.47, 0.05
    )
    assert [s.name for s in found["002"]] == ["noise_mei", "linear_field"]
    for stimulus in found["002"]:
        assert stimulus.image.mean() == pytest.approx(0.47, abs=1e-4)
        assert stimulus.image.std() == pytest.approx(0.05, abs=1e-4)
        assert alike(stimulus.image, 2) > 0.95
    with pytest.raises(MeiflowError, match="make it again"):
        read_procedures(tmp_path, ["population_mei"], ["900"], 0.47, 0.05)


def test_a_folder_of_photographs_of_any_name_and_size_is_searched(population, tmp_path):
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (name, scale) in enumerate((("dog.png", 2), ("house.jpg", 4), ("tree 7.tif", 3))):
        template = filters()[i]
        pixels = np.uint8(255 * (0.5 + 0.45 * template / np.abs(template).max()))
        Image.fromarray(np.kron(pixels, np.ones((scale, scale), np.uint8))).save(folder / name)
    document = CONFIG.model_dump(mode="json")
    document["stimuli"]["natural_images"] = str(folder)
    folders = dict(zip(population.neurons, population.folders, strict=True))
    wide = load_population(parse_config(document), population.image_ids, population.images, folders)
    _, table = made("natural", wide, tmp_path)
    assert table["image"].tolist() == ["dog.png", "house.jpg", "tree 7.tif"]
    (folder / "house.jpg").write_bytes(b"no picture")
    with pytest.raises(MeiflowError, match=r"stimuli\.natural_images: .*house\.jpg is not a read"):
        make_procedure("natural", wide, tmp_path)


def test_one_silent_neuron_does_not_stop_the_others(population, tmp_path, caplog):
    """Its images stay grey, its numbers empty, and a message names it."""
    caplog.set_level(logging.INFO)
    folders = dict(zip(population.neurons, population.folders, strict=True))
    folders["001"] = tmp_path / "silent"
    save_model(neuron(filters()[1], 0.0, 0.0, scale=0.0), folders["001"] / "model.pt")
    write_array(population.mei(1), folders["001"] / "mei.npy")
    population = load_population(CONFIG, population.image_ids, population.images, folders)
    for name in ("regularised_natural", "diverse"):
        caplog.clear()
        images, table = made(name, population, tmp_path)
        assert images[1].std() < 1e-6
        own = table[table["neuron_id"] == "001"]
        assert own["predicted_response" if name == "diverse" else "response_kept"].isna().all()
        assert table[table["neuron_id"] == "002"].notna().all(axis=None)
        assert "neuron 001" in caplog.text


def test_damaged_files_of_a_procedure_are_named(population, tmp_path):
    make_procedure("population_mei", population, tmp_path)
    path = tmp_path / "population_mei.npy"
    whole = read_array(path)
    for bad in (np.full_like(whole, np.nan), np.float32(3), whole[:2]):
        write_array(bad, path)
        with pytest.raises(MeiflowError, match=r"population_mei\.npy: .*make it again"):
            read_procedure(tmp_path, "population_mei", ["000"])


def test_no_neuron_and_a_silent_model_are_named(population, tmp_path):
    with pytest.raises(MeiflowError, match="no neuron was selected"):
        load_population(CONFIG, population.image_ids, population.images, {})
    home = tmp_path / "flat"
    save_model(neuron(np.zeros(GRID.shape), 0.0, 0.0), home / "model.pt")
    write_array(population.mei(0), home / "mei.npy")
    silent = load_population(CONFIG, population.image_ids, population.images, {"flat": home})
    # a model that minds nothing: everything may fade, and nothing fails
    make_procedure("regularised_natural", silent, tmp_path)
    table = pd.read_csv(tmp_path / "regularised_natural.csv")
    assert table["contrast_left"][0] < 0.1
