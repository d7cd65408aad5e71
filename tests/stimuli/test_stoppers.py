"""When an optimisation ends: for scripted values, and in the optimiser."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.stimuli import (
    Ascent,
    Iterations,
    PixelChange,
    Plateau,
    TorchOptimiser,
    optimise,
)

_NOISE = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0)).double() - 0.5
STARTS = 0.5 + _NOISE * torch.linspace(0.4, 1.0, 4)[:, None, None]
GREY = torch.zeros(1, 2, 3)


def when(stopper, values):
    """The step at which the rule stops one stimulus with these values; None if never."""
    check, before = stopper.begin(), None
    for step, value in enumerate(values):
        if bool(check(torch.tensor([float(value)]), GREY, before)):
            return step
        before = GREY
    return None


# Plateau.


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_a_flat_objective_stops_after_its_patience(patience):
    for min_delta in (0.0, 0.5):
        assert when(Plateau(patience, min_delta), [4.0] * 30) == patience
        assert when(Plateau(patience, min_delta), np.linspace(4, 0, 30)) == patience


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_an_objective_that_rises_enough_continues(patience):
    assert when(Plateau(patience, 0.0), np.linspace(0, 1e-3, 40)) is None
    assert when(Plateau(patience, 0.5), 0.51 * np.arange(40)) is None
    # the last rise resets the wait
    assert when(Plateau(3, 0.5), [0, 1, 1, 1, 2, 2, 2, 2, 2]) == 7
    # a fall and a return to the best do not
    assert when(Plateau(3, 0.5), [2, 1, 2, 1, 2, 1, 2]) == 3


def test_a_rise_by_min_delta_itself_is_not_enough():
    assert when(Plateau(1, 0.5), [0.0, 0.5]) == 1
    assert when(Plateau(1, 0.5), [0.0, 0.51]) is None
    assert when(Plateau(1, 0.0), [1.0, 1.0]) == 1


@pytest.mark.parametrize("rise", [0.05, 0.4])
def test_an_objective_that_creeps_stops(rise):
    """Every step beats the best so far, but never by min_delta, ten times in a row."""
    assert when(Plateau(10, 1.0), rise * np.arange(40)) == 10


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("sign", [-1, 1])
def test_relative_changes_are_measured_by_the_best(scale, sign):
    """Rises of 1 %, also of a negative objective; the unit does not matter."""
    rising = sign * scale * 1.01 ** (sign * np.arange(30))
    assert when(Plateau(5, 0.02, relative=True), rising[:1].repeat(30)) == 5
    assert when(Plateau(1, 0.005, relative=True), rising) is None
    assert when(Plateau(1, 0.02, relative=True), rising) == 1
    absolute = when(Plateau(1, 0.005), rising)
    assert absolute == (1 if scale == 1e-3 else None)


# Both in the optimiser.


def converging(stimuli):
    """A quadratic bowl with its minimum at grey."""
    return -((stimuli - 0.5) ** 2).sum((1, 2))


class Bowls:
    """A different bowl for each stimulus; its first pixel gives the steepness."""

    def __call__(self, stimuli):
        rate = stimuli[:, 0, 0].detach()
        rest = stimuli.flatten(1)[:, 1:]
        return -(0.2 + rate) * ((rest - 0.5) ** 2).sum(1)


STOPPERS = [
    Plateau(3, 1e-3),
    Plateau(2, 1e-2, relative=True),
    PixelChange(2e-3),
    [Plateau(5, 1e-4), PixelChange(1e-2), Iterations(60)],
]


@pytest.mark.parametrize("stop", STOPPERS, ids=["plateau", "relative", "change", "several"])
@pytest.mark.parametrize(
    "update",
    [
        Ascent(0.3),
        TorchOptimiser(lambda p: torch.optim.Adam(p, lr=0.05)),
        TorchOptimiser(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8)),
    ],
    ids=["ascent", "adam", "momentum"],
)
def test_every_stimulus_stops_by_itself(stop, update):
    together = optimise(Bowls(), STARTS, stop=stop, update=update)
    assert len(set(together.best_steps.tolist())) > 1
    longest = 0
    for i, start in enumerate(STARTS):
        alone = optimise(Bowls(), start[None], stop=stop, update=update)
        assert alone.stopped == together.stopped[i : i + 1]
        assert alone.best_steps[0] == together.best_steps[i]
        torch.testing.assert_close(alone.stimuli[0], together.stimuli[i], rtol=1e-6, atol=1e-7)
        length = len(alone.trace.objective)
        longest = max(longest, length)
        for name in ("objective", "penalty", "mean", "rms_contrast"):
            both = [getattr(r.trace, name) for r in (alone, together)]
            np.testing.assert_allclose(both[0][:, 0], both[1][:length, i], rtol=1e-5, atol=1e-7)
            # stopped stimuli do not change
            np.testing.assert_allclose(both[1][length:, i], both[0][-1, 0], rtol=1e-5, atol=1e-7)
    assert len(together.trace.objective) == longest


def test_reasons_name_the_rule_that_came_first():
    stop = [Plateau(40, 0.0, maximum=500), PixelChange(1e-3, maximum=30), Iterations(70)]
    found = optimise(converging, STARTS, stop=stop, update=Ascent(0.2))
    assert found.stopped == ("pixel change",) * 4
    found = optimise(converging, STARTS, stop=[Plateau(2, 10.0), *stop], update=Ascent(0.2))
    assert found.stopped == ("plateau",) * 4
    assert found.trace.objective.shape == (3, 4)
    found = optimise(lambda s: s.sum((1, 2)), STARTS, stop=stop, update=Ascent(0.2))
    assert found.stopped == ("iterations",) * 4
    assert found.trace.objective.shape == (31, 4)  # the lowest maximum


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.45), st.floats(1e-4, 1e-2))
def test_pixel_change_stops_when_the_last_step_was_short(size, threshold):
    """On a bowl each step is (1 - 2 size) times the one before."""
    starts = STARTS[:1]
    found = optimise(
        converging, starts, stop=PixelChange(threshold, maximum=400), update=Ascent(size)
    )
    first = 2 * size * float((starts - 0.5).abs().max())
    steps = 1
    while first * (1 - 2 * size) ** (steps - 1) > threshold:
        steps += 1
    assert found.stopped == ("pixel change",)
    assert len(found.trace.objective) == steps + 1


def test_a_rule_can_be_used_again():
    for stop in (Plateau(3, 1e-3), PixelChange(2e-3), Iterations(7)):
        first = optimise(Bowls(), STARTS, stop=stop, update=Ascent(0.3))
        again = optimise(Bowls(), STARTS, stop=stop, update=Ascent(0.3))
        assert first.stopped == again.stopped
        np.testing.assert_array_equal(first.trace.objective, again.trace.objective)
        assert torch.equal(first.stimuli, again.stimuli)


def test_the_penalty_counts():
    """Response and penalty rise equally: the maximised difference is constant."""

    def length(stimuli):
        return (stimuli - 0.5).abs().sum((1, 2))

    stop = Plateau(4, 1e-6, maximum=20)
    both = optimise(lambda s: length(s) + 1e-9 * s.sum((1, 2)), STARTS, stop=stop)
    assert both.stopped == ("iterations",) * 4
    held = optimise(
        lambda s: length(s) + 1e-9 * s.sum((1, 2)), STARTS, regularisers=(length,), stop=stop
    )
    assert held.stopped == ("plateau",) * 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: Iterations(0),
        lambda: Iterations(-3),
        lambda: Plateau(maximum=0),
        lambda: PixelChange(maximum=0),
    ],
)
def test_no_steps_are_refused(make):
    with pytest.raises(ValueError, match="at least one step is required, got"):
        make()


@pytest.mark.parametrize("arguments", [(0, 0.0), (-1, 0.0), (5, -0.1)])
def test_invalid_patience_is_refused(arguments):
    with pytest.raises(ValueError, match="patience >= 1 and min_delta >= 0 are required"):
        Plateau(*arguments)


def test_no_rule_at_all_is_refused():
    with pytest.raises(ValueError, match="stop"):
        optimise(converging, STARTS, stop=[])
