"""Tensors stay on the device that was chosen, shown with torch's device without data (`meta`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.fx.experimental import _config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from meiflow.cli.stages import _run
from meiflow.config.base_models import Window
from meiflow.config.model import Cnn
from meiflow.config.sections import Gabor, GaborEnergy, LinearNonlinear, Network
from meiflow.errors import MeiflowError
from meiflow.models import device
from meiflow.models.cnn import CnnFitter
from meiflow.models.device import chosen_device, computing_on, device_of
from meiflow.models.gabor_energy import GaborEnergyFitter
from meiflow.models.jobs import Jobs
from meiflow.models.ln import LnFitter
from meiflow.models.network import NeuronModel
from meiflow.models.network_fitter import NetworkFitter
from meiflow.models.population import PairedModel, SharedModel
from meiflow.models.window import WindowFitter
from meiflow.models.window_front_end import WindowFrontEnd
from meiflow.results.layout import Layout
from meiflow.stages.registry import STAGES
from meiflow.stimuli.gabor_search import _Search, best_gabors
from meiflow.stimuli.mei import mei_starts, most_exciting, most_exciting_of_each
from tests.models.test_population import FRONT_ENDS, GRID, cnn, gabor_energy, ln, neuron, v1, window

META = torch.device("meta")
INDEXED = {torch.ops.aten.index.Tensor}
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of several devices, apart from numbers."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = args[:1] if func in INDEXED else (args, kwargs)  # by indices on the CPU, too
        tensors = [t for t in tree_leaves(given) if isinstance(t, torch.Tensor)]
        kinds = {t.device.type for t in tensors if t.ndim}
        assert len(kinds) < 2 or func in MOVES, f"{func} of {kinds}"
        self.seen += kinds == {"meta"}
        return func(*args, **(kwargs or {}))


@pytest.fixture
def card(monkeypatch):
    """A card that forgets: its tensors have shapes, and what is read from them lets loops end."""
    monkeypatch.setattr(device, "device_named", torch.device)
    keep = {name: getattr(torch.Tensor, name) for name in ("cpu", "any", "all", "tolist", "to")}

    def on(tensor):
        return tensor.device == META

    def moved(tensor, *where, **more):
        target = torch.empty(0)
        if where and isinstance(where[0], (torch.device, str)):
            target = torch.empty(0, device=where[0])
        elif where and isinstance(where[0], torch.Tensor):
            target = where[0]
        if on(tensor) and where and not on(target) and not isinstance(where[0], torch.dtype):
            return filled(tensor)
        return keep["to"](tensor, *where, **more)

    def filled(tensor):
        return torch.ones(tensor.shape, dtype=tensor.dtype)

    patches = {
        "cpu": lambda t: filled(t) if on(t) else keep["cpu"](t),
        "any": lambda t, *a: torch.tensor(False) if on(t) and not a else keep["any"](t, *a),
        "all": lambda t, *a: torch.tensor(True) if on(t) and not a else keep["all"](t, *a),
        "__bool__": lambda t: on(t) or bool(t.item()),
        "__float__": lambda t: 0.0 if on(t) else float(t.item()),
        "tolist": lambda t: filled(t).tolist() if on(t) else keep["tolist"](t),
        "to": moved,
    }
    for name, patch in patches.items():
        monkeypatch.setattr(torch.Tensor, name, patch)
    known = _config.patch(meta_nonzero_assume_all_nonzero=True)
    with known, computing_on("meta"), OneDevice() as watched:
        yield watched
    assert chosen_device().type == "cpu"
    assert watched.seen > 100


def test_a_missing_card_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused = pytest.raises(MeiflowError, match=r"device: cuda, but PyTorch .*; use auto or cpu")
    with refused, computing_on("cuda"):
        pass
    with computing_on("auto"):
        assert chosen_device().type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with computing_on("auto"):
        assert chosen_device().type == "cuda"
    with computing_on("cpu"):
        assert chosen_device().type == "cpu"


def test_the_setting_reaches_the_stages(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = tmp_path / "cuda.yaml"
    config.write_text("device: cuda\n")
    with pytest.raises(MeiflowError, match="device: cuda"):
        _run(STAGES["movie"], Layout(tmp_path), {"config": config})


def models() -> list[NeuronModel]:
    """Neurons with all base models of the default, which differ in size."""
    parts = [[v1(0), ln(1), gabor_energy(2), window(3)], [window(4), cnn(5)], [ln(6)]]
    return [neuron(*states).eval() for states in parts]


def test_ascents_run_where_the_models_are(card):
    starts = mei_starts(1, GRID, 1.0, 0.5, 0.05, 0, np.full(GRID.shape, 0.5, np.float32))
    assert starts.device == META
    paired = PairedModel(models())
    assert device_of(paired) == META
    found = most_exciting_of_each(paired, 3, starts, GRID, 0.5, 0.05, stop=1)
    assert found.images.shape == (3, 2, *GRID.shape)
    for model in models():
        alone = most_exciting(model.to(META), starts, GRID, 0.5, 0.05, stop=1)
        assert alone.stimuli.device == META


def test_stimuli_on_the_cpu_cross_over_to_the_models_and_responses_back(card):
    images = torch.full((3, *GRID.shape), 0.5)
    assert SharedModel(models())(images).device.type == "cpu"
    assert PairedModel(models())(images).device.type == "cpu"
    first = models()[0].to(META)
    assert first(images).device.type == "cpu"
    assert first.predict(images.numpy()).shape == (3,)


def test_gabors_are_searched_where_the_models_are(card, monkeypatch):
    # threads have their own modes
    monkeypatch.setattr(
        _Search, "_parallel", lambda _, work, items, label: [work(i) for i in items]
    )
    config = Gabor(wavelengths_deg=[12.0], orientations=2, phases=2, refine_steps=3, refine_top=2)
    found = best_gabors(models(), GRID, 0.5, 0.05, config)
    assert [fit.image.shape for fit in found] == [GRID.shape] * 3


IMAGES = np.random.default_rng(1).uniform(size=(20, *GRID.shape)).astype(np.float32)
WEIGHTS = np.ones(20)


@pytest.mark.parametrize("kind", ["ln", "gabor_energy", "network", "cnn"])
def test_fits_run_on_the_device_and_end_on_the_cpu(card, kind):
    rng = np.random.default_rng(0)
    starts = np.tile([5.0, 5.0, 20.0, 30.0, 0.0], (2, 2, 1))
    seen = np.ones((2, 20), bool)
    jobs = Jobs(rng.poisson(2, (2, 20)) * 1.0, seen, np.zeros(2), np.zeros(2), starts)
    if kind == "ln":
        fitter = LnFitter(IMAGES, WEIGHTS, GRID, LinearNonlinear())
    elif kind == "gabor_energy":
        fitter = GaborEnergyFitter(IMAGES, WEIGHTS, GRID, GaborEnergy(steps=3))
    elif kind == "network":
        config = Network(channels=4, layers=2, epochs=1, batch=16, scales=2)
        fitter = NetworkFitter(IMAGES, WEIGHTS, GRID, config, 0, "shared")
    else:
        windows = WindowFitter(IMAGES, WindowFrontEnd(FRONT_ENDS[0], GRID, 8.0), Window())
        fitter = CnnFitter(windows, WEIGHTS, Cnn(channels=4, networks=1, epochs=1), 0)
    fits = fitter(jobs)
    assert fits.predictions.shape == (2, 20)
    tensors = [t for t in tree_leaves(fits.states) if isinstance(t, torch.Tensor)]
    assert {t.device.type for t in tensors} == {"cpu"}
