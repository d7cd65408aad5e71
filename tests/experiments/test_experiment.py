"""Experiments of any kind: axes, stimuli, responses, and what is refused."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import meiflow.experiments
from meiflow import experiments as ex
from meiflow.config.experiments import STANDARD
from meiflow.config.sections import Experiments
from meiflow.experiments.measures import spread
from meiflow.images import patterns
from meiflow.stimuli import IncreaseObjective, LastReducer, MeanReducer, SliceMeanReducer

GRID = ex.Geometry(12, 16)
ROOT = Path(__file__).resolve().parents[2]


def flat(level, size=(12, 16)):
    return np.broadcast_to(level[:, None, None], (len(level), *size))


def test_all_combinations_in_order_and_in_batches():
    seen = []

    def render(level, kind):
        seen.append(len(level))
        return flat(np.where(kind == "dark", 0.0, level))

    experiment = ex.Experiment("levels", render, {"kind": ["dark", "light"], "level": [0.1, 0.5]})
    table = ex.run(experiment, lambda x: x.mean((1, 2)), batch=3)
    assert seen == [3, 1]
    assert list(table.columns) == ["kind", "level", "response"]
    assert table["kind"].tolist() == ["dark", "dark", "light", "light"]
    assert table["level"].tolist() == [0.1, 0.5, 0.1, 0.5]
    np.testing.assert_allclose(table["response"], [0, 0, 0.1, 0.5])


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("frames", [None, 6])
def test_colours_and_movies(channels, frames):
    """Each stimulus is weighted by channel and by frame."""
    weights = torch.arange(1.0, channels + 1)
    time = () if frames is None else (frames,)

    def render(level, channel):
        stimuli = np.zeros((len(level), channels, *time, 4, 5))
        stimuli[np.arange(len(level)), channel] = level.reshape(-1, *[1] * (len(time) + 2))
        return stimuli

    class Weighing(nn.Module):
        def forward(self, x):
            light = torch.einsum("bc...hw,c->b...", x, weights) / 20
            if frames is None:
                return torch.stack([light, -light], 1)
            ramp = light * torch.arange(frames)
            return torch.stack([ramp, -ramp], -1)

    experiment = ex.Experiment("x", render, {"channel": list(range(channels)), "level": [0.2, 1.0]})
    expected = np.outer(np.arange(1, channels + 1), [0.2, 1.0]).ravel()
    factor = 1.0 if frames is None else 5.0  # the last of six frames
    reduce = None if frames is None else LastReducer()
    found = ex.run(experiment, ex.responder(Weighing(), IncreaseObjective(0, reduce)))
    np.testing.assert_allclose(found["response"], factor * expected, rtol=1e-6)
    if frames is not None:
        over_time = ex.responder(Weighing(), lambda r, x: r[..., 1])
        for reducer, weight in (
            (MeanReducer(), 2.5),
            (SliceMeanReducer(2, 2), 2.5),
            (SliceMeanReducer(4), 4.5),
        ):
            table = ex.run(experiment, over_time, reducer)
            np.testing.assert_allclose(table["response"], -weight * expected, rtol=1e-6)
        with pytest.raises(ValueError, match="frames 4 to 9 requested from a response of 6"):
            ex.run(experiment, over_time, SliceMeanReducer(4, 5))
        with pytest.raises(ValueError, match=r"shape \(.*, 6\).*and a reducer"):
            ex.run(experiment, over_time)


def test_the_model_is_evaluated_and_left_in_training():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 1)).train()
    experiment = ex.Experiment("x", flat, {"level": [0.5, 0.5, 0.5]})
    table = ex.run(experiment, ex.responder(model))
    np.testing.assert_allclose(table["response"], table["response"][0], rtol=1e-5)
    assert all(part.training for part in model.modules())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("two words", flat, {"level": [1]}), "use letters"),
        ((7, flat, {"level": [1]}), "use letters"),
        (("x", 3, {"level": [1]}), "must be a function"),
        (("x", flat, {}), "dict that maps parameter names"),
        (("x", flat, [1, 2]), "dict that maps parameter names"),
        (("x", flat, {"response": [1]}), "and not neuron_id"),
        (("x", flat, {"a b": [1]}), "letters, digits"),
        (("x", flat, {"level": []}), "non-empty list"),
        (("x", flat, {"level": 3}), "non-empty list"),
        (("x", flat, {"level": [[1, 2]]}), "non-empty list"),
    ],
)
def test_invalid_experiments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ex.Experiment(*arguments)


@pytest.mark.parametrize(
    ("render", "respond", "message"),
    [
        (lambda level: flat(2 * level), None, "from 1 to 2; luminance must be in 0 to 1"),
        (lambda level: flat(level - 1), None, "not clipped"),
        (lambda level: flat(level * np.nan), None, "not finite"),
        (lambda level: flat(level)[:1], None, r"shape \(1, 12, 16\) for 2 conditions"),
        (lambda level: level, None, r"shape \(2,\) for 2"),
        (lambda level: "picture", None, "render returned"),
        (flat, lambda x: x.mean(), r"responses to 2 stimuli have shape \(\)"),
        (flat, lambda x: x.mean((1, 2)) * np.inf, "responses that are not finite"),
    ],
)
def test_invalid_stimuli_and_responses(render, respond, message):
    experiment = ex.Experiment("x", render, {"level": [0.5, 1.0]})
    with pytest.raises(ValueError, match=message):
        ex.run(experiment, respond or (lambda x: x.mean((1, 2))))


def test_other_ranges_on_demand():
    experiment = ex.Experiment("x", flat, {"level": [-3.0, 3.0]})
    respond = lambda x: x.mean((1, 2))  # noqa: E731
    assert ex.run(experiment, respond, limits=None)["response"].tolist() == pytest.approx([-3, 3])
    assert ex.run(experiment, respond, limits=(-3, 3))["response"].tolist() == pytest.approx(
        [-3, 3]
    )
    with pytest.raises(ValueError, match="from -3 to 3; luminance must be in -2 to 3"):
        ex.run(experiment, respond, limits=(-2, 3))


# Built-in experiments.

PREFERRED = ex.Preferred(GRID, 4, -6, 40, 30, 70, 16, 1.4)


def test_every_built_in_experiment_is_on_the_screen_at_its_contrast():
    mei = 0.45 + 0.05 * np.random.default_rng(0).standard_normal(GRID.shape)
    mei[0, 0] = 1.0
    options = Experiments(contrast=1.0)
    made = ex.standard_experiments(PREFERRED, options, mei)
    assert tuple(made) == STANDARD
    shown = {}
    for name, experiment in made.items():

        def keep(x, name=name):
            assert x.min() >= -1e-9
            assert x.max() <= 1 + 1e-9
            shown.setdefault(name, []).append(x)
            return np.zeros(len(x))

        table = ex.run(experiment, keep)
        images = np.concatenate(shown[name])
        assert len(table) == len(images) == len(table.drop(columns="response").drop_duplicates())
    contrast = np.abs(np.concatenate(shown["spots"]) - 0.5).max()
    assert contrast == pytest.approx(0.5)
    ladder = ex.run(made["mei_contrast"], lambda x: x.std((1, 2)))
    np.testing.assert_allclose(ladder["response"], ladder["rms_contrast"], rtol=1e-9)
    assert np.concatenate(shown["mei_contrast"]).max() == pytest.approx(1.0)
    at_most = ex.run(made["mei_contrast"], lambda x: x.mean((1, 2)))["response"]
    np.testing.assert_allclose(at_most, mei.mean())


def test_preferred_grating_is_the_same_in_every_experiment():
    made = ex.standard_experiments(PREFERRED)
    assert "mei_contrast" not in made

    def one(name, **chosen):
        values = {k: np.array([v]) for k, v in chosen.items()}
        return made[name].render(**values)[0]

    grating = one("phase", phase_deg=50.0)
    np.testing.assert_allclose(one("orientation", orientation_deg=30.0, phase_deg=50.0), grating)
    np.testing.assert_allclose(one("frequency", frequency_cpd=1 / 40, phase_deg=50.0), grating)
    np.testing.assert_allclose(one("size", diameter_deg=112.0, phase_deg=50.0), grating)
    np.testing.assert_allclose(one("contrast", contrast=0.8, phase_deg=50.0), grating)
    np.testing.assert_allclose(one("surround", surround="none", phase_deg=50.0), grating)
    plaid = one("plaid", mask_contrast=0.0, phase_deg=50.0, mask_phase_deg=0.0)
    np.testing.assert_allclose(plaid - 0.5, (grating - 0.5) / 2)
    wide = one("surround", surround="iso", phase_deg=50.0)
    np.testing.assert_allclose(wide, one("size", diameter_deg=336.0, phase_deg=50.0))


def test_mei_that_cannot_be_shown():
    with pytest.raises(ValueError, match="but the screen"):
        ex.standard_experiments(PREFERRED, mei=np.zeros((3, 4)))
    with pytest.raises(ValueError, match="uniform"):
        ex.standard_experiments(PREFERRED, mei=np.full(GRID.shape, 0.5))


def test_rectified_linear_and_energy_models_by_all_means():
    """The whole way: gratings, run, curve, F1 / F0 of pi / 2 and of 0."""
    screen = ex.Geometry(48, 48, 60, 60)
    here = (screen, 3.0, -2.0, 12.0, 60.0)
    even, odd = (patterns.gabor(*here, phase, 8.0).reshape(-1) for phase in (0, 90))
    preferred = ex.Preferred(*here[:5], 0, 8.0)
    options = Experiments(make=["phase", "orientation", "frequency"], phases=36)

    def summary(respond):
        made = ex.standard_experiments(preferred, options)
        tables = {name: ex.run(experiment, respond) for name, experiment in made.items()}
        return ex.summarise_experiments(tables, float(respond(np.full((1, 48, 48), 0.5))[0]))

    def sides(x):
        contrast = x.reshape(len(x), -1) - 0.5
        return contrast @ even, contrast @ odd

    simple = summary(lambda x: 3 + np.clip(sides(x)[0], 0, None))
    complex_ = summary(lambda x: 3 + np.hypot(*sides(x)))
    assert simple["f1_f0"] == pytest.approx(np.pi / 2, rel=0.005)
    assert simple["cell_type"] == "simple"
    assert complex_["f1_f0"] == pytest.approx(0, abs=0.01)
    assert complex_["phase_invariance"] == pytest.approx(1, abs=0.02)
    for row in (simple, complex_):
        assert row["preferred_orientation_deg"] == pytest.approx(60, abs=0.5)
        assert row["preferred_frequency_cpd"] == pytest.approx(1 / 12, rel=0.03)
        assert row["grey_response"] == pytest.approx(3)


@pytest.mark.parametrize("names", [("phase_deg", "b", "a"), ("a", "phase_deg", "b"), ("b", "a")])
def test_curves_do_not_depend_on_the_order_of_the_axes(names):
    values = {"a": [2.0, 1.0, 3.0], "b": ["y", "x"], "phase_deg": [0.0, 90.0, 180.0, 270.0]}

    def render(a, b, phase_deg=0.0):
        level = a / 10 + (b == "x") / 20 + (1 + np.cos(np.deg2rad(phase_deg))) / 4
        return flat(level)

    experiment = ex.Experiment("x", render, {name: values[name] for name in names})
    table = ex.run(experiment, lambda x: x[:, 0, 0])
    offset = 0.25 if "phase_deg" in names else 0.5
    found = ex.response_curve(table, ["b", "a"], 0.0)
    assert found.index.names == ["b", "a"]
    for (b, a), value in found.items():
        assert value == pytest.approx(a / 10 + (b == "x") / 20 + offset)
    square = spread(found, "a")
    assert list(square.index) == ["y", "x"]
    assert list(square.columns) == [2.0, 1.0, 3.0]
    np.testing.assert_allclose(square, offset + np.array([[0.2, 0.1, 0.3], [0.25, 0.15, 0.35]]))


# Public names, and the examples of the documentation.


@pytest.mark.parametrize("name", meiflow.experiments.__all__)
def test_every_name_imports_and_is_documented(name):
    thing = getattr(meiflow.experiments, name)
    assert thing.__name__ == name
    text = thing.__doc__
    assert text
    assert not text.startswith(f"{name}(")
    assert inspect.cleandoc(text).split("\n\n")[0].endswith(".")


def test_the_list_is_complete_and_nothing_heavy_is_imported():
    assert dir(meiflow.experiments) == sorted(set(meiflow.experiments.__all__))
    with pytest.raises(AttributeError, match=r"No meiflow.experiments attribute perform"):
        meiflow.experiments.perform  # noqa: B018
    code = (
        "import sys\nimport meiflow.experiments\n"
        "print('HEAVY', sorted({'torch', 'scipy', 'pandas', 'numpy'} & set(sys.modules)))\n"
        "from meiflow.experiments import Experiment, orientation_tuning, summarise_experiments\n"
        "print('THEN', sorted({'torch', 'scipy', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "HEAVY []\nTHEN []\n"


def test_examples_of_the_documentation_run():
    page = (ROOT / "docs" / "experiments.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    assert len(blocks) == 5
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert names["best"]["polarity"] == 1
    assert names["best"]["diameter_deg"] == 40
    assert names["row"]["cell_type"] == "simple"
    assert len(names["tuning"]) == 6
    assert names["grid"].gradients.shape == (9, 9, 2)
    gabor = {"x_deg": 0, "y_deg": 0, "wavelength_deg": 20, "orientation_deg": 0}
    render, axes = names["crosses"](GRID, gabor)["crosses"]
    table = ex.run(ex.Experiment("crosses", render, axes), lambda x: x.mean((1, 2)))
    assert len(table) == 24


def test_the_example_of_the_docstring():
    import doctest

    from meiflow.experiments import experiment

    assert doctest.testmod(experiment).failed == 0
    assert doctest.testmod(experiment).attempted
