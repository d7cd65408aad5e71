"""Many neurons' models in one call, compared with each of them alone."""

import sys

import numpy as np
import pytest
import torch

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.cnn_maps import CnnMaps, LearnedLayer
from meiflow.models.front_end import FrontEnd
from meiflow.models.gabor_energy import NAMES
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel, SharedModel
from meiflow.models.window_front_end import WindowFrontEnd
from meiflow.stimuli import Iterations, most_exciting, noise_starts

GRID = Geometry(20, 32, 60.0, 40.0)
FRONT_ENDS = [
    FrontEnd.from_config(Model(wavelengths_deg=[10.0], orientations=4)),
    FrontEnd.from_config(Model(wavelengths_deg=[8.0, 16.0], orientations=3)),
]


def v1(seed, which=0, drive=1.0):
    rng = np.random.default_rng(seed)
    front_end = FRONT_ENDS[which]
    weight = drive * rng.exponential(size=front_end.n_channels)
    return {
        "kind": "v1",
        "front_end": front_end.as_document(),
        "x_deg": rng.uniform(-15, 15),
        "y_deg": rng.uniform(-10, 10),
        "floor": rng.uniform(0.1, 0.5),
        "weight": torch.as_tensor(weight, dtype=torch.float32),
        "bias": rng.uniform(0, 3) * drive,
    }


def ln(seed):
    rng = np.random.default_rng(seed)
    return {
        "kind": "ln",
        "filter": torch.as_tensor(rng.normal(size=GRID.shape) / 5, dtype=torch.float32),
        "offset": rng.normal() / 5,
        "baseline": rng.normal() - 1,
        "scale": rng.uniform(0.5, 3),
    }


def gabor_energy(seed, drive=1.0):
    rng = np.random.default_rng(seed)
    typical = {
        "x": rng.uniform(-15, 15),
        "y": rng.uniform(-10, 10),
        "log_wavelength": np.log(rng.uniform(8, 20)),
        "orientation": rng.uniform(0, np.pi),
        "phase": rng.uniform(0, 2 * np.pi),
        "log_envelope": np.log(rng.uniform(0.3, 0.6)),
        "log_aspect": np.log(rng.uniform(0.8, 2)),
        "threshold": rng.uniform(-0.5, 0.5),
        "log_semisaturation": np.log(rng.uniform(0.05, 0.3)),
    }
    return {
        "kind": "gabor_energy",
        "parameters": {name: float(typical[name]) for name in NAMES},
        "scale": rng.uniform(0.5, 3),
        "weight": torch.as_tensor(drive * rng.exponential(size=4), dtype=torch.float32),
        "bias": rng.uniform(0, 2) * drive,
        "floor": rng.uniform(0.1, 0.5),
    }


def window(seed, which=0, spacing=8.0):
    rng = np.random.default_rng(seed)
    maps = WindowFrontEnd(FRONT_ENDS[which], GRID, spacing)
    rows, columns = (int(rng.integers(1, n + 1)) for n in maps.shape)
    corner = [
        int(rng.integers(0, n - m + 1)) for n, m in zip(maps.shape, (rows, columns), strict=True)
    ]
    return {
        "kind": "v1_window",
        "maps": maps.as_document(),
        "box": [*corner, rows, columns],
        "positions": torch.as_tensor(
            rng.exponential(size=(rows * columns, 2)), dtype=torch.float32
        ),
        "channels": torch.as_tensor(
            rng.exponential(size=(2, len(maps.prior))), dtype=torch.float32
        ),
        "bias": rng.uniform(0, 3),
        "floor": rng.uniform(0.1, 0.5),
    }


def sized(rows, columns):
    """A box in the lower right corner of a map of 5 by 8 positions, and its weights."""
    positions = torch.arange(1.0, rows * columns + 1)[:, None].repeat(1, 2) / (rows * columns)
    return {"box": [5 - rows, 8 - columns, rows, columns], "positions": positions}


def cnn(seed, layer=0):
    """A network; networks with the same number have the same learned layer."""
    fixed = WindowFrontEnd(FRONT_ENDS[0], GRID, 8.0)
    n = len(fixed.prior)
    generator = torch.Generator().manual_seed(layer)
    centre, scale = torch.rand(n, generator=generator), 1 + torch.rand(n, generator=generator)
    learned = LearnedLayer.random(centre, scale, len(window(seed)["channels"][0]), generator)
    maps = CnnMaps(fixed, learned)
    return window(seed) | {"kind": "cnn", "maps": maps.as_document()}


def neuron(*states, weights=None, geometry=GRID):
    weights = [1 / len(states)] * len(states) if weights is None else weights
    return NeuronModel(geometry, 1.0, 2.0, list(states), weights)


MIXTURES = {
    "v1": [neuron(v1(i)) for i in range(3)],
    "windows": [neuron(window(i)) for i in range(3)],
    "networks": [neuron(cnn(i)) for i in range(3)],
    "networks of two fits": [neuron(cnn(i, i % 2)) for i in range(3)],
    "networks and windows": [neuron(cnn(i), window(i + 5), weights=[0.7, 0.3]) for i in range(3)],
    "networks or windows": [neuron(cnn(0), ln(0)), neuron(window(1)), neuron(window(2), cnn(3))],
    "windows of two sizes": [
        neuron(window(0) | sized(rows, columns)) for rows, columns in ((2, 2), (5, 8), (1, 3))
    ],
    "windows of two spacings": [neuron(window(i, i // 2, 8.0 + 4 * (i % 2))) for i in range(4)],
    "ln": [neuron(ln(i)) for i in range(3)],
    "gabor energy": [neuron(gabor_energy(i)) for i in range(3)],
    "each all": [
        neuron(v1(i), ln(i), gabor_energy(i), weights=[0.5, 0.2 + 0.1 * i, 0.3]) for i in range(4)
    ],
    "each another": [neuron(ln(0)), neuron(v1(1)), neuron(gabor_energy(2)), neuron(v1(3))],
    "some shared": [
        neuron(ln(0), v1(0), weights=[0.25, 0.75]),
        neuron(gabor_energy(1), window(1)),
        neuron(v1(2), gabor_energy(2), weights=[0.9, 0.1]),
        neuron(gabor_energy(3), ln(3), weights=[0.4, 0.6]),
    ],
    "two front ends": [neuron(v1(0, 0)), neuron(v1(1, 1)), neuron(v1(2, 1), ln(2))],
    "no weight": [neuron(ln(0), v1(0), weights=[0.0, 1.0]), neuron(ln(1), v1(1))],
    "twice the same kind": [neuron(ln(0), ln(1), v1(0)), neuron(v1(2)), neuron(ln(3), v1(3))],
    "both by one": [neuron(ln(0), ln(1)), neuron(v1(2))],
    "below their floors": [neuron(v1(i, 0, 0.003), gabor_energy(i, 0.01)) for i in range(3)],
    "one neuron": [neuron(v1(0), ln(1), gabor_energy(2))],
}
mixtures = pytest.mark.parametrize("name", MIXTURES)


def images(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + 0.25 * torch.randn(n, *GRID.shape, generator=generator)


def one_by_one(models, stimuli):
    each = len(stimuli) // len(models)
    return torch.cat(
        [alone(model, stimuli[i * each : (i + 1) * each]) for i, model in enumerate(models)]
    )


def alone(model, stimuli):
    """Weighted sum of the base models, each evaluated by itself."""
    mixture, contrast = model.mixture, stimuli.flatten(1) - GREY
    pairs = zip(mixture.weights, mixture.members, strict=True)
    return sum(weight * member(contrast) for weight, member in pairs)


@mixtures
@pytest.mark.parametrize("each", [1, 3])
def test_every_neuron_responds_to_its_own_images_as_it_does_alone(name, each):
    models = MIXTURES[name]
    stimuli = images(each * len(models))
    paired = PairedModel(models).eval()
    with torch.no_grad():
        found, expected = paired(stimuli), one_by_one(models, stimuli)
        assert found.shape == (len(stimuli),)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert len(torch.unique(found)) == len(found)
        torch.testing.assert_close(paired(stimuli[:, None]), found)
        # images of one neuron do not affect the others
        changed = stimuli.clone()
        changed[:each] = 1 - changed[:each]
        after = paired(changed)
        torch.testing.assert_close(after[each:], found[each:])
        assert not torch.isclose(after[:each], found[:each]).any()


@mixtures
def test_all_neurons_respond_to_the_same_images_as_each_does_alone(name):
    models = MIXTURES[name]
    stimuli = images(7)
    with torch.no_grad():
        found = SharedModel(models).eval()(stimuli)
        assert found.shape == (7, len(models))
        torch.testing.assert_close(
            found, torch.stack([m(stimuli) for m in models], 1), rtol=1e-5, atol=1e-5
        )
        torch.testing.assert_close(SharedModel(models)(stimuli[:, None]), found)
        paired = PairedModel(models)(stimuli.repeat(len(models), 1, 1))
        torch.testing.assert_close(paired.reshape(len(models), 7).T, found, rtol=1e-5, atol=1e-5)


def test_filters_that_fade_out_hold_no_subnormal_numbers():
    """They would make every product many times slower."""
    geometry = Geometry(60, 96)
    state = dict(v1(1), x_deg=-40.0, y_deg=30.0)
    faded = np.exp(-np.linspace(0, 120, 60 * 96)).reshape(60, 96).astype(np.float32)
    linear = dict(ln(1), filter=torch.as_tensor(faded))
    models = [neuron(state, linear, gabor_energy(1), geometry=geometry) for _ in range(2)]
    tiny = torch.finfo(torch.float32).tiny
    for module in (*models, PairedModel(models)):
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                assert not ((tensor != 0) & (tensor.abs() < tiny)).any()


@mixtures
@pytest.mark.parametrize(("at_once", "few"), [(1, 6400), (128, 6400), (128, 0)])
def test_gradients_are_those_of_each_alone(name, at_once, few, monkeypatch):
    """Also in small parts, and where the channels of all images are not kept for the gradient."""
    monkeypatch.setattr("meiflow.models.window_stack._AT_ONCE", at_once)
    monkeypatch.setattr("meiflow.models.window_stack._FEW", few)
    models = MIXTURES[name]
    pairs = []
    for model in (PairedModel(models), lambda s: one_by_one(models, s)):
        stimuli = images(2 * len(models), seed=1).requires_grad_(True)
        weights = torch.arange(1.0, len(stimuli) + 1)
        (gradient,) = torch.autograd.grad((model(stimuli) * weights).sum(), stimuli)
        size = gradient.flatten(1).norm(dim=1)[:, None, None]
        assert size.min() > 1e-4
        pairs.append((gradient / size, size))
    torch.testing.assert_close(*pairs, rtol=1e-3, atol=1e-5)


def test_meis_of_a_population_are_those_of_its_neurons():
    models = MIXTURES["some shared"]
    starts = noise_starts(2, GRID, 1.0, 0.5, 0.1, seed=0)
    together = most_exciting(
        PairedModel(models), starts.repeat(len(models), 1, 1), GRID, 0.5, 0.1, Iterations(8)
    )
    for i, model in enumerate(models):
        alone = most_exciting(model, starts, GRID, 0.5, 0.1, Iterations(8))
        rows = slice(2 * i, 2 * i + 2)
        np.testing.assert_allclose(together.scores[rows], alone.scores, rtol=1e-3)
        np.testing.assert_allclose(together.images[rows], alone.images, atol=2e-3)


@pytest.mark.parametrize("n", [1, 3, 5, 7])
def test_images_that_cannot_be_divided_evenly_are_refused(n):
    with pytest.raises(ValueError, match=f"{n} images cannot be divided evenly among 4 neurons"):
        PairedModel(MIXTURES["some shared"])(images(n))


def test_images_of_another_size_are_refused_as_by_each_neuron():
    """Also where the number of pixels is the same."""
    models = MIXTURES["ln"]
    for shape in ((32, 20), (16, 40), (20, 31)):
        stimuli = torch.rand(3, *shape)
        with pytest.raises(ValueError, match="the model expects"):
            models[0](stimuli)
        for together in (PairedModel(models), SharedModel(models)):
            with pytest.raises(ValueError, match="expects"):
                together(stimuli)


def test_no_neurons_and_other_geometries_are_refused():
    with pytest.raises(ValueError, match="at least one neuron"):
        PairedModel([])
    other = dict(ln(1), filter=torch.zeros(20, 30))
    with pytest.raises(ValueError, match="different sizes"):
        PairedModel([neuron(ln(0)), neuron(other, geometry=Geometry(20, 30))])


OWN = """
import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Linear(20 * 32, 1)

    def forward(self, images):
        return torch.nn.functional.softplus(self.layer(images.flatten(1)))[:, 0]


def build(neuron, geometry):
    return Own(int(neuron)).eval()
"""


def test_custom_modules_work_with_the_others_and_are_left_unchanged(tmp_path, monkeypatch):
    (tmp_path / "own_population.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_population", raising=False)

    def own(seed):
        return {"kind": "custom", "spec": "own_population:build", "neuron": str(seed)}

    models = [neuron(own(1)), neuron(ln(0)), neuron(own(2), ln(5), weights=[0.7, 0.3])]
    before = [p.requires_grad for m in models for p in m.parameters()]
    stimuli = images(6)
    with torch.no_grad():
        torch.testing.assert_close(PairedModel(models)(stimuli), one_by_one(models, stimuli))
        alone = torch.stack([m(stimuli) for m in models], 1)
        torch.testing.assert_close(SharedModel(models)(stimuli), alone)
    assert [p.requires_grad for m in models for p in m.parameters()] == before


def test_it_can_be_moved_to_another_precision():
    """Everything that the responses depend on is a buffer or a parameter."""
    models = MIXTURES["each all"]
    stimuli = images(4)
    with torch.no_grad():
        expected = PairedModel(models)(stimuli)
        paired = PairedModel(models).double()
        torch.testing.assert_close(paired(stimuli.double()).float(), expected, rtol=1e-4, atol=1e-5)
