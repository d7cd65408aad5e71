"""Drifting Gabors and gratings as training data, and the models that do without them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from meiflow.config.config import parse_config
from meiflow.config.sections import StimulusParameters
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models import fitters, problem, v1
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_drifting
from meiflow.models.cross_validate import fit_all
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.window_front_end import WindowFrontEnd
from meiflow.session.presented import drifting_images, gabor_images, gabor_phases
from meiflow.session.schedule import drifting_conditions, gabor_conditions

SCREEN = Geometry(20, 32)
SHOWN = StimulusParameters(gabor_frequency_cpd=0.045)
MODEL = {"folds": 3, "wavelengths_deg": [16.0, 24.0], "orientations": 4, "stride": 3}
MODEL |= {"base_models": ["v1", "v1_window"], "gabor_energy": {"starts": 1, "steps": 2}}
CONFIG = parse_config({"model": MODEL | {"ln": {"penalties": [0.01]}}}).model
NEURONS = ["a", "b", "c"]


def table_of(conditions, means=0.0):
    counts = np.broadcast_to(means, (len(conditions), len(NEURONS)))
    counts = pd.DataFrame(counts, columns=NEURONS, index=conditions.index)
    return pd.concat([conditions.assign(repeats=15), counts], axis=1)


def gathered(**tables):
    return gather_drifting(tables, SCREEN, SHOWN, 50.0, NEURONS)


def test_channels_are_those_of_every_phase_averaged():
    gabors = gabor_conditions().iloc[[0, 100, 181]]
    gratings = drifting_conditions().query("temporal_frequency == 1 and orientation < 180")
    phases = gabor_phases(SHOWN)
    frames = [
        [gabor_images(SCREEN, gabors, SHOWN, phase) for phase in phases],
        [drifting_images(SCREEN, gratings["orientation"], SHOWN, phase) for phase in phases],
    ]
    front_end = FrontEnd.from_config(CONFIG)
    maps = WindowFrontEnd(front_end, SCREEN, 12.0)
    found = gathered(gabors=table_of(gabors), drifting_gratings=table_of(gratings))
    for stimuli, by_phase in zip(found, frames, strict=True):
        np.testing.assert_allclose(
            stimuli.frames(slice(None)), np.stack(by_phase, axis=1) - GREY, atol=1e-6
        )
        expected = np.mean([features_at(front_end, f, SCREEN, 3.0, -8.0) for f in by_phase], axis=0)
        at = stimuli.features_at(front_end, SCREEN, 3.0, -8.0)
        np.testing.assert_allclose(at, expected, rtol=1e-4, atol=1e-5)
        tensors = [torch.as_tensor(f - np.float32(GREY)).flatten(1) for f in by_phase]
        expected = torch.stack([maps(images) for images in tensors]).mean(0)
        np.testing.assert_allclose(stimuli.averaged_maps(maps), expected, rtol=1e-3, atol=1e-5)


def test_gabors_that_do_not_move_have_one_phase():
    still = StimulusParameters(gabor_drifts=False)
    conditions = gabor_conditions().iloc[:2]
    [found] = gather_drifting({"gabors": table_of(conditions)}, SCREEN, still, 50.0, NEURONS)
    expected = gabor_images(SCREEN, conditions, still, 0.0) - GREY
    np.testing.assert_allclose(found.frames(slice(None))[:, 0], expected, atol=1e-7)


def test_opposite_directions_and_all_speeds_are_one_stimulus():
    conditions = drifting_conditions()
    means = conditions["orientation"].to_numpy()[:, None] / 100
    [found] = gathered(drifting_gratings=table_of(conditions, means))
    np.testing.assert_allclose(found.means[:, 0], [0.9, 1.35, 1.8, 2.25])
    np.testing.assert_array_equal(found.weights, 1)  # 150 presentations of each


@pytest.fixture(scope="module")
def neurons():
    """Complex cells: scenes and noisy counts, and counts to Gabors."""
    rng = np.random.default_rng(2)
    scenes = gaussian_filter(rng.normal(size=(60, *SCREEN.shape)), (0, 1.5, 1.5))
    scenes = (GREY + 0.2 * scenes / scenes.std()).clip(0, 1).astype(np.float32)
    fields = [
        patterns.gabor(SCREEN, [-20, 10, 30], [10, -15, 5], 24.0, [0, 45, 90], phase, 9.0)
        for phase in (0.0, 90.0)
    ]

    def respond(images):
        parts = [np.tensordot(images - GREY, f, axes=([1, 2], [1, 2])) for f in fields]
        return 1 + 2 * np.hypot(*parts)

    means = respond(scenes)
    means = np.maximum(means + rng.normal(0, 0.2 * means.std(axis=0), (60, 3)), 0)
    gabors = gabor_conditions()
    each = [respond(gabor_images(SCREEN, gabors, SHOWN, phase)) for phase in gabor_phases(SHOWN)]
    recorded = 2 + 0.5 * np.mean(each, axis=0) + rng.normal(0, 0.1, (243, 3))
    [shown] = gathered(gabors=table_of(gabors, recorded))
    return scenes, means, shown


def fitted(neurons, *drifting, **more):
    scenes, means = neurons[:2]
    weights = np.ones(len(scenes))
    return fit_all(scenes, means, weights, SCREEN, CONFIG, 0, drifting=drifting, **more)


def held_out(found, neurons, name):
    """Mean correlation of held-out predictions with the counts."""
    pairs = zip(found.predictions[name].T, neurons[1].T, strict=True)
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])


@pytest.mark.thorough
def test_gabors_improve_the_prediction_of_scenes_and_wrong_ones_do_no_harm(neurons):
    """Although they have half the gain and another mean rate."""
    alone, both = fitted(neurons), fitted(neurons, neurons[2])
    for name in ("v1", "v1_window", "model"):
        assert held_out(both, neurons, name) > held_out(alone, neurons, name) + 0.02, name
    wrong = replace(neurons[2], means=neurons[2].shuffled(np.random.default_rng(1)))
    for name in ("v1", "v1_window"):
        harmed = fitted(neurons, wrong).predictions[name]
        np.testing.assert_allclose(harmed, alone.predictions[name], rtol=0.05, atol=0.05)
    for name in ("ln", "gabor_energy"):  # do not learn from them
        np.testing.assert_array_equal(alone.predictions[name], both.predictions[name])


def equal(one, other):
    """Whether the base models of all neurons have the same parameters."""
    for states, others in zip(one, other, strict=True):
        for a, b in zip(states, others, strict=True):
            for key in ("weight", "positions", "bias"):
                if key in a and not np.array_equal(np.asarray(a[key]), np.asarray(b[key])):
                    return False
    return True


@pytest.fixture
def all_used(monkeypatch):
    """All stimuli are used, whether they help or not, and fitted by v1 only."""
    every = problem.fitters_of
    monkeypatch.setattr(problem, "fitters_of", lambda *given: {"v1": every(*given)["v1"]})
    monkeypatch.setattr(fitters, "_WORSE", np.inf)
    everything = v1.V1Fitter._fits
    monkeypatch.setattr(v1.V1Fitter, "_fits", lambda *given: everything(*given)[-1:])


def test_the_zero_of_real_responses_is_arbitrary(neurons, all_used):
    """Responses to gratings are not brought to the mean of those to scenes, here negative."""
    scenes, means, _ = neurons
    gratings = np.random.default_rng(5).gamma(2, 2, (40, 3))
    [moving] = gathered(drifting_gratings=table_of(drifting_conditions(), gratings))
    found = fitted((scenes, means), moving, real=True).predictions["v1"]
    lower = replace(moving, means=moving.means - 1)
    again = fitted((scenes, means - 50), lower, real=True).predictions["v1"]
    np.testing.assert_allclose(again + 50, found, rtol=1e-4, atol=1e-3)


def test_tuning_is_predicted_by_models_that_saw_no_stimulus_of_the_class(neurons, all_used):
    """Static and drifting gratings are one class: a drifting one passes through the static ones."""
    rng = np.random.default_rng(5)
    gabors = neurons[2]
    [moving] = gathered(drifting_gratings=table_of(drifting_conditions(), rng.gamma(2, 2, (40, 3))))
    static = AuxiliaryStimuli(
        rng.uniform(0.2, 0.8, (5, *SCREEN.shape)).astype(np.float32),
        rng.gamma(2, 2, (5, 3)),
        np.ones(5),
        ("static_gratings",) * 5,
    )

    def changed(stimuli):
        return replace(stimuli, means=stimuli.means[::-1] + 1)

    before = fitted(neurons, gabors, moving, extra=static)
    assert set(before.without) == {"static_gratings", "gabors"}
    for what, of_class, given in (
        ("gabors", "gabors", (changed(gabors), moving)),
        ("drifting", "static_gratings", (gabors, changed(moving))),
    ):
        after = fitted(neurons, *given, extra=static)
        assert not equal(before.states, after.states), what
        for name, (places, states) in before.without.items():
            again, others = after.without[name]
            assert equal(states, others) == (name == of_class), (what, name)
            if name == of_class:
                np.testing.assert_array_equal(places.x, again.x)
