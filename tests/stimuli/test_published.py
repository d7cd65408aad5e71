"""Published procedures, compared step by step with NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from meiflow.images.geometry import Geometry
from meiflow.stimuli import notebook_mei, walker_mei
from meiflow.stimuli.published import logged_response

GRID = Geometry(13, 16)
RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=GRID.shape)
STEPS = 5


def images(contrast):
    return (0.45 + contrast * np.random.default_rng(2).normal(size=(6, *GRID.shape))).astype("f4")


class Neuron:
    """A linear or quadratic neuron in closed form, with a record of its stimuli."""

    def __init__(self, power):
        self.power, self.shown = power, []

    def drive(self, image):
        return float(((image - 0.5) * WEIGHTS).sum())

    def response(self, image):
        return self.drive(image) ** self.power

    def gradient(self, image):
        return self.power * self.drive(image) ** (self.power - 1) * WEIGHTS

    def __call__(self, stimuli):
        self.shown.extend(stimuli.detach().numpy().astype(float))
        weights = torch.as_tensor(WEIGHTS, dtype=stimuli.dtype)
        return ((stimuli - 0.5) * weights).sum((1, 2)) ** self.power


neurons = pytest.mark.parametrize("power", [1, 2])


def notebook_step(image, neuron, wanted, sigma):
    """Gradient of r - 2 |c* - c|, filter, 0.1 of it, blur, stretch."""
    spread = image.std(ddof=1)
    of_spread = (image - image.mean()) / ((image.size - 1) * spread)
    gradient = neuron.gradient(image) + 2 * np.sign(wanted - spread) * of_spread
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1] // 2 + 1]
    t = (np.hypot(rows, columns) + 1e-8) ** -0.25
    smooth = np.fft.irfft2(np.fft.rfft2(gradient) * t / t.mean(), s=image.shape)
    blurred = gaussian_filter(image + 0.1 * smooth, sigma)
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


@neurons
@pytest.mark.parametrize("contrast", [0.05, 0.6])  # below and above the contrast of the noise
def test_the_notebooks_mei_step_by_step(power, contrast):
    neuron, shown = Neuron(power), images(contrast)
    result = notebook_mei(neuron, GRID, shown, seed=3, steps=STEPS, keep_last=False)
    wanted = shown.reshape(6, -1).std(1, ddof=1).mean()
    assert len(neuron.shown) == STEPS + 2
    path, sigma = [neuron.shown[0]], 7.0
    for i in range(1, STEPS + 1):
        sigma += (0.001 - sigma) * i / STEPS
        path.append(notebook_step(path[-1], neuron, wanted, sigma))
    np.testing.assert_allclose(neuron.shown[:-1], path, atol=1e-4)
    spreads = np.array([x.std(ddof=1) for x in path])
    assert (spreads > wanted).any() == (contrast == 0.05)
    responses = np.array([neuron.response(x) for x in path])
    penalties = 2 * np.abs(wanted - spreads)
    np.testing.assert_allclose(result.trace.objective[:, 0], responses, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(result.trace.penalty[:, 0], penalties, atol=1e-4)
    best = int((responses - penalties).argmax())
    assert result.best_steps.tolist() == [best]
    np.testing.assert_allclose(result.images[0], path[best], atol=1e-4)
    np.testing.assert_allclose(result.scores, neuron.response(path[best]), rtol=1e-3, atol=1e-3)
    kept = notebook_mei(neuron, GRID, shown, seed=3, steps=STEPS)
    np.testing.assert_allclose(kept.images[0], path[-1], atol=1e-4)
    assert kept.best_steps.tolist() == [STEPS]
    np.testing.assert_allclose(kept.scores, responses[-1], rtol=1e-3, atol=1e-3)
    logged = responses[-2] - penalties[-2]
    np.testing.assert_allclose(logged_response(kept), logged, rtol=1e-3, atol=1e-3)


def test_the_notebook_keeps_the_penalty_out_of_the_response():
    """Its contrast, after stretching to [0, 1], is far from the target."""
    result = notebook_mei(Neuron(1), GRID, images(0.2), seed=0, steps=40)
    assert result.images.min() == 0
    assert result.images.max() == 1
    assert result.seed == 0
    assert result.trace.objective.shape == (41, 1)
    assert result.trace.penalty.min() >= 0


def test_the_notebook_starts_from_stretched_white_noise():
    start = Neuron(1)
    wide = Geometry(60, 96)
    model = lambda s: start.shown.append(s[0].detach().numpy()) or s.sum((1, 2))  # noqa: E731
    notebook_mei(model, wide, np.random.default_rng(0).uniform(size=(2, 60, 96)), 1, steps=1)
    noise = start.shown[0].astype(float)
    assert noise.min() == 0
    assert noise.max() == 1
    z = (noise - noise.mean()) / noise.std()
    assert abs((z**3).mean()) < 0.15  # Gaussian and white
    assert abs((z**4).mean() - 3) < 0.3
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 0.05
    assert abs((z[1:] * z[:-1]).mean()) < 0.05


def walker_step(z, gradient, alpha, sigma, low, high):
    """Filter, divide by the mean absolute value, step, clip, blur."""
    cycles = [np.minimum(np.arange(n), n - np.arange(n)) for n in z.shape]
    f2 = cycles[0][:, None] ** 2.0 + cycles[1][None, :] ** 2.0
    gain = np.maximum(f2, 1.0) ** -0.1
    smooth = np.fft.ifft2(np.fft.fft2(gradient) * gain / gain.mean()).real
    return gaussian_filter(np.clip(z + alpha * smooth / np.abs(smooth).mean(), low, high), sigma)


@neurons
@pytest.mark.parametrize("step_gain", [None, 20.0, 255.0])
def test_walkers_mei_step_by_step(power, step_gain):
    """With the released gain of 0.1 / 255, and far larger ones that clip pixels."""
    neuron, shown = Neuron(power), images(0.2)
    more = {} if step_gain is None else {"step_gain": step_gain}
    result = walker_mei(neuron, GRID, shown, seed=3, steps=STEPS, **more)
    mean, std = shown.mean(), shown.std()
    z = (neuron.shown[0] - mean) / std
    path = [neuron.shown[0]]
    for k in range(STEPS):
        alpha = (step_gain or 0.1) / 255 * (3.0 + (0.125 - 3.0) * k / (STEPS - 1))
        sigma = 1.5 + (0.01 - 1.5) * k / (STEPS - 1)
        gradient = std * neuron.gradient(path[-1])
        z = walker_step(z, gradient, alpha, sigma, -mean / std, (1 - mean) / std)
        path.append(z * std + mean)
    assert len(neuron.shown) == STEPS + 2
    np.testing.assert_allclose(neuron.shown[:-1], path, atol=1e-4)
    responses = np.array([neuron.response(x) for x in path])
    np.testing.assert_allclose(result.trace.objective[:, 0], responses, rtol=1e-3, atol=1e-3)
    best = int(responses.argmax())
    assert result.best_steps.tolist() == [best]
    np.testing.assert_allclose(result.images[0], path[best], atol=1e-4)
    np.testing.assert_allclose(result.scores, neuron.response(path[best]), rtol=1e-3, atol=1e-3)


def test_walker_starts_from_faint_noise_and_returns_luminance():
    neuron, shown = Neuron(1), images(0.2)
    result = walker_mei(neuron, GRID, shown, seed=1, steps=30, step_gain=20.0)
    start = (neuron.shown[0] - shown.mean()) / shown.std()
    assert start.std() == pytest.approx(0.05, rel=0.15)
    assert start.mean() == pytest.approx(0, abs=0.015)
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    assert np.corrcoef(result.images.ravel(), WEIGHTS.ravel())[0, 1] > 0.6
    assert result.scores[0] == pytest.approx(neuron.response(result.images[0]), rel=1e-4)
    assert result.last.min() >= 0
    assert result.last.max() <= 1


def test_walkers_trace_is_of_the_luminance_that_is_returned():
    result = walker_mei(Neuron(1), GRID, images(0.2), seed=1, steps=10, step_gain=20.0)
    step = result.best_steps[0]
    assert result.trace.mean[step, 0] == pytest.approx(result.images.mean(), abs=1e-4)
    assert result.trace.rms_contrast[step, 0] == pytest.approx(result.images.std(), abs=1e-4)


class Module(nn.Module):
    """A module whose responses differ between training and evaluation."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(208, 1), nn.BatchNorm1d(1)
        )

    def forward(self, stimuli):
        return self.parts(stimuli)[:, 0]


@pytest.mark.parametrize("procedure", [notebook_mei, walker_mei])
def test_modules_are_evaluated_and_left_as_they_were(procedure):
    module = Module().train()
    module.parts[3].eval()  # one image is too few for batch statistics
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    result = procedure(module, GRID, images(0.2), seed=0, steps=3)
    assert [part.training for part in module.modules()] == modes
    assert all(p.grad is None for p in module.parameters())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.no_grad():
        np.testing.assert_allclose(module.eval()(result.stimuli), result.scores, rtol=1e-4)


@pytest.mark.parametrize("procedure", [notebook_mei, walker_mei])
def test_a_batch_gives_every_neuron_what_it_gets_alone(procedure):
    weights = [
        torch.as_tensor(w, dtype=torch.float32) for w in (WEIGHTS, -2 * WEIGHTS[::-1].copy())
    ]

    def response(stimuli, w):
        return ((stimuli - 0.5) * w).sum((1, 2))

    both = procedure(
        lambda s: torch.cat([response(s[i : i + 1], w) for i, w in enumerate(weights)]),
        GRID, images(0.2), seed=2, steps=6, n=2,
    )  # fmt: skip
    for i, w in enumerate(weights):
        alone = procedure(lambda s, w=w: response(s, w), GRID, images(0.2), seed=2, steps=6)
        np.testing.assert_allclose(both.images[i], alone.images[0], atol=1e-5)
        assert both.scores[i] == pytest.approx(alone.scores[0], rel=1e-4)


@pytest.mark.parametrize("procedure", [notebook_mei, walker_mei])
def test_the_same_seed_gives_the_same_image(procedure):
    one, two, other = (procedure(Neuron(1), GRID, images(0.2), seed, 4) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.images, two.images)
    assert not np.array_equal(one.images, other.images)
    assert one.images.shape == (1, *GRID.shape)
