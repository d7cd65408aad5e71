"""Natural images, faded and chosen, for a neuron with a known filter."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.stimuli import best_of, fade, matched_naturals
from meiflow.stimuli.natural import best_matched

GRID = Geometry(24, 32, 60.0, 45.0)
FILTER = gabor(GRID, 8.0, -5.0, 14.0, 30.0, 40.0, 5.0)
GREY = 0.5


def neuron(images):
    weights = torch.as_tensor(FILTER, dtype=images.dtype)
    return torch.relu(((images - GREY) * weights).flatten(1).sum(1))


def naturals(n, seed=0):
    """Smooth noise over the whole screen, to which the neuron responds."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(n, *GRID.shape)), (0, 1, 1))
    images = GREY + 0.15 * noise / noise.std((1, 2), keepdims=True)
    drive = ((images - GREY) * FILTER).sum((1, 2), keepdims=True)
    return np.clip(GREY + np.sign(drive) * (images - GREY), 0, 1).astype(np.float32)


# Fading.


@pytest.fixture(scope="module")
def faded():
    images = naturals(3)
    return images, fade(neuron, images, GREY, steps=400)


def test_fade_keeps_the_response_and_reports_it(faded):
    images, found = faded
    assert found.images.shape == images.shape
    assert found.images.dtype == np.float32
    np.testing.assert_allclose(found.responses, neuron(torch.as_tensor(images)), rtol=1e-5)
    np.testing.assert_allclose(found.kept, neuron(torch.as_tensor(found.images)), rtol=1e-5)
    np.testing.assert_allclose(found.kept / found.responses, 1, atol=0.02)
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_fade_removes_what_is_outside_the_receptive_field(faded):
    images, found = faded
    inside = np.abs(FILTER) > 0.1 * np.abs(FILTER).max()
    assert 0.05 < inside.mean() < 0.3

    def contrast(stack, where):
        return np.sqrt(((stack[:, where] - GREY) ** 2).mean(1))

    assert (contrast(found.images, ~inside) < 0.15 * contrast(images, ~inside)).all()
    ratio = contrast(found.images, inside) / contrast(images, inside)
    assert (ratio > 2 * contrast(found.images, ~inside) / contrast(images, ~inside)).all()
    rms = [np.sqrt(((x - GREY) ** 2).mean((1, 2))) for x in (found.images, images)]
    np.testing.assert_allclose(found.contrast_left, rms[0] / rms[1], rtol=1e-4)


def test_fade_of_a_linear_neuron_leaves_its_filter():
    """The faintest image with this response is the filter, scaled by cos(image, filter)."""
    images = naturals(3)
    found = fade(neuron, images, GREY, steps=1200, strength=10.0)
    for image, one, left, share in zip(
        images, found.images, found.contrast_left, found.kept / found.responses, strict=True
    ):
        pattern = image.astype(float) - GREY
        cosine = (pattern * FILTER).sum() / np.linalg.norm(pattern) / np.linalg.norm(FILTER)
        assert share == pytest.approx(10 / (10 + cosine**2), abs=1e-3)
        assert 0.99 * cosine < left < 1.1 * cosine
        assert np.corrcoef(one.ravel(), FILTER.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("grey", [0.5, 0.4])
def test_fade_is_adam_on_the_two_terms(grey):
    """strength ((r - r0) / r0)**2 + d / d0 and clipping, as a loop of backward() and step()."""
    image, steps = naturals(1, seed=2), 20
    shown = []

    def model(images):
        shown.append(images.detach().clone())
        return neuron(images)

    found = fade(model, image, grey, steps=steps, learning_rate=0.02, strength=30.0)
    free = torch.as_tensor(image).clone().requires_grad_(True)
    optimiser = torch.optim.Adam([free])
    start = free.detach()
    whole, distance = neuron(start)[0].item(), ((start - grey) ** 2).mean().item()
    losses, path = [], []
    for step in range(steps + 1):
        loss = 30 * (neuron(free)[0] / whole - 1) ** 2 + ((free - grey) ** 2).mean() / distance
        losses.append(loss.item())
        path.append(free.detach().clone())
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - 0.95 * step / (steps - 1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            free.clamp_(0, 1)
    steps_shown = shown[1 : steps + 2]  # the response to the whole image comes first
    np.testing.assert_allclose(torch.cat(steps_shown), torch.cat(path), atol=1e-4)
    np.testing.assert_allclose(found.images, path[int(np.argmin(losses))], atol=1e-4)


def test_fade_takes_every_image_by_itself():
    images = naturals(3, seed=5)
    together = fade(neuron, images, GREY, steps=30)
    for i, image in enumerate(images):
        alone = fade(neuron, image[None], GREY, steps=30)
        np.testing.assert_allclose(together.images[i], alone.images[0], atol=1e-5)
        assert together.kept[i] == pytest.approx(alone.kept[0], rel=1e-4)


def test_a_higher_price_keeps_more_of_the_response():
    image = naturals(1, seed=3)
    cheap, dear = (fade(neuron, image, GREY, steps=200, strength=s) for s in (1.0, 100.0))
    assert cheap.kept[0] < dear.kept[0]
    assert cheap.contrast_left[0] < dear.contrast_left[0]


@pytest.mark.parametrize("bad", ["silent", "grey"])
def test_nothing_to_keep_is_refused(bad):
    images = naturals(2)
    images[1] = 1 - images[1] if bad == "silent" else GREY
    model = neuron if bad == "silent" else lambda x: neuron(x) + 1
    with pytest.raises(ValueError, match="lowest response"):
        fade(model, images, GREY)


# Choosing.


@pytest.mark.parametrize("n", [1, 255, 256, 257, 700])
def test_best_of_any_number_of_images(n):
    images = naturals(n, seed=n)
    sizes = []

    def model(stack):
        sizes.append(len(stack))
        return neuron(stack)

    drive = ((images.astype(float) - GREY) * FILTER).sum((1, 2))
    index, response = best_of(model, images)
    assert index == int(drive.argmax())
    assert response == pytest.approx(drive.max(), rel=1e-4)
    assert sum(sizes) == n
    assert max(sizes) <= 256


def test_the_best_may_lie_in_the_last_batch_and_may_be_a_movie():
    stack = np.full((300, 1, 2, *GRID.shape), GREY)
    stack[299, 0, 1] += 0.01 * FILTER
    index, _ = best_of(lambda movies: neuron(movies[:, 0, 1]), stack)
    assert index == 299


def test_best_of_leaves_no_graph_and_takes_modules_with_parameters():
    layer = torch.nn.Linear(24 * 32, 1)
    index, response = best_of(lambda x: layer(x.flatten(1))[:, 0], naturals(5))
    assert 0 <= index < 5
    assert isinstance(response, float)
    assert layer.weight.grad is None


# Matching.


def test_matched_naturals_have_mean_and_contrast_whole_and_windowed():
    images = naturals(4, seed=7) ** 2
    for mask in (None, np.exp(-((GRID.x[None] / 8) ** 2) - (GRID.y[:, None] / 8) ** 2)):
        out = matched_naturals(images, 0.45, 0.06, mask)
        assert out.shape == images.shape
        np.testing.assert_allclose(out.mean((1, 2)), 0.45, atol=1e-4)
        np.testing.assert_allclose(out.std((1, 2)), 0.06, atol=1e-4)
    # the pattern within the window, around its mean there; nothing outside
    weights = mask / mask.sum()
    for one, image in zip(out, images.astype(float), strict=True):
        pattern = (image - (image * weights).sum()) * mask
        assert np.corrcoef(one.ravel(), pattern.ravel())[0, 1] > 0.999
        assert np.ptp(one[mask < 1e-4]) < 1e-3


def test_the_best_natural_image_is_the_best_at_the_common_contrast():
    """An image with little of the filter wins only by its high contrast."""
    noise = np.random.default_rng(0).normal(size=GRID.shape)
    noise -= FILTER * (noise * FILTER).sum() / (FILTER**2).sum()
    loud = 0.1 * noise / noise.std() + 0.05 * FILTER / FILTER.std()
    faint = 0.02 * FILTER / FILTER.std()
    images = GREY + np.stack([loud, faint])

    def respond(stack):
        return ((stack - GREY) * FILTER).sum((1, 2))

    assert respond(images).argmax() == 0
    best = best_matched(respond, images, 0.5, 0.05)
    assert best.std() == pytest.approx(0.05, abs=1e-4)
    assert np.corrcoef(best.ravel(), FILTER.ravel())[0, 1] > 0.999
