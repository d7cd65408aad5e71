"""Response gradients over channel contrasts, compared with projections and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from meiflow import experiments as ex
from meiflow.figures.gradients import gradient_figure
from meiflow.stimuli import IncreaseObjective, LastReducer


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(weights):
    return lambda x: torch.einsum("bc...,c...->b", x, weights)[:, None]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(5, 6), (7, 5, 6)])
def test_gradient_of_a_linear_neuron_is_the_projection(channels, size):
    weights, pattern = seeded(channels, *size), 0.02 * seeded(channels, *size, seed=1)
    ladder = [-1.0, 0.0, 2.0]
    grid = ex.response_gradient_grid(linear(weights), pattern, ladder, limits=None)
    projection = (weights * pattern).flatten(1).sum(1).numpy()
    assert grid.responses.shape == (3,) * channels
    assert grid.gradients.shape == (*(3,) * channels, channels)
    np.testing.assert_allclose(
        grid.gradients, np.broadcast_to(projection, grid.gradients.shape), rtol=1e-3, atol=1e-4
    )
    points = np.stack(np.meshgrid(*[ladder] * channels, indexing="ij"), -1)
    expected = points @ projection + 0.5 * float(weights.sum())
    np.testing.assert_allclose(grid.responses, expected, rtol=1e-4, atol=1e-3)
    table = grid.table()
    assert len(table) == 3**channels
    assert table.columns[0] == "contrast_0"
    assert table.columns[-1] == f"gradient_{channels - 1}"
    np.testing.assert_allclose(table["response"], grid.responses.ravel())


class Retina(nn.Module):
    """Movies to (batch, time, neurons), with dropout that must be inactive."""

    def __init__(self, channels):
        super().__init__()
        torch.manual_seed(2)
        self.mix = nn.Conv3d(channels, 4, (3, 4, 4))
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        hidden = nn.functional.softplus(self.mix(x - 0.5)).mean((-2, -1))
        return nn.functional.softplus(self.out(self.drop(hidden).transpose(1, 2)))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.floats(-1, 1), st.integers(0, 2), st.integers(0, 4), st.integers(1, 4))
def test_gradient_is_that_of_finite_differences(channels, contrast, neuron, start, length):
    model = Retina(channels).double().eval()
    pattern = 0.1 * seeded(channels, 12, 6, 6, seed=3)

    def wide(x):  # in double precision, to resolve small differences of the response
        return model(x.double())

    def response(factors):
        with torch.no_grad():
            movie = 0.5 + torch.tensor(factors).reshape(-1, 1, 1, 1) * pattern.double()
            return float(model(movie[None])[0, start : start + length, neuron].mean())

    axes = [[contrast]] * channels
    grid = ex.response_gradient_grid(wide, pattern, axes, neuron, start, start + length)
    middle = np.full(channels, contrast)
    assert grid.responses.item() == pytest.approx(response(middle), rel=1e-5)
    for k in range(channels):
        step = 1e-4 * np.eye(channels)[k]
        slope = (response(middle + step) - response(middle - step)) / 2e-4
        assert grid.gradients.ravel()[k] == pytest.approx(slope, rel=2e-3, abs=1e-6)


def test_start_and_stop_are_respected():
    """A neuron that reports the frame: the mean between the frames is known."""

    def frames(x):
        light = x.mean((1, 3, 4))
        return (light * torch.arange(10.0))[..., None]

    pattern = torch.full((1, 10, 3, 3), 0.1)

    def mean_frame(**span):
        grid = ex.response_gradient_grid(frames, pattern, [0.0, 1.0], neuron=0, **span)
        np.testing.assert_allclose(grid.responses, grid.gradients[0, 0] * np.array([5, 6]), 1e-5)
        return grid.gradients[0, 0] / 0.1

    assert mean_frame() == pytest.approx(4.5)
    assert mean_frame(start=6) == pytest.approx(7.5)
    assert mean_frame(stop=3) == pytest.approx(1.0)
    assert mean_frame(start=2, stop=5) == pytest.approx(3.0)
    last = ex.response_gradient_grid(
        frames, pattern, [1.0], objective=IncreaseObjective(0, LastReducer())
    )
    assert last.responses[0] == pytest.approx(9 * 0.6)


def test_the_range_of_contrasts_is_respected_and_batches_do_not_matter():
    weights, pattern = seeded(2, 4, 4), 0.1 * seeded(2, 4, 4, seed=5)
    ladders = [np.linspace(-0.3, 0.6, 7), np.linspace(0.1, 0.2, 3)]
    model = lambda x: linear(weights)(x) ** 2  # noqa: E731
    one = ex.response_gradient_grid(model, pattern, ladders, batch=1)
    many = ex.response_gradient_grid(model, pattern, ladders, batch=100)
    np.testing.assert_allclose(one.contrasts[0], ladders[0])
    assert one.responses.shape == (7, 3)
    np.testing.assert_allclose(one.gradients, many.gradients, rtol=1e-4, atol=1e-5)


def test_model_is_left_as_it_was():
    model = Retina(2).train()
    pattern = 0.05 * seeded(2, 8, 6, 6)
    first = ex.response_gradient_grid(model, pattern, [0.0, 1.0], 0)
    again = ex.response_gradient_grid(model, pattern, [0.0, 1.0], 0)
    np.testing.assert_array_equal(first.gradients, again.gradients)
    assert all(part.training for part in model.modules())
    assert all(p.grad is None for p in model.parameters())


PATTERN = torch.full((2, 4, 4), 0.1)
SUM = linear(torch.ones(2, 4, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ex.response_gradient_grid(SUM, PATTERN[0], [1.0]), "patterns have shape"),
        (lambda: ex.response_gradient_grid(SUM, PATTERN * np.nan, [1.0]), "expected finite"),
        (lambda: ex.response_gradient_grid(SUM, PATTERN, []), "one list of contrasts, or 2"),
        (lambda: ex.response_gradient_grid(SUM, PATTERN, 1.0), "one list of contrasts, or 2"),
        (lambda: ex.response_gradient_grid(SUM, PATTERN, [[1.0]] * 3), "or 2 lists for 2 channels"),
        (lambda: ex.response_gradient_grid(SUM, PATTERN, [np.nan]), "not finite"),
        (lambda: ex.response_gradient_grid(SUM, PATTERN, [9.0]), "to 1.4; allowed is 0 to 1"),
        (
            lambda: ex.response_gradient_grid(SUM, PATTERN, [1.0], 0, start=2),
            "no time axis to reduce",
        ),
        (
            lambda: ex.response_gradient_grid(SUM, PATTERN, [1.0], 3),
            "neuron 3 does not exist; .* 0 to 0",
        ),
        (
            lambda: ex.response_gradient_grid(SUM, PATTERN, [1.0], mean=[0.5, 0.5, 0.5]),
            "mean of shape",
        ),
        (
            lambda: ex.response_gradient_grid(
                SUM, PATTERN, [1.0], 0, objective=IncreaseObjective(0)
            ),
            "must not be given",
        ),
        (
            lambda: ex.response_gradient_grid(lambda x: x.detach().sum((1, 2, 3)), PATTERN, [1.0]),
            "does not depend",
        ),
        (lambda: ex.equalise_channels(PATTERN), "the pattern has shape"),
        (lambda: ex.equalise_channels(PATTERN[None], flip=[2]), "the channels are 0 to 1"),
        (lambda: ex.equalise_channels(torch.zeros(1, 2, 4, 4)), "zero everywhere"),
    ],
)
def test_impossible_requests_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 1000))
def test_equal_channels_and_the_norm_as_before(batch, channels, movie, seed):
    shape = (batch, channels, *((5,) if movie else ()), 4, 6)
    pattern = seeded(*shape, seed=seed) * (
        1 + torch.arange(channels).reshape(-1, *[1] * (len(shape) - 2))
    )
    equal = ex.equalise_channels(pattern, flip=[channels - 1])
    norms = equal.flatten(2).norm(dim=2)
    torch.testing.assert_close(norms, norms[:, :1].expand_as(norms))
    torch.testing.assert_close(equal.flatten(1).norm(dim=1), pattern.flatten(1).norm(dim=1))
    signs = (equal * pattern).flatten(2).sum(2).sign()
    assert (signs[:, -1] < 0).all()
    assert (signs[:, :-1] > 0).all()


def test_equalised_is_openretinas():
    """Their function on one stimulus of two channels, without moving it to the GPU."""
    mei = seeded(1, 2, 5, 4, 4)
    half = mei.norm() / 2
    theirs = torch.stack([half / mei[0, k].norm() * mei[0, k] for k in (0, 1)])[None]
    theirs = theirs * mei.norm() / theirs.norm()
    torch.testing.assert_close(ex.equalise_channels(mei), theirs)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_figure_for_any_number_of_channels(channels):
    weights = seeded(channels, 3, 3)
    model = lambda x: linear(weights)(x).relu() ** 2  # noqa: E731
    pattern = 0.1 * seeded(channels, 3, 3, seed=2)
    grid = ex.response_gradient_grid(model, pattern, np.linspace(-1, 1, 4), limits=None)
    figure = gradient_figure(grid.contrasts, grid.responses, grid.gradients)
    panels = [ax for ax in figure.axes if ax.get_xlabel().startswith("contrast")]
    assert len(panels) == {1: 1, 2: 1, 3: 4, 4: 12}[channels]
    if channels > 1:
        from matplotlib.quiver import Quiver

        arrows = next(a for a in panels[0].collections if isinstance(a, Quiver))
        first = grid.gradients.reshape(4, 4, -1, channels)[:, :, 0]
        np.testing.assert_allclose(arrows.U, first[..., 0].T.ravel())
        np.testing.assert_allclose(arrows.V, first[..., 1].T.ravel())
