"""Objectives compared with openretina's definitions, written out with NumPy and SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from torch import nn

from meiflow.stimuli import (
    ChannelObjective,
    ContrastiveObjective,
    DiverseObjective,
    GreyDistance,
    IncreaseObjective,
    Iterations,
    LastReducer,
    MeanContrast,
    MeanReducer,
    PerNeuronObjective,
    SliceMeanReducer,
    SuppressObjective,
    UnitStd,
    WeightedObjective,
    ensemble,
    layer_output,
    optimise,
    stimulus_correlations,
)

IMAGES = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))


def responses(*shape, seed=0):
    return np.random.default_rng(seed).normal(2.0, 1.5, shape)


def value(objective, array, stimuli=IMAGES):
    return objective(torch.as_tensor(array), stimuli).numpy()


# Increase: openretina takes (time, neurons), picks neurons, averages them, then reduces over time.


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.data())
def test_increase_is_openretinas_for_every_stimulus(seed, batch, frames, neurons, data):
    array = responses(batch, frames, neurons, seed=seed)
    chosen = data.draw(st.lists(st.integers(0, neurons - 1), min_size=1, max_size=4))
    start = data.draw(st.integers(0, frames - 1))
    length = data.draw(st.integers(1, frames - start))
    of_group = array[:, :, chosen].mean(-1)
    for reduce, expected in (
        (None, of_group.mean(1)),
        (MeanReducer(), of_group.mean(1)),
        (SliceMeanReducer(start, length), of_group[:, start : start + length].mean(1)),
        (SliceMeanReducer(start), of_group[:, start:].mean(1)),
        (LastReducer(), of_group[:, -1]),
    ):
        np.testing.assert_allclose(value(IncreaseObjective(chosen, reduce), array), expected)


@pytest.mark.parametrize("neurons", [None, 1, [1], (0, 2), [2, -1]])
def test_increase_of_each_shape_of_response(neurons):
    flat, timed = responses(3, 4), responses(3, 5, 4)
    chosen = list(range(4)) if neurons is None else np.atleast_1d(neurons).tolist()
    np.testing.assert_allclose(value(IncreaseObjective(neurons), flat), flat[:, chosen].mean(1))
    np.testing.assert_allclose(
        value(IncreaseObjective(neurons), timed), timed[:, :, chosen].mean((1, 2))
    )


def test_one_number_per_stimulus_is_taken_as_it_is():
    array = responses(3)
    np.testing.assert_array_equal(value(IncreaseObjective(), array), array)
    np.testing.assert_array_equal(value(IncreaseObjective(0), array), array)


def test_increase_takes_the_integers_of_numpy():
    """A neuron index from `argmax` is not a Python int."""
    array = responses(3, 4)
    np.testing.assert_array_equal(value(IncreaseObjective(np.int64(2)), array), array[:, 2])
    np.testing.assert_array_equal(value(IncreaseObjective(np.array([2])), array), array[:, 2])


def test_suppress_is_the_opposite_of_increase():
    array = responses(3, 5, 4)
    expected = -array[:, -1, [0, 3]].mean(-1)
    np.testing.assert_allclose(value(SuppressObjective([0, 3], LastReducer()), array), expected)


def test_each_stimulus_has_a_neuron_of_its_own():
    flat, timed = responses(3, 4), responses(3, 5, 4)
    np.testing.assert_array_equal(
        value(PerNeuronObjective([2, 0, 2]), flat), flat[[0, 1, 2], [2, 0, 2]]
    )
    expected = timed[[0, 1, 2], 1:3, [3, 1, 0]].mean(1)
    np.testing.assert_allclose(
        value(PerNeuronObjective([3, 1, 0], SliceMeanReducer(1, 2)), timed), expected
    )


@pytest.mark.parametrize("axis", [1, 2])
def test_reducers_along_another_axis(axis):
    array = torch.as_tensor(responses(2, 5, 6))
    moved = np.moveaxis(array.numpy(), axis, 0)
    np.testing.assert_allclose(MeanReducer(axis)(array), moved.mean(0))
    np.testing.assert_allclose(SliceMeanReducer(2, 3, axis)(array), moved[2:5].mean(0))
    np.testing.assert_array_equal(LastReducer(axis)(array), moved[-1])


@pytest.mark.parametrize(("start", "length"), [(-1, 2), (0, 0), (3, 3), (5, None), (2, -1)])
def test_slices_out_of_range_are_named(start, length):
    with pytest.raises(ValueError, match="a response of 5 frames"):
        SliceMeanReducer(start, length)(torch.zeros(2, 5, 3))


@pytest.mark.parametrize("neuron", [4, -5])
@pytest.mark.parametrize("kind", ["increase", "several", "suppress", "each", "on", "off"])
def test_a_neuron_that_does_not_exist_is_named(kind, neuron):
    objective = {
        "increase": IncreaseObjective(neuron),
        "several": IncreaseObjective([0, neuron]),
        "suppress": SuppressObjective(neuron),
        "each": PerNeuronObjective([0, neuron, 1]),
        "on": ContrastiveObjective([neuron], [[0]]),
        "off": ContrastiveObjective([0], [[1], [2, neuron]]),
    }[kind]
    with pytest.raises(ValueError, match=f"neuron {neuron} does not exist; .* 0 to 3"):
        value(objective, responses(3, 4))


def test_each_needs_as_many_neurons_as_stimuli():
    with pytest.raises(ValueError, match="2 neurons given for a batch of 3"):
        value(PerNeuronObjective([0, 1]), responses(3, 4))


# ContrastiveObjective: the most discriminative stimulus.


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 5.0), st.integers(1, 3))
def test_contrast_is_openretinas(seed, temperature, groups_off):
    rng = np.random.default_rng(seed)
    array = rng.normal(1.0, 2.0, (3, 7, 6))
    on = rng.integers(0, 6, 2).tolist()
    off = [rng.integers(0, 6, 1 + k).tolist() for k in range(groups_off)]
    scores = array.mean(1)
    groups = np.stack([scores[:, group].mean(1) for group in (on, *off)], 1)
    expected = (
        groups[:, 0] / temperature
        - logsumexp(groups / temperature, axis=1)
        + np.log(groups.shape[1])
    )
    found = value(ContrastiveObjective(on, off, temperature), array)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert (found <= np.log(1 + groups_off) + 1e-9).all()


def test_contrast_is_zero_between_equals_and_has_openretinas_temperature():
    assert value(ContrastiveObjective([0], [[1], [2, 3]]), np.full((3, 4), 7.0)) == pytest.approx(
        np.zeros(3)
    )
    array = responses(3, 4)
    scaled = array / 1.6
    expected = scaled[:, 0] - np.log((np.exp(scaled[:, 0]) + np.exp(scaled[:, 1])) / 2)
    np.testing.assert_allclose(value(ContrastiveObjective([0], [[1]]), array), expected)


def test_contrast_looks_at_the_strongest_rival_alone_when_cold():
    array = np.array([[1.0, 0.2, 1.4, -3.0]])
    found = value(ContrastiveObjective([0], [[1], [2], [3]], temperature=0.01), array, IMAGES[:1])
    assert found == pytest.approx((1.0 - 1.4) / 0.01 + np.log(4))


def test_contrast_reduces_time_with_the_given_reducer():
    array = responses(3, 5, 4)
    last = value(ContrastiveObjective([0], [[1, 2]], 1.0, LastReducer()), array)
    np.testing.assert_allclose(last, value(ContrastiveObjective([0], [[1, 2]], 1.0), array[:, -1]))


# Channels of inner layers.


class Net(nn.Module):
    """Two convolutions, a shared layer, and an unused one."""

    def __init__(self, fail=False):
        super().__init__()
        torch.manual_seed(3)
        self.core = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Dropout(0.5))
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.unused = nn.Conv2d(1, 1, 1)
        self.fail = fail

    def forward(self, images):
        maps = self.shared(self.core(images[:, None]))
        if self.fail:
            raise RuntimeError("out of order")
        return self.shared(maps).mean((2, 3))


def hooks(module):
    return [list(part._forward_hooks) for part in module.modules()]


@pytest.mark.parametrize("shape", [(6, 8), (7, 9), (1, 1)])
def test_channel_reads_the_middle_of_the_map(shape):
    maps = responses(3, 4, *shape)
    middle = maps[:, 2, shape[0] // 2, shape[1] // 2]
    np.testing.assert_array_equal(value(ChannelObjective(2), maps), middle)
    np.testing.assert_allclose(value(ChannelObjective(2, "mean"), maps), maps[:, 2].mean((1, 2)))


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        (None, lambda trace: trace.mean(1)),
        (SliceMeanReducer(1, 3), lambda trace: trace[:, 1:4].mean(1)),
        (LastReducer(), lambda trace: trace[:, -1]),
    ],
)
def test_channel_of_a_movie_is_reduced_over_time(reduce, expected):
    maps = responses(3, 4, 5, 6, 7)
    trace = maps[:, 1, :, 3, 3]
    np.testing.assert_allclose(value(ChannelObjective(1, reduce=reduce), maps), expected(trace))


def test_inner_channel_is_openretinas_and_leaves_no_hook():
    net = Net().eval()
    seen = []
    net.core[0].register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
    before = hooks(net)
    inner = layer_output(net, "core.0")
    stimuli = IMAGES.clone().requires_grad_(True)
    found = ChannelObjective(1)(inner(stimuli), stimuli)
    assert hooks(net) == before
    assert len(seen) == 1  # hooks of others are still called
    kernel, bias = net.core[0].weight.detach().numpy(), net.core[0].bias.detach().numpy()
    patch = IMAGES.numpy()[:, 2:5, 3:6]  # around the middle, row 3 and column 4
    np.testing.assert_allclose(
        found.detach(), (patch * kernel[1, 0]).sum((1, 2)) + bias[1], rtol=1e-5
    )
    (gradient,) = torch.autograd.grad(found.sum(), stimuli)
    expected = np.zeros_like(IMAGES.numpy())
    expected[:, 2:5, 3:6] = kernel[1, 0]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_a_layer_that_is_used_twice_gives_its_last_output():
    net = Net().eval()
    with torch.no_grad():
        maps = nn.functional.relu(net.core[0](IMAGES[:, None]))
        expected = net.shared(net.shared(maps))
        torch.testing.assert_close(layer_output(net, "shared")(IMAGES), expected)


def test_the_hook_is_removed_even_if_the_model_fails():
    net = Net(fail=True)
    with pytest.raises(RuntimeError, match="out of order"):
        layer_output(net, "shared")(IMAGES)
    assert hooks(net) == hooks(Net())


@pytest.mark.parametrize("layer", ["core.7", "Core", ""])
def test_a_missing_layer_is_named_with_the_existing_ones(layer):
    with pytest.raises(ValueError, match=r"no layer .*core\.0, core\.1, core\.2, shared, unused"):
        layer_output(Net(), layer)


def test_a_layer_without_output_and_one_without_maps_are_refused():
    with pytest.raises(ValueError, match="does not use its layer 'unused'"):
        layer_output(Net(), "unused")(IMAGES)
    with pytest.raises(ValueError, match="a layer with maps is required, got an output with"):
        value(ChannelObjective(0), responses(3, 4))
    with pytest.raises(ValueError, match=r"neuron 4 does not exist; .* 0 to 3"):
        value(ChannelObjective(4), responses(3, 4, 5, 6))


def test_a_position_that_does_not_exist_is_refused():
    """A misspelt 'center' must not silently give the mean of the map."""
    with pytest.raises(ValueError, match="center"):
        value(ChannelObjective(0, "center"), responses(3, 4, 5, 6))


def test_best_image_of_an_inner_channel_is_its_kernel():
    """Among images of a given norm around the mean: the kernel at the unit's position."""
    net = Net().train()
    modes = [part.training for part in net.modules()]
    result = optimise(
        layer_output(net, "core.0"),
        IMAGES,
        ChannelObjective(2),
        preconditioners=(UnitStd(0.1),),
        postprocessors=(MeanContrast(0.5, 0.1),),
        stop=Iterations(60),
    )
    assert [part.training for part in net.modules()] == modes
    assert all(p.grad is None for p in net.parameters())
    kernel = np.zeros((6, 8))
    kernel[2:5, 3:6] = net.core[0].weight[2, 0].detach().numpy()
    for image in result.images:
        assert np.corrcoef(image.ravel(), kernel.ravel())[0, 1] > 0.99


# Objectives of objectives, models of models.


def test_weighted_sum_calls_the_model_once():
    calls = []
    weights = torch.as_tensor(responses(6, 8)).float()

    def model(stimuli):
        calls.append(len(stimuli))
        return torch.stack([(stimuli * weights).sum((1, 2)), stimuli.mean((1, 2))], 1)

    parts = (
        (2.0, IncreaseObjective(0)),
        (-0.5, IncreaseObjective(1)),
        (1.0, SuppressObjective([0, 1])),
    )
    result = optimise(model, IMAGES, WeightedObjective(parts), stop=Iterations(3))
    assert len(calls) == 3 + 2
    both = model(result.stimuli).numpy().astype(float)
    expected = 2 * both[:, 0] - 0.5 * both[:, 1] - both.mean(1)
    np.testing.assert_allclose(result.scores, expected, rtol=1e-5)


def test_ensemble_is_the_mean_of_its_models():
    first, second = Net().eval(), Net().eval()
    second.shared = nn.Conv2d(3, 3, 3, padding=1)
    both = ensemble([first, second, lambda images: images.mean((1, 2))[:, None].expand(-1, 3)])
    with torch.no_grad():
        expected = (first(IMAGES) + second(IMAGES) + IMAGES.mean((1, 2))[:, None]) / 3
        torch.testing.assert_close(both(IMAGES), expected)
    with pytest.raises(ValueError, match="at least one model"):
        ensemble([])


def test_members_of_an_ensemble_are_evaluated_and_left_as_they_were():
    net = Net().train()
    result = optimise(ensemble([net]), IMAGES, IncreaseObjective(0), stop=Iterations(2))
    assert all(part.training for part in net.modules())
    with torch.no_grad():
        expected = net.eval()(result.stimuli)[:, 0]  # without dropout
    np.testing.assert_allclose(result.scores, expected, rtol=1e-5)


@pytest.mark.parametrize("how", ["everywhere", "mask", "weights"])
def test_diverse_is_its_formula(how, rng):
    stimuli = rng.normal(size=(4, 6, 8))
    weights = {
        "everywhere": None,
        "mask": rng.uniform(size=(6, 8)) < 0.5,
        "weights": rng.uniform(size=(6, 8)),
    }[how]
    array = np.array([1.0, 2.5, 4.0, 3.0])
    short = np.maximum(3.0 - array, 0) / 3.0
    share = None if weights is None else weights.ravel().astype(float)
    moments = np.cov(stimuli.reshape(4, -1), aweights=share)
    correlations = moments / np.sqrt(np.outer(np.diag(moments), np.diag(moments)))
    given = None if weights is None else torch.as_tensor(weights)
    np.testing.assert_allclose(stimulus_correlations(torch.as_tensor(stimuli), given), correlations)
    np.fill_diagonal(correlations, -np.inf)
    found = value(
        DiverseObjective(IncreaseObjective(), 3.0, 7.0, given), array, torch.as_tensor(stimuli)
    )
    np.testing.assert_allclose(found, -7.0 * short - correlations.max(1), rtol=1e-6)


def test_weights_hold_for_every_channel_and_hide_what_they_leave_out(rng):
    stimuli = torch.as_tensor(rng.normal(size=(3, 2, 6, 8)))
    mask = torch.as_tensor(rng.uniform(size=(6, 8)) < 0.5)
    found = stimulus_correlations(stimuli, mask)
    inside = np.corrcoef(stimuli[..., mask].reshape(3, -1))
    np.testing.assert_allclose(found, inside)
    changed = stimuli.clone()
    changed[..., ~mask] = 9.0
    torch.testing.assert_close(stimulus_correlations(changed, mask), found)


def test_diverse_alone_has_nothing_to_differ_from():
    assert value(
        DiverseObjective(IncreaseObjective(), 2.0), np.array([1.0]), IMAGES[:1]
    ) == pytest.approx([-5.0])
    assert value(
        DiverseObjective(IncreaseObjective(), 2.0), np.array([9.0]), IMAGES[:1]
    ) == pytest.approx([0.0])


def test_penalty_and_objective_are_distinguished():
    result = optimise(
        lambda s: s.sum((1, 2)), IMAGES, regularisers=(GreyDistance(0.5, 3.0),), stop=Iterations(1)
    )
    np.testing.assert_allclose(result.trace.objective[0], IMAGES.sum((1, 2)), rtol=1e-5)
    penalty = 3.0 * ((IMAGES.numpy() - 0.5) ** 2).mean((1, 2))
    np.testing.assert_allclose(result.trace.penalty[0], penalty, rtol=1e-5)
