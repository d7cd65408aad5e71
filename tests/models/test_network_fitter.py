"""Convolutional base models: their parts, their training, and their files."""

import numpy as np
import pytest
import torch

from meiflow.config.sections import Network
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.cores import StackedCore
from meiflow.models.jobs import Jobs, fit_in_chunks
from meiflow.models.members import build_member
from meiflow.models.network_fitter import NetworkFitter, load_core, pretrain_core, save_core
from meiflow.models.network_member import (
    NeuronNetwork,
    build_readout,
    map_shape,
    places_on_maps,
)
from meiflow.models.readouts import PyramidReadout
from meiflow.models.training import correlation, poisson_loss, squared_error, train

GRID = Geometry(16, 24, 48.0, 32.0)
SMALL = Network(channels=6, layers=2, epochs=8, batch=16, scales=2)


@pytest.fixture
def problem(rng):
    """60 images of noise blobs; two neurons that respond to luminance at two positions."""
    from scipy.ndimage import gaussian_filter

    images = gaussian_filter(rng.normal(size=(60, *GRID.shape)), (0, 1.5, 1.5))
    images = (0.5 + 0.15 * images / images.std()).clip(0, 1)
    rows, columns = np.array([5, 11]), np.array([6, 18])
    rates = 1 + 8 * np.maximum(images[:, rows, columns] - 0.5, 0)
    x, y = GRID.x[columns], GRID.y[rows]
    seen = np.ones((2, 60), bool)
    seen[:, 50:] = False
    return images, Jobs(rates.T, seen, x, y, np.zeros((2, 0, 5)))


@pytest.mark.parametrize("shape", [(16, 24), (15, 23), (30, 48)])
def test_a_pyramid_sums_to_its_input(rng, shape):
    readout = PyramidReadout(3, 1, scales=3)
    maps = torch.as_tensor(rng.normal(size=(2, 3, *shape)), dtype=torch.float32)
    *bands, low = readout.levels(maps)
    assert len(bands) == 3
    for band in reversed(bands):
        kernel = 4 * readout.kernel.expand(3, 1, 5, 5)
        extra = tuple((n - 1) % 2 for n in band.shape[2:])
        low = band + torch.nn.functional.conv_transpose2d(
            low, kernel, padding=2, stride=2, output_padding=extra, groups=3
        )
    torch.testing.assert_close(low, maps)
    # away from the border a constant has only a low-pass residual
    flat = readout.levels(torch.ones(1, 3, 64, 64))
    assert flat[0][..., 4:-4, 4:-4].abs().max() < 1e-6
    assert flat[-1][0, 0, 4, 4] == pytest.approx(1, abs=1e-5)


def test_every_level_is_read_at_the_same_position():
    """A blob has the largest effect on the finest level at its position, in grid coordinates."""
    readout = PyramidReadout(1, 1, scales=2)
    maps = torch.zeros(1, 1, 17, 33)
    maps[0, 0, 4, 24] = 1.0
    place = torch.tensor([[24 / 16 - 1, 4 / 8 - 1]])
    here = readout.features(maps, place)[0, 0]
    away = readout.features(maps, -place)[0, 0]
    assert here[0] > 0.3
    assert here[-1] > 0.01
    assert away.abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(30, 48), (31, 47)])
def test_levels_of_a_ramp_agree_on_where_they_are(shape):
    """A ramp has no bands: its low-pass residual, read at a position, is the ramp there."""
    readout = PyramidReadout(1, 1, scales=2)
    x = torch.arange(shape[1], dtype=torch.float32)
    y = torch.arange(shape[0], dtype=torch.float32)
    place = torch.tensor([[0.2, -0.1]])
    for ramp, size, n in ((x[None, :], shape[1], 0), (y[:, None], shape[0], 1)):
        features = readout.features(ramp.expand(*shape)[None, None], place)[0, 0]
        expected = (float(place[0, n]) + 1) / 2 * (size - 1)
        assert features[-1] == pytest.approx(expected, abs=0.05)
        assert features[:-1].abs().max() < 0.05


def test_loss_does_not_depend_on_batch_or_number_of_neurons(rng):
    rate, response = (torch.as_tensor(rng.uniform(0.5, 4, (40, 3))) for _ in range(2))
    weight = torch.ones(40)
    mean = response.mean(0)
    whole = poisson_loss(rate, response, weight, mean)
    twice = poisson_loss(rate.repeat(2, 2), response.repeat(2, 2), weight.repeat(2), mean.repeat(2))
    torch.testing.assert_close(whole, twice)
    halves = [
        poisson_loss(rate[half], response[half], weight[half], mean)
        for half in (slice(0, 20), slice(20, 40))
    ]
    torch.testing.assert_close(whole, (halves[0] + halves[1]) / 2)
    # the best rate is the response itself
    assert poisson_loss(response, response, weight, mean) < whole
    # a batch without spikes has no more weight than others
    silent = poisson_loss(rate, torch.zeros_like(response), weight, mean)
    torch.testing.assert_close(silent, (rate / mean).mean())


@pytest.mark.parametrize("readout", ["pyramid", "gaussian", "factorised"])
def test_training_learns_and_keeps_its_best_epoch(problem, readout):
    images, jobs = problem
    config = SMALL.model_copy(update={"readout": readout, "epochs": 25})
    contrast = torch.as_tensor(images, dtype=torch.float32) - GREY
    responses = torch.as_tensor(jobs.responses.T, dtype=torch.float32)
    stopping = torch.arange(60) % 5 == 0
    torch.manual_seed(0)
    core = StackedCore.from_config(config)
    network = NeuronNetwork(
        core, build_readout(config, core.out_channels, 2, map_shape(GRID)), responses.mean(0), 0.15
    )
    network.readout.place.data = torch.tensor([[-0.45, -0.3], [0.55, 0.45]])
    before = {k: v.clone() for k, v in network.state_dict().items()}
    trace = train(network, contrast, responses, torch.ones(60), stopping, config, 0)
    assert trace.loss[-1] < trace.loss[0]
    with torch.no_grad():
        kept = correlation(network(contrast[stopping]), responses[stopping])
    assert kept == pytest.approx(trace.correlation[trace.best], abs=1e-5)
    assert kept == pytest.approx(trace.correlation.max(), abs=1e-3)
    assert any(not torch.equal(before[k], v) for k, v in network.state_dict().items())


@pytest.mark.parametrize("kind", ["scratch", "shared"])
def test_the_module_is_the_network_that_was_fitted(problem, kind):
    images, jobs = problem
    config = SMALL.model_copy(update={"seeds": 2})
    fitter = NetworkFitter(images, np.ones(60), GRID, config, 3, kind)
    fits = fit_in_chunks(fitter, jobs, 1 if kind == "scratch" else 2, 1, "test")
    again = fit_in_chunks(fitter, jobs, 1 if kind == "scratch" else 2, 2, "test")
    np.testing.assert_array_equal(fits.predictions, again.predictions)
    contrast = torch.as_tensor(images, dtype=torch.float32).reshape(60, -1) - GREY
    contrast.requires_grad_(True)
    for n in range(2):
        module = build_member(fits.states[n], GRID)
        rate = module(contrast)
        np.testing.assert_allclose(rate.detach(), fits.predictions[n], rtol=1e-4, atol=1e-5)
        (gradient,) = torch.autograd.grad(rate.sum(), contrast)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0


def test_held_out_responses_are_not_seen(problem):
    images, jobs = problem
    other = jobs.responses.copy()
    other[:, 50:] = 77.0
    changed = Jobs(other, jobs.train, jobs.x, jobs.y, jobs.starts)
    fitter = NetworkFitter(images, np.ones(60), GRID, SMALL, 0, "shared")
    np.testing.assert_array_equal(fitter(jobs).predictions, fitter(changed).predictions)


def test_a_pretrained_core_is_kept_and_read_out(problem, tmp_path, rng):
    images, jobs = problem
    places = np.column_stack([jobs.x, jobs.y])
    core = pretrain_core(images, jobs.responses.T, GRID, places, SMALL, 0)
    save_core(core, SMALL, GRID, tmp_path / "core.pt")
    loaded = load_core(tmp_path / "core.pt", SMALL, GRID)
    fitter = NetworkFitter(images, np.ones(60), GRID, SMALL, 0, "pretrained", loaded)
    fits = fitter(jobs)
    for name, value in fits.states[0]["networks"][0]["core"].items():
        torch.testing.assert_close(value, core[name])
    tuned = SMALL.model_copy(update={"fine_tuning": 0.1, "epochs": 2})
    moved = NetworkFitter(images, np.ones(60), GRID, tuned, 0, "pretrained", loaded)(jobs)
    kernels = moved.states[0]["networks"][0]["core"]["convolutions.0.weight"]
    assert 0 < (kernels - core["convolutions.0.weight"]).abs().max() < 0.1
    held_out = [
        np.corrcoef(fits.predictions[n, 50:], jobs.responses[n, 50:])[0, 1] for n in range(2)
    ]
    assert min(held_out) > 0.5
    with pytest.raises(MeiflowError, match=r"this core has .* but the configuration requires"):
        load_core(tmp_path / "core.pt", SMALL.model_copy(update={"channels": 7}), GRID)
    with pytest.raises(MeiflowError, match="deg_per_px_x"):
        load_core(tmp_path / "core.pt", SMALL, Geometry(16, 24, 96.0, 32.0))
    (tmp_path / "bad.pt").write_bytes(b"PK no")
    with pytest.raises(MeiflowError, match="damaged"):
        load_core(tmp_path / "bad.pt", SMALL, GRID)


def test_trainings_that_cannot_work_are_explained(problem):
    images, jobs = problem
    wild = SMALL.model_copy(update={"learning_rate": 1e9})
    with pytest.raises(MeiflowError, match="diverged; reduce learning_rate"):
        NetworkFitter(images, np.ones(60), GRID, wild, 0, "shared")(jobs)
    few = np.zeros_like(jobs.train)
    few[:, :2] = True
    tiny = Jobs(jobs.responses, few, jobs.x, jobs.y, jobs.starts)
    with pytest.raises(MeiflowError, match="cannot be trained on 1 image"):
        NetworkFitter(images, np.ones(60), GRID, SMALL, 0, "scratch")(tiny)


@pytest.mark.parametrize("side", ["after", "before"])
@pytest.mark.parametrize("kernel", [1, 3, 4, 6])
def test_a_readout_has_its_position_in_degrees_whatever_the_kernel(kernel, side):
    """Centre of the RF of one map with a flat kernel and pooling, read at a position."""
    config = Network(channels=1, layers=1, input_kernel=kernel, even_kernels=side, scales=1)
    core = StackedCore.from_config(config).eval()
    core.convolutions[0].weight.data.fill_(1.0)
    place = GRID.to_degrees(7.3, 13.6)
    readout = PyramidReadout(1, 1, scales=1)
    readout.place.data = places_on_maps([place[0]], [place[1]], GRID, core.offset)
    image = torch.zeros(1, 1, *GRID.shape, requires_grad=True)
    maps = core(image)
    assert maps.shape[2:] == map_shape(GRID)
    at = torch.nn.functional.grid_sample(maps, readout.place[None, :, None], align_corners=True)
    at.sum().backward()
    seen = image.grad[0, 0].double()
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in GRID.shape), indexing="ij")
    found = [float((seen * grid).sum() / seen.sum()) for grid in (rows, columns)]
    assert found == pytest.approx([7.3, 13.6], abs=1e-4)
    assert core.offset == (0 if kernel % 2 else 0.5 if side == "after" else -0.5)


def test_maps_of_the_notebooks_side_are_those_of_half_a_kernel_all_around(rng):
    """Padding by kernel // 2 on all sides and pooling of what fits, like its convolution."""
    config = Network(channels=3, layers=1, input_kernel=4, even_kernels="before")
    core = StackedCore.from_config(config).eval()
    images = torch.as_tensor(rng.normal(size=(2, 1, 16, 24)), dtype=torch.float32)
    wide = torch.nn.functional.conv2d(images, core.convolutions[0].weight, padding=2)
    expected = torch.nn.functional.avg_pool2d(torch.nn.functional.elu(core.norms[0](wide)), 2)
    torch.testing.assert_close(core(images), expected)


def test_squared_error_has_the_curvature_of_the_poisson_loss(rng):
    """Around the mean count both rise equally, in the same unit."""
    mean = torch.tensor([0.5, 3.0], dtype=torch.double)
    response, weight = mean.expand(40, 2), torch.ones(40, dtype=torch.double)
    for loss in (poisson_loss, squared_error):
        at, off = (loss(mean * k + 0 * response, response, weight, mean) for k in (1.0, 1.02))
        assert float(off - at) == pytest.approx(0.02**2 / 2, rel=0.03)
    one = torch.ones(1, 1)
    assert float(squared_error(-2 * one, one, one[0], one[0])) == pytest.approx(4.5)


def test_a_linear_output_may_be_negative_and_comes_back_from_its_file(problem):
    images, jobs = problem
    contrast = torch.as_tensor(images, dtype=torch.float32).reshape(60, -1) - GREY
    lowest = {}
    for output in ("linear", "elu_plus_one"):
        config = SMALL.model_copy(update={"output": output, "even_kernels": "before"})
        fits = NetworkFitter(images, np.ones(60), GRID, config, 0, "shared")(jobs)
        member = build_member(fits.states[0], GRID).eval()
        with torch.no_grad():
            again = member(contrast).numpy()
            lowest[output] = float(member(torch.cat([-30 * contrast, 30 * contrast])).min())
        np.testing.assert_allclose(again, fits.predictions[0], rtol=1e-4, atol=1e-5)
    assert lowest["linear"] < -0.1
    assert lowest["elu_plus_one"] >= 0
