import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from meiflow.config.sections import Model
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.network import NeuronModel, load_model, save_model
from meiflow.models.nonlinearity import positive
from meiflow.models.ridge import LinearPredictor

GRID = Geometry(20, 32, 60.0, 40.0)


@pytest.fixture
def model(rng):
    front_end = FrontEnd.from_config(Model(wavelengths_deg=[10.0], orientations=4))
    readout = LinearPredictor(rng.normal(size=front_end.n_channels), 4.0)
    state = {
        "kind": "v1",
        "front_end": front_end.as_document(),
        "x_deg": 3.0,
        "y_deg": -2.0,
        "floor": 0.2,
        "weight": torch.as_tensor(readout.weights, dtype=torch.float32),
        "bias": readout.bias,
    }
    return NeuronModel(GRID, 3.0, -2.0, [state], [1.0]), readout


def test_prediction_is_the_readout_where_it_is_positive(model, rng):
    network, readout = model
    images = rng.uniform(size=(30, *GRID.shape))
    linear = readout(features_at(network.mixture.members[0].front_end, images, GRID, 3.0, -2.0))
    predicted = network.predict(images)
    positive = linear > 0.2
    assert positive.any()
    np.testing.assert_allclose(predicted[positive], linear[positive], rtol=1e-3, atol=1e-3)
    assert (predicted >= 0).all()
    assert (predicted[~positive] <= 0.2 + 1e-6).all()


def test_channel_axis_is_optional_and_gradients_flow(model, rng):
    network, _ = model
    images = torch.as_tensor(rng.uniform(size=(2, *GRID.shape)), dtype=torch.float32)
    torch.testing.assert_close(network(images), network(images[:, None]))
    images.requires_grad_(True)
    network(images).sum().backward()
    assert torch.isfinite(images.grad).all()


def test_file_round_trip_without_running_code(model, rng, tmp_path):
    network, _ = model
    path = tmp_path / "model.pt"
    save_model(network, path)
    torch.load(path, weights_only=True)
    images = rng.uniform(size=(5, *GRID.shape))
    np.testing.assert_array_equal(load_model(path, GRID).predict(images), network.predict(images))
    assert {p.name for p in tmp_path.iterdir()} == {"model.pt", "SHA256SUMS", ".SHA256SUMS.lock"}
    with pytest.raises(MeiflowError, match="fit it again"):
        load_model(path, Geometry(30, 48))


class _Bomb:
    def __reduce__(self):
        return (open, ("/tmp/meiflow-bomb", "w"))


def test_damaged_or_hostile_files_are_refused(tmp_path):
    missing = tmp_path / "none.pt"
    with pytest.raises(MeiflowError, match="no such model file"):
        load_model(missing, GRID)
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(MeiflowError, match="damaged"):
        load_model(bad, GRID)
    bomb = tmp_path / "bomb.pt"
    bomb.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(MeiflowError):
        load_model(bomb, GRID)
    torch.save({"format": 99}, tmp_path / "other.pt")
    with pytest.raises(MeiflowError, match="not a meiflow model"):
        load_model(tmp_path / "other.pt", GRID)


@given(st.floats(-50, 50), st.floats(0.01, 5))
def test_nonlinearity_is_scaled_elu_plus_one(z, floor):
    expected = floor * (torch.nn.functional.elu(torch.tensor(z / floor - 1)) + 1)
    assert positive(np.array(z), floor) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
    assert positive(torch.tensor(z), floor).item() == pytest.approx(float(expected), abs=1e-4)
