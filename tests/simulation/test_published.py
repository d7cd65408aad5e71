"""Neurons of published networks as simulated units, and as judges of stimuli."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from meiflow.config.config import check_inputs, parse_config
from meiflow.config.simulation import NetworkInput
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import read_csv, write_array, write_csv
from meiflow.models.published_neurons import PublishedNeurons
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.simulation.published import AGREEMENT, draw_published
from meiflow.simulation.rates import DISPLAY
from meiflow.simulation.simulate import simulate_session
from meiflow.stages.closed_loop import close_loop
from meiflow.validation.published_loop import published_drives, published_optima
from tests.allen_gabors import DATA
from tests.known import write_fitted, write_stack

TWINS = DATA.parent / "twins"
# The pixels of the networks, and the default screen, which is higher.
OWN, SCREEN = Geometry(36, 64, 121.6, 68.4), Geometry(60, 96)
SEEN = NetworkInput()
CHANNELS, NEURONS = 4, 30


def network(seed, stored=True, neurons=NEURONS, similar_to=None):
    """Modules of a small network, and its state dict with the names of neuralpredictors."""
    torch.manual_seed(seed)
    modules, state = [], {}
    for i, size in enumerate((9, 7, 7)):
        if i == 0:
            parts = {"conv": nn.Conv2d(1, CHANNELS, size, bias=False)}
        else:
            parts = {
                "ds_conv.in_depth_conv": nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False),
                "ds_conv.spatial_conv": nn.Conv2d(
                    CHANNELS, CHANNELS, size, padding=3, groups=CHANNELS, bias=False
                ),
                "ds_conv.out_depth_conv": nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False),
            }
        parts["norm"] = nn.BatchNorm2d(CHANNELS)
        nn.init.uniform_(parts["norm"].running_var, 0.05, 0.1)
        for name, part in parts.items():
            for key, value in part.state_dict().items():
                state[f"core.features.layer{i}.{name}.{key}"] = value
        modules += [*parts.values(), nn.ELU()]
    key = "readout.26614-4-11."
    state[f"{key}_features"] = torch.randn(1, CHANNELS, 1, neurons)
    state[f"{key}bias"] = torch.randn(neurons)
    if stored:
        state[f"{key}_mu"] = 1.2 * torch.rand(1, neurons, 1, 2) - 0.6
    else:
        state[f"{key}source_grid"] = torch.randn(neurons, 2)
        transform = {"0.weight": (5, 2), "0.bias": (5,), "2.weight": (2, 5), "2.bias": (2,)}
        state |= {f"{key}mu_transform.{k}": torch.randn(s) for k, s in transform.items()}
    if similar_to is not None:
        state = {k: v + 0.02 * torch.randn_like(v.float()) if v.is_floating_point() and
                 "norm" not in k else v for k, v in similar_to.items()}  # fmt: skip
    return nn.Sequential(*modules).eval(), state


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two networks that agree, one that does not, and one with fewer neurons."""
    folder = tmp_path_factory.mktemp("networks")
    truth = network(0)[1]
    states = {
        "truth": truth,
        "judge": network(1, similar_to=truth)[1],
        "stranger": network(2)[1],
        "smaller": network(3, neurons=20)[1],
        "computed": network(4, stored=False)[1],
    }
    for name, state in states.items():
        torch.save(state, folder / f"{name}.tar")
    return {name: str(folder / f"{name}.tar") for name in states}


@pytest.mark.parametrize("stored", [True, False])
def test_responses_are_those_of_the_published_modules(files, stored):
    """At the networks' own pixels; positions are stored, or computed from cortical positions."""
    path = Path(files["truth" if stored else "computed"])
    modules, state = network(0 if stored else 4, stored)
    key = "readout.26614-4-11."
    places = state[f"{key}_mu"][0, :, 0] if stored else None
    if places is None:
        w = {i: [state[f"{key}mu_transform.{i}.{part}"] for part in ("weight", "bias")]
             for i in (0, 2)}  # fmt: skip
        hidden = nn.functional.elu(state[f"{key}source_grid"] @ w[0][0].T + w[0][1])
        places = torch.tanh(hidden @ w[2][0].T + w[2][1])
    images = torch.rand(5, *OWN.shape)
    with torch.no_grad():
        maps = modules((images[:, None] - SEEN.mean) / SEEN.sd)
        at = places[None, :, None].expand(5, -1, 1, 2)
        sampled = nn.functional.grid_sample(maps, at, align_corners=True)[..., 0]
        drive = (sampled * state[f"{key}_features"][0, :, 0]).sum(1) + state[f"{key}bias"]
        expected = nn.functional.elu(drive) + 1
    found = PublishedNeurons(path, OWN, SEEN).eval()
    np.testing.assert_allclose(found.responses(images.numpy()), expected, rtol=1e-4, atol=1e-6)
    few = found.of([7, 2])
    np.testing.assert_allclose(few.responses(images.numpy()), expected[:, [7, 2]], rtol=1e-4)
    assert (len(found), len(few)) == (NEURONS, 2)


def test_neurons_respond_where_they_are_said_to_be(files):
    """The centre of the squared gradient over a larger and finer screen is the position."""
    screen = Geometry(96, 128, 121.6, 91.2)
    found = PublishedNeurons(Path(files["truth"]), screen, SEEN).eval()
    images = torch.full((1, *screen.shape), 0.5, requires_grad=True)
    centres = []
    for i in range(NEURONS):
        (gradient,) = torch.autograd.grad(found(images)[0, i], images)
        weight = gradient[0].numpy() ** 2
        x, y = np.meshgrid(screen.x, screen.y)
        centres.append([np.average(x, weights=weight), np.average(y, weights=weight)])
    error = np.abs(np.array(centres) - found.positions)
    assert np.median(error) < 4
    assert error.max() < 12


def session(files, **more):
    """A small simulated session of neurons of the network."""
    sizes = {
        "units": {"VISam": 6}, "failing_fraction": 0.0, "untuned_fraction": 0.34, "frames": 40,
        "repeats": 40, "gabor_repeats": 0, "grating_repeats": 1, "frame_height": 60,
        "frame_width": 78, "statistics": "ideal", "truth": files["truth"], "gain_drift": 0.0,
    }  # fmt: skip
    sizes |= more
    document = {"session": {"simulation": sizes}, "image": {"height": 36, "width": 64}}
    document |= {"mei": {"mean": 0.45, "contrast": 0.05}, "stimuli": {"make": []}}
    return parse_config(document)


def test_units_are_neurons_of_the_network(files):
    """Counts during the images follow the responses of the network, and a seed draws the same."""
    sizes = session(files, judge=files["judge"], units={"VISam": 3}).session.simulation
    made, again, other = (simulate_session(sizes, "demo", seed, 0) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(made.truth, again.truth)
    assert made.truth["network_unit"].tolist() != other.truth["network_unit"].tolist()
    tuned = made.truth[made.truth["kind"] == "published"]
    assert len(tuned) == 2
    assert made.truth.loc[made.truth["kind"] == "untuned", "network_unit"].tolist() == [-1]
    shown = made.recording.stimuli["natural_scenes"].query("frame >= 0")
    large = PublishedNeurons(Path(files["truth"]), Geometry(60, 78), SEEN).eval()
    np.testing.assert_allclose(
        large.of(tuned["network_unit"]).positions, tuned[["x_deg", "y_deg"]], rtol=1e-6
    )
    responses = large.responses(made.frames / 255)
    for _, unit in tuned.iterrows():
        times = np.array(made.recording.spike_times[unit["neuron_id"]])
        start = shown["start_time"].to_numpy() + sizes.latency_s
        counts = np.searchsorted(times, start + 0.25) - np.searchsorted(times, start)
        mean = np.bincount(shown["frame"].astype(int), counts) / sizes.repeats / 0.25
        expected = unit["gain_hz"] * responses[:, unit["network_unit"]] + unit["baseline_hz"]
        assert np.corrcoef(mean, expected)[0, 1] > 0.6
        assert mean.mean() == pytest.approx(expected.mean(), rel=0.15)


def test_a_judge_has_to_know_the_neurons(files):
    """Of networks that do not agree, hardly any neuron can be judged."""
    images = np.random.default_rng(0).uniform(size=(20, *DISPLAY.shape))
    units = pd.DataFrame({"kind": ["simple"] * 20})
    for judge, fault in (
        ("stranger", f"both networks agree (correlation above {AGREEMENT:g})"),
        ("smaller", "judge: 20 neurons, but session.simulation.truth has 30"),
    ):
        config = session(files, judge=files[judge]).session.simulation
        with pytest.raises(MeiflowError, match=re.escape(fault)):
            draw_published(units, config, images, np.random.default_rng(0))


def test_files_that_are_missing_or_wrong_are_refused_in_one_line(files, tmp_path):
    with pytest.raises(MeiflowError, match=r"session\.simulation\.truth: .*none\.tar"):
        check_inputs(session(files, truth=str(tmp_path / "none.tar")))
    core = {"network": {"core": files["truth"]}, "base_models": ["core_window"]}
    document = {"session": {"simulation": {"truth": files["truth"]}}, "model": core}
    with pytest.raises(MeiflowError, match=r"truth: .* is also model\.network\.core"):
        check_inputs(parse_config(document))
    with pytest.raises(MeiflowError, match="judge: needs truth"):
        session(files, truth=None, judge=files["judge"])
    state = network(0)[1]
    key = "readout.26614-4-11."
    for name, harm in {
        "two": {"readout.other._features": state[f"{key}_features"]},
        "flat": {f"{key}_features": torch.zeros(4)},
        "short": {f"{key}bias": torch.zeros(5)},
    }.items():
        torch.save(state | harm, tmp_path / f"{name}.tar")
        with pytest.raises(MeiflowError, match=re.escape(f"{name}.tar: not a network whose")) as e:
            PublishedNeurons(tmp_path / f"{name}.tar", OWN, SEEN)
        assert "\n" not in str(e.value)


def test_the_closed_loop_is_judged_by_the_other_network(files, tmp_path):
    """Drives are those of the judge, and no matched stimulus exceeds the optimum."""
    config = session(files, judge=files["judge"])
    grid = config.image.geometry
    truth = simulate_session(config.session.simulation, "demo", 0, 0).truth
    results = Layout(tmp_path)
    write_csv(truth, results.truth)
    tuned = truth[truth["kind"] == "published"].iloc[:2]
    neurons = tuned["neuron_id"].astype(str).tolist()
    write_fitted(results, neurons)
    images = project_array(np.random.default_rng(0).uniform(size=(4, *grid.shape)), 0.45, 0.05)
    write_stack(results, images, grid)
    for neuron in neurons:
        names = ("mei", "best_gabor", "best_natural", "windowed_natural")
        for name, image in zip(names, images, strict=True):
            write_array(image, getattr(results.neuron(neuron), name))
    close_loop(config, results, SessionHas(truth=True))
    loop = read_csv(results.closed_loop)
    judge = PublishedNeurons(Path(files["judge"]), grid, SEEN).eval().of(tuned["network_unit"])
    expected = judge.responses(images) - judge.responses(np.full((1, *grid.shape), 0.5))
    for i, (neuron, gain) in enumerate(zip(neurons, tuned["gain_hz"], strict=True)):
        own = loop[loop["neuron_id"].astype(str) == neuron]
        np.testing.assert_allclose(own["true_drive"][:4], gain * expected[:, i], rtol=1e-3)
        assert own["stimulus"].iloc[-1] == "optimum"
        assert own["fraction_of_optimum"].max() == pytest.approx(1)
        assert own["true_drive"].iloc[-1] == own["true_drive"].max()
    best = published_optima(judge, 0.45, 0.05, config.seed)
    np.testing.assert_allclose(best.std((1, 2)), 0.05, atol=1e-3)
    drives = published_drives(judge, best[:, None])[:, 0]
    np.testing.assert_allclose(
        loop.loc[loop["stimulus"] == "optimum", "true_drive"], tuned["gain_hz"] * drives, rtol=1e-3
    )


@pytest.mark.skipif(not TWINS.exists(), reason="the published networks are not here")
@pytest.mark.parametrize(
    ("name", "kind"),
    [("sensorium_sota_model.pth", "Sensorium"), ("v1_surround_2.tar", "MouseSurround")],
)
def test_published_networks_are_computed_as_published(name, kind):
    spec = importlib.util.spec_from_file_location("forward", TWINS / "forward.py")
    forward = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(forward)
    images = np.random.default_rng(0).uniform(size=(3, *OWN.shape)).astype(np.float32)
    with torch.no_grad():
        x = (torch.as_tensor(images)[:, None] - SEEN.mean) / SEEN.sd
        expected = getattr(forward, kind)(str(TWINS / name))(x).numpy()
    found = PublishedNeurons(TWINS / name, OWN, SEEN).eval().responses(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
