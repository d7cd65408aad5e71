"""The optimiser compared with ascent written out by hand, and what it must not change."""

import logging
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from meiflow.stimuli import (
    Ascent,
    ClipRange,
    ConstantSchedule,
    FourierParameterisation,
    GreyDistance,
    IncreaseObjective,
    Iterations,
    Jitter,
    LinearSchedule,
    MeanContrast,
    Plateau,
    RangePenalty,
    SuppressObjective,
    Tangent,
    TorchOptimiser,
    TotalVariation,
    UnitStd,
    notebook_gain,
    optimise,
    power_law,
)

SHAPE = (6, 8)
RNG = np.random.default_rng(7)
WEIGHTS = RNG.normal(size=SHAPE)
TARGET = RNG.uniform(0.2, 0.8, SHAPE)
STARTS = torch.as_tensor(RNG.uniform(size=(3, *SHAPE)))


def linear(stimuli):
    return ((stimuli - 0.5) * torch.as_tensor(WEIGHTS).to(stimuli)).sum((-2, -1))


def bowl(stimuli):
    return -((stimuli - torch.as_tensor(TARGET).to(stimuli)) ** 2).sum((-2, -1))


class Recorder:
    """A model that records its stimuli."""

    def __init__(self, model):
        self.model, self.shown = model, []

    def __call__(self, stimuli):
        self.shown.append(stimuli.detach().clone())
        return self.model(stimuli)


class Neuron(nn.Module):
    """A neuron with everything that training mode or a careless loop could change."""

    def __init__(self, fail_at=None):
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(nn.Linear(48, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
        self.out = nn.Linear(5, 2)
        self.calls, self.fail_at = 0, fail_at
        self.features[1].running_var.fill_(0.3)

    def forward(self, stimuli):
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("out of order")
        return self.out(torch.tanh(self.features(stimuli.flatten(1))))


def same(one, other, **tolerance):
    """Assert that two results are equal in everything."""
    torch.testing.assert_close(one.stimuli, other.stimuli, **tolerance)
    rtol, atol = tolerance.get("rtol", 1e-7), tolerance.get("atol", 1e-9)
    np.testing.assert_allclose(one.scores, other.scores, rtol=rtol, atol=atol)
    np.testing.assert_array_equal(one.best_steps, other.best_steps)
    assert one.stopped == other.stopped
    for name in ("objective", "penalty", "mean", "rms_contrast"):
        pair = [getattr(result.trace, name) for result in (one, other)]
        np.testing.assert_allclose(*pair, rtol=rtol, atol=atol)


# Results.

SETTINGS = {
    "plain": {"update": Ascent(0.05)},
    "overshoot": {"update": Ascent((0.8, 1.3)), "postprocessors": (ClipRange(),)},
    "penalties": {
        "update": Ascent(0.7),
        "regularisers": (TotalVariation(weight=0.3), GreyDistance(weight=2.0)),
    },
    "jitter": {"update": Ascent(0.1), "transform": Jitter(2)},
    "projected": {
        "preconditioners": (Tangent(), power_law(SHAPE, 0.5), UnitStd(0.1)),
        "update": Ascent((2.0, 0.5)),
        "postprocessors": (MeanContrast(0.5, 0.1),),
    },
    "spectrum": {"update": Ascent(0.1), "parameterisation": FourierParameterisation(SHAPE)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_scores_and_trace_belong_to_the_stimuli_returned(name):
    arguments = SETTINGS[name]
    model = Recorder(bowl)
    result = optimise(model, STARTS, stop=Iterations(15), **arguments)
    again = -((result.images - TARGET) ** 2).sum((1, 2))
    np.testing.assert_allclose(result.scores, again, rtol=1e-9)
    # the last call is that of the score, the others are the steps
    assert torch.equal(model.shown[-1], result.stimuli)
    jittered = name == "jitter"  # then the start, the best and the last, untransformed
    assert len(model.shown) == 17 + 3 * jittered
    shown = torch.stack(model.shown[:16])
    np.testing.assert_allclose(result.trace.objective, bowl(shown), rtol=1e-9)
    penalty = torch.zeros(16, 3, dtype=torch.float64)
    for part in arguments.get("regularisers", ()):
        penalty += torch.stack([part(stimuli) for stimuli in shown])
    np.testing.assert_allclose(result.trace.penalty, penalty, rtol=1e-9)
    value = result.trace.objective - result.trace.penalty
    if not jittered:
        np.testing.assert_array_equal(result.best_steps, value.argmax(0))
        for i, step in enumerate(result.best_steps):
            torch.testing.assert_close(result.stimuli[i], shown[step, i])
        np.testing.assert_allclose(result.trace.mean, shown.mean((-2, -1)), rtol=1e-9)
        spread = shown.std((-2, -1), correction=0)
        np.testing.assert_allclose(result.trace.rms_contrast, spread, rtol=1e-9)
    if name == "overshoot":
        assert (result.best_steps < 15).all()
        assert (result.trace.objective[-1] < result.scores).all()


def test_score_is_that_of_the_stimulus_that_was_not_jittered():
    model = Recorder(linear)
    result = optimise(
        model, STARTS, transform=Jitter(3, seed=2), stop=Iterations(12), update=Ascent(0.01)
    )
    for i, step in enumerate(result.best_steps):
        shown = model.shown[step][i]
        assert any(
            torch.equal(torch.roll(result.stimuli[i], (a, b), (0, 1)), shown)
            for a in range(-3, 4)
            for b in range(-3, 4)
        )
        assert result.scores[i] == pytest.approx(float(linear(result.stimuli[i])))
    assert not np.allclose(result.scores, result.trace.objective.max(0), rtol=1e-3)


def test_luck_under_jitter_is_not_taken_for_a_better_stimulus():
    """Every step is worse: the clean model must choose the start, despite a lucky shift."""
    starts = torch.as_tensor(TARGET)[None]
    result = optimise(
        bowl, starts, transform=Jitter(3, seed=1), update=Ascent(0.4), stop=Iterations(10)
    )
    assert torch.equal(result.stimuli, starts)
    assert result.scores[0] == 0
    assert result.best_steps[0] == 0


def test_the_start_is_returned_if_every_step_makes_it_worse():
    starts = torch.as_tensor(TARGET)[None] + 1e-3
    result = optimise(bowl, starts, update=Ascent(30.0), stop=Iterations(5))
    assert result.best_steps.tolist() == [0]
    assert torch.equal(result.stimuli, starts)
    assert result.stopped == ("iterations",)


def test_the_best_maximises_the_response_minus_the_penalty():
    """From the best response to a compromise with the penalty, half-way to grey."""
    starts = torch.as_tensor(TARGET)[None]
    result = optimise(
        bowl, starts, regularisers=(GreyDistance(0.5, 48.0),), update=Ascent(0.1),
        stop=Iterations(60),
    )  # fmt: skip
    assert result.trace.objective.argmax() == 0
    assert result.best_steps[0] > 10
    torch.testing.assert_close(result.stimuli, (starts + 0.5) / 2, atol=1e-6, rtol=0)
    assert result.scores[0] == pytest.approx(-((TARGET - 0.5) ** 2).sum() / 4)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_a_step_calls_the_model_once(steps):
    for arguments in SETTINGS.values():
        model = Recorder(bowl)
        optimise(model, STARTS, stop=Iterations(steps), **arguments)
        # every step, the last stimulus, the score; and the candidates under a transform
        assert len(model.shown) == steps + 2 + 3 * ("transform" in arguments)
        assert all(shown.shape == STARTS.shape for shown in model.shown)


def test_a_stop_saves_calls():
    model = Recorder(bowl)
    result = optimise(model, STARTS, update=Ascent(0.5), stop=Plateau(2, 1e-9, maximum=50))
    assert len(result.trace.objective) == 4  # at the bottom at once, then two steps of patience
    assert len(model.shown) == 5


@pytest.mark.parametrize("shape", [(3, 6, 8), (3, 2, 6, 8), (3, 2, 5, 6, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_colour_images_and_movies(shape, dtype):
    """A quadratic bowl over all pixels: half the gradient leads to its minimum in one step."""
    rng = np.random.default_rng(3)
    target = torch.as_tensor(rng.uniform(size=shape[1:])).to(dtype)
    starts = torch.as_tensor(rng.uniform(size=shape)).to(dtype)
    result = optimise(
        lambda s: -((s - target) ** 2).flatten(1).sum(1), starts, update=Ascent(0.5),
        stop=Iterations(4),
    )  # fmt: skip
    assert result.stimuli.dtype == dtype
    assert result.images.dtype == np.dtype(str(dtype).split(".")[1])
    torch.testing.assert_close(result.stimuli, target.expand(shape))
    trace = result.trace
    for values in (trace.objective, trace.penalty, trace.mean, trace.rms_contrast):
        assert values.shape == (5, 3)
        assert values.dtype == np.float64
    flat = starts.flatten(1).double()
    np.testing.assert_allclose(trace.mean[0], flat.mean(1), rtol=1e-5)
    np.testing.assert_allclose(trace.rms_contrast[0], flat.std(1, correction=0), rtol=1e-5)
    assert result.scores.shape == result.best_steps.shape == (3,)
    assert result.scores.dtype == np.float64
    assert result.best_steps.dtype == np.int64


def test_results_cannot_be_written_to_and_name_the_best_start():
    result = optimise(linear, STARTS, stop=Iterations(1), seed=11)
    assert result.seed == 11
    assert result.best == int(linear(result.stimuli).argmax())
    with pytest.raises(FrozenInstanceError):
        result.scores = result.scores
    with pytest.raises(FrozenInstanceError):
        result.trace.mean = result.trace.mean
    assert optimise(linear, STARTS, stop=Iterations(1)).seed is None


# Steps.


@settings(max_examples=30, deadline=None)
@given(st.floats(0.001, 0.5), st.floats(0.001, 0.5), st.integers(1, 12), st.floats(0, 2))
def test_plain_ascent_of_a_linear_neuron_in_closed_form(first, last, steps, pull):
    """x <- x + size (w - pull 2 (x - grey) / pixels), the size on a straight line."""
    result = optimise(
        linear,
        STARTS,
        regularisers=(GreyDistance(0.4, pull),),
        update=Ascent((first, last)),
        stop=Iterations(steps),
    )
    x, path = STARTS.numpy(), [STARTS.numpy()]
    for size in np.linspace(first, last, steps):
        x = x + size * (WEIGHTS - pull * 2 * (x - 0.4) / 48)
        path.append(x)
    drive = (np.array(path) - 0.5).reshape(steps + 1, 3, -1) @ WEIGHTS.ravel()
    np.testing.assert_allclose(result.trace.objective, drive, rtol=1e-7, atol=1e-9)
    penalty = pull * ((np.array(path) - 0.4) ** 2).mean((2, 3))
    np.testing.assert_allclose(result.trace.penalty, penalty, rtol=1e-7, atol=1e-9)


def test_the_defaults_are_the_mean_response_a_tenth_and_a_hundred_steps():
    def two(stimuli):
        return torch.stack([linear(stimuli), 3 * linear(stimuli)], 1)

    result = optimise(two, STARTS)
    assert result.trace.objective.shape == (101, 3)
    torch.testing.assert_close(result.stimuli, STARTS + 100 * 0.1 * 2 * torch.as_tensor(WEIGHTS))


def test_suppress_goes_the_other_way():
    up = optimise(linear, STARTS, IncreaseObjective(), stop=Iterations(3))
    down = optimise(linear, STARTS, SuppressObjective(), stop=Iterations(3))
    torch.testing.assert_close(up.stimuli + down.stimuli, 2 * STARTS)


def test_preconditioners_and_postprocessors_are_applied_in_turn():
    """One step, written out."""
    low, high = ClipRange(-0.1, 0.7), ClipRange(0.2, 1.0)
    model = Recorder(linear)
    optimise(
        model,
        STARTS,
        preconditioners=(notebook_gain(SHAPE), UnitStd(0.3)),
        update=Ascent(2.0),
        postprocessors=(low, MeanContrast(0.5, 0.2), high),
        stop=Iterations(1),
        project_start=False,
    )
    assert torch.equal(model.shown[0], STARTS)
    gradient = torch.as_tensor(WEIGHTS)[None].expand(3, -1, -1)
    gradient = notebook_gain(SHAPE)(gradient, STARTS)
    gradient = gradient / gradient.flatten(1).std(1, correction=0)[:, None, None] * 0.3
    x = (STARTS + 2.0 * gradient).clamp(-0.1, 0.7)
    expected = MeanContrast(0.5, 0.2)(x, 0, 1).clamp(0.2, 1.0)
    torch.testing.assert_close(model.shown[1], expected)


def test_starts_are_projected_unless_told_otherwise():
    for project_start in (True, False):
        model = Recorder(linear)
        optimise(
            model, STARTS, postprocessors=(ClipRange(0.3, 0.6),), stop=Iterations(1),
            project_start=project_start,
        )  # fmt: skip
        torch.testing.assert_close(
            model.shown[0], STARTS.clamp(0.3, 0.6) if project_start else STARTS
        )


def test_transform_and_schedules_receive_the_step():
    told = []

    def transform(stimuli, step):
        told.append(step)
        return stimuli

    def schedule(step, steps):
        told.append((step, steps))
        return 0.1

    optimise(linear, STARTS, transform=transform, update=Ascent(schedule), stop=Iterations(3))
    assert told == [0, (0, 3), 1, (1, 3), 2, (2, 3), 3]


OPTIMISERS = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.03),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.3, max_iter=1),
}


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("factor", [1.0, (1.0, 0.2)], ids=["constant", "falling"])
@pytest.mark.parametrize("clip", [False, True])
def test_any_torch_optimiser_can_be_used(name, factor, clip):
    """The same steps as a loop of backward() and step() on a parameter."""
    steps, start = 12, STARTS[:1]
    parameter = start.clone().requires_grad_(True)
    optimiser = OPTIMISERS[name]([parameter])
    rate = optimiser.param_groups[0]["lr"]
    path = [start]
    for step in range(steps):
        last = factor[1] if isinstance(factor, tuple) else factor
        optimiser.param_groups[0]["lr"] = rate * (1 + (last - 1) * step / (steps - 1))

        def closure():
            optimiser.zero_grad()
            loss = -bowl(parameter).sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        if clip:
            with torch.no_grad():
                parameter.clamp_(0.3, 0.7)
        path.append(parameter.detach().clone())
    model = Recorder(bowl)
    result = optimise(
        model,
        start,
        update=TorchOptimiser(OPTIMISERS[name], factor),
        postprocessors=(ClipRange(0.3, 0.7),) if clip else (),
        stop=Iterations(steps),
        project_start=False,
    )
    torch.testing.assert_close(torch.cat(model.shown[:-1]), torch.cat(path), rtol=1e-7, atol=1e-9)
    assert result.scores[0] > result.trace.objective[0, 0]


def test_lbfgs_that_calls_the_model_itself_is_refused():
    with pytest.raises(ValueError, match="needs max_iter=1"):
        optimise(bowl, STARTS, update=TorchOptimiser(torch.optim.LBFGS))


def test_lbfgs_with_a_line_search_is_refused():
    """A line search also calls the model; with the gradient of one step alone it never moves."""
    with pytest.raises(ValueError, match="line"):
        optimise(
            bowl,
            STARTS,
            update=TorchOptimiser(
                lambda p: torch.optim.LBFGS(p, max_iter=1, line_search_fn="strong_wolfe")
            ),
            stop=Iterations(5),
        )


def test_an_update_can_be_used_again():
    update = TorchOptimiser(OPTIMISERS["Adam"], LinearSchedule(1.0, 0.1))
    one = optimise(bowl, STARTS, update=update, stop=Iterations(9))
    same(one, optimise(bowl, STARTS, update=update, stop=Iterations(9)))


def test_constant_schedule_is_the_number():
    one, two = (
        optimise(bowl, STARTS, update=Ascent(size), stop=Iterations(5))
        for size in (0.1, ConstantSchedule(0.1))
    )
    same(one, two)


# A batch is many optimisations.

TOGETHER = {
    "projected": SETTINGS["projected"] | {"stop": Iterations(10)},
    "penalties": SETTINGS["penalties"] | {"stop": Plateau(2, 1e-3, maximum=15)},
    "jitter": SETTINGS["jitter"] | {"stop": Iterations(8)},
    "adam": {"update": TorchOptimiser(OPTIMISERS["Adam"]), "stop": Plateau(3, 1e-3)},
    "momentum": {
        "update": TorchOptimiser(OPTIMISERS["SGD"]),
        "stop": Iterations(10),
        "postprocessors": (MeanContrast(0.5, 0.2),),
    },
    "spectrum": {
        "update": TorchOptimiser(OPTIMISERS["Adam"]),
        "parameterisation": FourierParameterisation(SHAPE),
        "postprocessors": (ClipRange(),),
        "stop": Plateau(2, 1e-2, maximum=20),
    },
    "LBFGS": {"update": TorchOptimiser(OPTIMISERS["LBFGS"]), "stop": Iterations(5)},
}


@pytest.mark.parametrize("name", TOGETHER)
def test_a_batch_gives_what_one_at_a_time_does(name):
    together = optimise(bowl, STARTS, **TOGETHER[name])
    for i, start in enumerate(STARTS):
        alone = optimise(bowl, start[None], **TOGETHER[name])
        torch.testing.assert_close(alone.stimuli[0], together.stimuli[i])
        assert alone.scores[0] == pytest.approx(together.scores[i])
        assert alone.best_steps[0] == together.best_steps[i]
        steps = len(alone.trace.objective)
        np.testing.assert_allclose(
            alone.trace.objective[:, 0], together.trace.objective[:steps, i], rtol=1e-7
        )


def test_the_same_seed_gives_the_same_images():
    """Also with a model that draws random numbers in training."""
    results = [
        optimise(
            Neuron().train(),
            torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(seed)),
            IncreaseObjective(0),
            transform=Jitter(1, seed=seed),
            stop=Iterations(5),
            seed=seed,
        )
        for seed in (3, 3, 4)
    ]
    assert torch.equal(results[0].stimuli, results[1].stimuli)
    np.testing.assert_array_equal(results[0].trace.objective, results[1].trace.objective)
    assert not torch.equal(results[0].stimuli, results[2].stimuli)


# What is left unchanged.


def snapshot(model):
    return (
        [module.training for module in model.modules()],
        [list(module._forward_hooks) for module in model.modules()],
        {name: value.clone() for name, value in model.state_dict().items()},
        [p.requires_grad for p in model.parameters()],
    )


@pytest.mark.parametrize("fail_at", [None, 1, 4])
def test_model_and_starts_are_left_alone_also_when_the_model_fails(fail_at):
    model = Neuron(fail_at).train()
    model.features[1].eval()  # a mixture of modes
    model.out.bias.requires_grad_(False)
    model.out.weight.grad = torch.full_like(model.out.weight, 2.5)
    model.features.register_forward_hook(lambda *_: None)
    before = snapshot(model)
    starts = STARTS.float().requires_grad_(True)
    copy = starts.detach().clone()
    arguments = {
        "objective": IncreaseObjective(1),
        "postprocessors": (MeanContrast(0.5, 0.1),),
        "update": TorchOptimiser(OPTIMISERS["Adam"]),
        "stop": Iterations(6),
    }
    if fail_at is None:
        optimise(model, starts, **arguments)
    else:
        with pytest.raises(RuntimeError, match="out of order"):
            optimise(model, starts, **arguments)
    after = snapshot(model)
    assert after[:2] == before[:2]
    assert after[3] == before[3]
    for name, value in before[2].items():
        assert torch.equal(after[2][name], value), name
    assert torch.equal(model.out.weight.grad, torch.full_like(model.out.weight, 2.5))
    assert all(p.grad is None for p in model.features.parameters())
    assert torch.equal(starts, copy)
    assert starts.requires_grad
    assert starts.grad is None
    assert torch.is_grad_enabled()


def test_a_model_is_evaluated_not_trained():
    model = Neuron().train()
    result = optimise(model, STARTS.float(), IncreaseObjective(0), stop=Iterations(4))
    assert model.training
    with torch.no_grad():
        expected = model.eval()(result.stimuli)[:, 0]
    np.testing.assert_allclose(result.scores, expected, rtol=1e-5)


def test_results_carry_no_graph_and_share_no_memory():
    starts = STARTS.clone()
    result = optimise(linear, starts, update=Ascent(-0.1), stop=Iterations(3))
    assert not result.stimuli.requires_grad
    assert torch.equal(result.stimuli, STARTS)  # the steps led downhill
    result.stimuli.zero_()
    assert torch.equal(starts, STARTS)


def test_postprocessors_may_work_in_place():
    starts = STARTS.clone()
    one = optimise(
        linear, starts, postprocessors=(lambda s, step, steps: s.clamp_(0.3, 0.6),),
        stop=Iterations(4),
    )  # fmt: skip
    assert torch.equal(starts, STARTS)
    same(one, optimise(linear, STARTS, postprocessors=(ClipRange(0.3, 0.6),), stop=Iterations(4)))


def test_it_works_where_gradients_are_switched_off():
    with torch.no_grad():
        result = optimise(linear, STARTS, stop=Iterations(3))
    same(result, optimise(linear, STARTS, stop=Iterations(3)))


def test_progress_is_logged_with_a_label_only(caplog):
    caplog.set_level(logging.INFO)
    optimise(linear, STARTS, stop=Iterations(3))
    assert not caplog.records
    optimise(linear, STARTS, stop=Iterations(3), label="images of neuron 7")
    assert "images of neuron 7" in caplog.text


# Frequencies as parameters.


@pytest.mark.parametrize("shape", [(6, 8), (7, 9), (6, 9), (7, 8), (1, 5), (60, 96)])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_spectra_and_stimuli_round_trip(shape, exponent):
    part = FourierParameterisation(shape, exponent, (1.5, 1.2))
    for batch in ((2,), (2, 3), (2, 1, 4)):
        stimuli = torch.as_tensor(np.random.default_rng(0).uniform(size=(*batch, *shape)))
        parameters = part.encode(stimuli)
        assert parameters.shape == (*batch, shape[0], shape[1] // 2 + 1, 2)
        torch.testing.assert_close(part.decode(parameters), stimuli)
        assert part.decode(part.encode(stimuli.float())).dtype == torch.float32


def test_low_frequencies_have_larger_units():
    """A unit of each coefficient is 1 / f in an image: the same fraction of a 1 / f spectrum."""
    part = FourierParameterisation((16, 16), 1.0)
    sizes = []
    for k in (1, 2, 4):
        parameters = torch.zeros(1, 16, 9, 2, dtype=torch.float64)
        parameters[0, 0, k, 0] = 1.0
        sizes.append(float(part.decode(parameters).std()))
    np.testing.assert_allclose(np.array(sizes) / sizes[0], [1, 1 / 2, 1 / 4], rtol=1e-9)


@pytest.mark.parametrize("shape", [(6, 8), (7, 9), (6, 9), (7, 8)])
def test_a_step_in_spectra_multiplies_that_in_pixels_by_the_squared_unit(shape):
    """Isotropic: 1 / f**2 for units of 1 / f, constant below one cycle per image."""
    rng = np.random.default_rng(5)
    weights = torch.as_tensor(rng.normal(size=shape))
    starts = torch.as_tensor(rng.uniform(size=(1, *shape)))
    result = optimise(
        lambda s: (s * weights).sum((1, 2)),
        starts,
        update=Ascent(0.1),
        parameterisation=FourierParameterisation(shape, 1.0),
        stop=Iterations(1),
    )
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij"))
    unit = np.maximum(f, 1 / max(shape)) ** -1.0
    moved = np.fft.fft2((result.stimuli - starts)[0]) / np.fft.fft2(weights) / unit**2
    np.testing.assert_allclose(moved, moved[0, 0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(12, 16), (11, 15)])
def test_it_optimises_in_spectra(shape):
    rng = np.random.default_rng(5)
    weights = torch.as_tensor(rng.normal(size=shape)).float()
    starts = torch.as_tensor(rng.uniform(size=(2, *shape))).float()
    result = optimise(
        lambda s: ((s - 0.5) * weights).sum((1, 2)),
        starts,
        preconditioners=(Tangent(),),
        update=TorchOptimiser(lambda p: torch.optim.Adam(p, lr=0.05), (1.0, 0.02)),
        parameterisation=FourierParameterisation(shape, 0.5),
        postprocessors=(MeanContrast(0.5, 0.1),),
        stop=Iterations(150),
    )
    pattern = weights - weights.mean()
    best = 0.1 * np.sqrt(weights.numel()) * float(pattern.norm())
    assert (result.scores > 0.97 * best).all()
    assert (result.scores < 1.0001 * best).all()
    np.testing.assert_allclose(result.trace.rms_contrast, 0.1, atol=1e-4)


# What is refused, and the messages.


@pytest.mark.parametrize(
    "starts",
    [
        torch.zeros(6, 8),
        torch.zeros(2, 6, 8, dtype=torch.long),
        torch.zeros(2, 6, 8, dtype=torch.uint8),
        torch.zeros(0, 6, 8),
        torch.zeros(()),
    ],
    ids=["one image", "integers", "bytes", "nobody", "a number"],
)
def test_starts_that_are_not_a_batch_of_images_are_refused(starts):
    with pytest.raises(ValueError, match=r"batch of images .* floating point, got \("):
        optimise(linear, starts)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("call", [1, 3])
def test_responses_that_are_not_finite_are_refused_with_the_step(bad, call):
    calls = []

    def model(stimuli):
        calls.append(0)
        factor = torch.ones(3)
        factor[1] = bad if len(calls) == call else 1.0
        return linear(stimuli) * factor

    with pytest.raises(ValueError, match=f"response is not finite at step {call - 1}"):
        optimise(model, STARTS, stop=Iterations(5))


@pytest.mark.parametrize(
    ("objective", "shape"),
    [
        (lambda r, s: r[:, None], r"\(3, 1\)"),
        (lambda r, s: r.sum(), r"\(\)"),
        (lambda r, s: r[:2], r"\(2,\)"),
        (lambda r, s: 1.0, "float"),
        (lambda r, s: None, "NoneType"),
    ],
)
def test_objectives_of_another_shape_are_refused(objective, shape):
    with pytest.raises(
        ValueError, match=f"returned {shape} for a batch of 3.* one number per stim"
    ):
        optimise(linear, STARTS, objective)


def test_a_response_of_another_batch_is_refused():
    with pytest.raises(ValueError, match="one number per stimulus"):
        optimise(lambda s: linear(s).sum()[None], STARTS)


class Deaf(nn.Module):
    """A model that responds with its bias to any stimulus."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.ones(()))

    def forward(self, stimuli):
        return self.bias.expand(len(stimuli))


@pytest.mark.parametrize(
    "model",
    [lambda s: torch.ones(len(s)), lambda s: linear(s.detach()), Deaf()],
    ids=["constant", "detached", "parameters alone"],
)
@pytest.mark.parametrize("regularisers", [(), (GreyDistance(),)], ids=["bare", "penalised"])
def test_responses_that_do_not_depend_on_the_stimuli_are_refused(model, regularisers):
    with pytest.raises(ValueError, match="does not depend on the stimuli"):
        optimise(model, STARTS, regularisers=regularisers, stop=Iterations(3))


@pytest.mark.parametrize(
    "penalty", [lambda s: s.sum(), lambda s: s.sum((1, 2))[:, None]], ids=["one", "column"]
)
def test_penalties_of_another_shape_are_refused(penalty):
    """One number for the batch would count once for each of its stimuli."""
    with pytest.raises(ValueError, match="per stimulus"):
        optimise(linear, STARTS, regularisers=(penalty,), stop=Iterations(3))


def test_penalties_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        optimise(
            linear, STARTS, regularisers=(lambda s: s.sum((1, 2)).log() * torch.nan,),
            stop=Iterations(1),
        )  # fmt: skip


def test_limits_for_other_channels_are_refused():
    with pytest.raises(ValueError, match="limits for 1 channels"):
        optimise(linear, STARTS, regularisers=(RangePenalty(((0.0, 1.0),)),))
