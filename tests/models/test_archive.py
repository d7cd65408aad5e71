"""One file for all models: reproducible, read one neuron at a time, all damage detected."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.archive import ModelArchive, write_archive
from meiflow.models.network import NeuronModel, load_model
from tests.known import linear

GRID = Geometry(6, 8)
NEURONS = ("1", "12", "nobody")


def document(seed: int, members: int = 1, weights: tuple[float, ...] = (1.0,)) -> dict:
    rng = np.random.default_rng(seed)
    states = [linear(rng.normal(size=GRID.shape), scale=2.0) for _ in range(members)]
    return {"x_deg": 1.0 + seed, "y_deg": -2.0, "base_models": states, "weights": list(weights)}


@pytest.fixture
def path(tmp_path):
    """Three neurons with two fold models each."""
    models = {neuron: document(i) for i, neuron in enumerate(NEURONS)}

    def folds(neuron):
        first = 10 * (1 + NEURONS.index(neuron))
        return [document(first), document(first + 1)]

    write_archive(GRID, models, folds, tmp_path / "models.zip")
    write_archive(GRID, models, folds, tmp_path / "again.zip")
    return tmp_path / "models.zip"


@pytest.fixture
def images(rng):
    return rng.random((5, *GRID.shape))


def responses(given: dict, images: np.ndarray) -> np.ndarray:
    model = NeuronModel(GRID, 0, 0, given["base_models"], given["weights"])
    return model.predict(images)


def test_the_same_models_are_the_same_bytes(path):
    assert path.read_bytes() == path.with_name("again.zip").read_bytes()


def test_models_come_back_each_to_its_neuron_and_folds_in_their_order(path, images):
    archive = ModelArchive(path, GRID)
    assert archive.neurons == list(NEURONS)
    for i, neuron in enumerate(NEURONS):
        model = archive.model(neuron)
        assert (model.x, model.y) == (1.0 + i, -2.0)
        np.testing.assert_array_equal(model.predict(images), responses(document(i), images))
        found = [fold.predict(images) for fold in archive.fold_models(neuron)]
        wanted = [responses(document(10 * (1 + i) + k), images) for k in range(2)]
        np.testing.assert_array_equal(found, wanted)


def test_any_zip_tool_takes_a_neuron_out(path, images, tmp_path):
    """The extracted file can be read by torch and meiflow."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    for name, content in ModelArchive(path, GRID).extract("12").items():
        assert (tmp_path / "12" / name).read_bytes() == content
    torch.load(tmp_path / "12" / "model.pt", weights_only=True)
    model = load_model(tmp_path / "12" / "model.pt", GRID)
    np.testing.assert_array_equal(model.predict(images), responses(document(1), images))


def test_a_base_model_alone_and_base_models_without_weight(tmp_path, images):
    """A fold model drops base models without weight; the model itself keeps them all."""
    whole = document(0, 2, (0.25, 0.75))
    whole["base_models"][1] |= {"kind": "ln"}
    fold = document(5, 3, (0.0, 0.4, 0.6))
    write_archive(GRID, {"a": whole}, lambda _: [fold], tmp_path / "models.zip")
    archive = ModelArchive(tmp_path / "models.zip", GRID)
    (found,) = archive.fold_models("a")
    assert found.mixture.weights == [0.4, 0.6]
    np.testing.assert_allclose(found.predict(images), responses(fold, images), rtol=1e-6)
    assert archive.model("a").mixture.weights == [0.25, 0.75]
    one = {**document(0), "base_models": whole["base_models"][:1]}
    write_archive(GRID, {"a": one | {"weights": [0.5]}}, lambda _: [], tmp_path / "one.zip")
    alone = ModelArchive(tmp_path / "one.zip", GRID).member("a", "ln")
    np.testing.assert_array_equal(alone.predict(images), responses(one, images))


def contents(path, neuron, images):
    """Everything that is read for one neuron, as numbers."""
    archive = ModelArchive(path, GRID)
    models = [archive.model(neuron), *archive.fold_models(neuron)]
    return np.stack([model.predict(images) for model in models])


def entry(path, name):
    """Offset and length of an entry's content."""
    with zipfile.ZipFile(path) as archive:
        found = archive.getinfo(name)
    return found.header_offset + 30 + len(name), found.file_size


def test_one_neuron_is_read_without_touching_the_others(path, images):
    """The content of the others may be damaged or missing."""
    whole = contents(path, "12", images)
    data = bytearray(path.read_bytes())
    for other in ("1", "nobody"):
        for name in ("model.pt", "fold_models.pt"):
            start, size = entry(path, f"{other}/{name}")
            data[start : start + size] = bytes(size)
    path.write_bytes(data)
    np.testing.assert_array_equal(contents(path, "12", images), whole)
    for other in ("1", "nobody"):
        with pytest.raises(MeiflowError, match=r"models\.zip: not a meiflow model, or damaged"):
            contents(path, other, images)


@pytest.mark.parametrize("name", ["12/model.pt", "12/fold_models.pt"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_flipped_bit_of_an_entry_is_reported(path, images, name, share):
    start, size = entry(path, name)
    data = bytearray(path.read_bytes())
    data[start + round(share * (size - 1))] ^= 1
    path.write_bytes(data)
    with pytest.raises(MeiflowError, match=r"models\.zip: not a meiflow model, or damaged"):
        contents(path, "12", images)


def test_damage_anywhere_is_reported_or_changes_nothing(path):
    """Also in the headers and directory of the archive: no byte gives a traceback or other data."""
    whole, data = ModelArchive(path, GRID).extract("12"), path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    start, _ = entry(path, "12/model.pt")
    places = [*range(start - 41, start + 4), *range(directory, len(data))]
    refused = 0
    for place in places:
        for flip in (0x01, 0x80):
            path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
            try:
                assert ModelArchive(path, GRID).extract("12") == whole, place
            except MeiflowError:
                refused += 1
    assert refused > len(places) / 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a meiflow model, or damaged"),
        (b"<html>", "not a meiflow model, or damaged"),
        (None, "no such file; fit the models again"),
    ],
)
def test_a_file_that_is_not_an_archive_is_reported(tmp_path, content, message):
    path = tmp_path / "models.zip"
    if content is not None:
        path.write_bytes(content)
    archive = ModelArchive(path, GRID)
    for read in (
        lambda: archive.neurons,
        lambda: archive.model("7"),
        lambda: archive.fold_models("7"),
        lambda: archive.extract("7"),
    ):
        with pytest.raises(MeiflowError, match=rf"models\.zip: {message}"):
            read()
    path.unlink(missing_ok=True)
    path.mkdir()
    with pytest.raises(MeiflowError, match=r"models\.zip: not a meiflow model, or damaged"):
        archive.model("7")


def test_a_truncated_archive_is_reported(path, images):
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(MeiflowError, match="not a meiflow model, or damaged"):
            contents(path, "12", images)


def test_a_missing_neuron_and_another_grid_are_reported(path):
    archive = ModelArchive(path, GRID)
    for read in (archive.model, archive.fold_models, archive.extract):
        with pytest.raises(
            MeiflowError, match=r"models\.zip: no model for neuron 2; fit the models"
        ):
            read("2")
    with pytest.raises(MeiflowError, match="fit it again"):
        ModelArchive(path, Geometry(8, 6)).model("1")
