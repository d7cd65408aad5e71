"""Neurons of published networks as a source of the benchmark."""

import numpy as np
import pytest
import torch

from meiflow.benchmark.networks import SCREEN, NetworkSource, usable_neurons
from meiflow.benchmark.sources import CONTRAST, MEAN, SIZE, Pictures
from meiflow.errors import MeiflowError
from tests.models.test_core_maps import published

NEURONS = 20


def write(path, noise=0.0, neurons=NEURONS):
    """A network in the published form; with noise, the last neurons of another one differ."""
    state = published()[1] | {
        "readout.a._mu": 2.4 * torch.rand((1, neurons, 1, 2)) - 1.2,
        "readout.a._features": torch.randn((1, 5, 1, neurons)),
        "readout.a.bias": torch.randn(neurons),
    }
    state["readout.a._features"][..., NEURONS // 2 :] += noise * torch.randn(
        state["readout.a._features"][..., NEURONS // 2 :].shape
    )
    torch.save(state, path)


@pytest.fixture
def files(tmp_path):
    torch.manual_seed(1)
    write(tmp_path / "first.tar")
    torch.manual_seed(1)
    write(tmp_path / "second.tar", noise=100.0)
    return tmp_path


@pytest.mark.thorough
def test_only_neurons_on_which_the_networks_agree_are_used(files):
    folder = files
    source = NetworkSource(folder / "first.tar", folder / "second.tar", Pictures())
    usable = usable_neurons(source)
    assert set(range(NEURONS // 2)) <= set(usable)
    assert len(usable) < NEURONS
    session = source.session(0, 2, 4)
    assert session.truth.names == session.judge.names == tuple(str(i) for i in usable[:2])
    best = session.judge.maximal_drive(MEAN, CONTRAST)
    grey = np.full((1, *SCREEN.shape), MEAN)
    shown = session.judge.rates(session.images) - session.judge.rates(grey)
    assert best.shape == (2,)
    assert (best > 0).all()
    assert np.isfinite(shown).all()
    assert "judged by" in source.label
    with pytest.raises(MeiflowError, match="reduce --neurons"):
        source.session(1, SIZE, 4)


def test_files_that_do_not_belong_together(files):
    folder = files
    write(folder / "third.tar", neurons=NEURONS + 1)
    with pytest.raises(MeiflowError, match="has 21 neurons, but"):
        NetworkSource(folder / "first.tar", folder / "third.tar", Pictures()).session(0, 1, 4)
