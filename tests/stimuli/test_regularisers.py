"""Penalties compared with closed forms, SciPy and openretina's definitions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import laplace

from meiflow.stimuli import (
    ContrastPenalty,
    GreyDistance,
    Laplacian,
    NormPenalty,
    RangePenalty,
    SpectrumMatch,
    TotalVariation,
)

HEIGHT, WIDTH = 12, 16


def noise(*shape, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(0.5, 0.4, shape))


def ramp(down, right, height=HEIGHT, width=WIDTH):
    rows, columns = np.mgrid[:height, :width]
    return torch.as_tensor(0.2 + down * rows + right * columns)[None]


def pink(n, seed=0, size=32, exponent=1.0):
    """Noise whose amplitude falls as 1 / f**exponent."""
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    f = np.hypot(fy, fx)
    f[0, 0] = np.inf
    white = np.random.default_rng(seed).normal(size=(n, size, size))
    return torch.as_tensor(0.5 + np.fft.ifft2(np.fft.fft2(white) / f**exponent).real)


MATCH = SpectrumMatch.of(noise(5, HEIGHT, WIDTH, seed=3), bins=6)
REGULARISERS = {
    "range": RangePenalty(((0.2, 0.9), (None, 0.5)), weight=2.0),
    "norm": NormPenalty(limit=3.0, weight=0.5),
    "norm 1": NormPenalty(p=1.0),
    "variation": TotalVariation(),
    "isotropic variation": TotalVariation(isotropic=True, weight=3.0),
    "laplacian": Laplacian(weight=2.0),
    "grey": GreyDistance(0.4),
    "contrast": ContrastPenalty(0.3, weight=2.0, correction=1),
    "spectrum": MATCH,
}
everyone = pytest.mark.parametrize("name", REGULARISERS)


@everyone
@pytest.mark.parametrize("shape", [(4, 2, HEIGHT, WIDTH), (3, 2, 5, HEIGHT, WIDTH)])
def test_a_batch_gives_what_one_at_a_time_does(name, shape):
    part, stimuli = REGULARISERS[name], noise(*shape)
    found = part(stimuli)
    assert found.shape == shape[:1]
    assert (found > 0).all()
    assert len(set(found.tolist())) == len(found)
    torch.testing.assert_close(found, torch.cat([part(s[None]) for s in stimuli]))


@everyone
@pytest.mark.parametrize("start", ["noise", "grey"])
def test_gradients_are_finite_also_at_a_flat_image(name, start):
    stimuli = noise(2, 2, HEIGHT, WIDTH).float()
    stimuli = torch.full_like(stimuli, 0.5) if start == "grey" else stimuli
    stimuli.requires_grad_(True)
    REGULARISERS[name](stimuli).sum().backward()
    assert torch.isfinite(stimuli.grad).all()
    if start == "noise":
        assert stimuli.grad.abs().max() > 0


@everyone
def test_weights_scale(name):
    part, stimuli = REGULARISERS[name], noise(2, 2, HEIGHT, WIDTH)
    seven = replace(part, weight=7 * part.weight)
    torch.testing.assert_close(seven(stimuli), 7 * part(stimuli))


# openretina's RangeRegularizationLoss of one stimulus: the summed excess over the limits of each
# channel, and the excess of the total norm over its maximum.


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1, 0.5)), st.one_of(st.none(), st.floats(0.5, 2))
        ),
        min_size=1,
        max_size=3,
    ),
    st.floats(0.0, 15.0),
    st.floats(0.1, 10.0),
)
def test_range_and_norm_are_openretinas(seed, limits, max_norm, factor):
    stimuli = noise(3, len(limits), 4, 5, 6, seed=seed)
    parts = (RangePenalty(tuple(limits), weight=factor), NormPenalty(limit=max_norm, weight=factor))
    found = sum(part(stimuli) for part in parts)
    for value, x in zip(found, stimuli.numpy(), strict=True):
        outside = 0.0
        for channel, (low, high) in zip(x, limits, strict=True):
            outside += 0.0 if low is None else (low - channel)[channel < low].sum()
            outside += 0.0 if high is None else (channel - high)[channel > high].sum()
        expected = factor * (outside + max(np.sqrt((x**2).sum()) - max_norm, 0.0))
        assert float(value) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_range_pulls_back_only_what_is_outside():
    stimuli = torch.tensor([[[[-0.5, 0.5, 1.5]]]], requires_grad=True)
    RangePenalty(((0.0, 1.0),), weight=2.0)(stimuli).sum().backward()
    assert stimuli.grad.flatten().tolist() == pytest.approx([-2.0, 0.0, 2.0])


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 1, 4, 5), (2, 3, 6, 4, 5)])
def test_limits_need_a_channel_each(shape):
    with pytest.raises(ValueError, match=r"limits for 2 channels given, but .* shape \(2, "):
        RangePenalty(((0.0, 1.0), (0.0, 1.0)))(torch.zeros(shape))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_norm_is_numpys_beyond_its_limit(p):
    stimuli = noise(3, HEIGHT, WIDTH)
    norms = np.array([np.linalg.norm(x.ravel(), p) for x in stimuli.numpy()])
    np.testing.assert_allclose(NormPenalty(p)(stimuli), norms)
    limit = float(np.sort(norms)[1])
    np.testing.assert_allclose(
        NormPenalty(p, limit)(stimuli), np.maximum(norms - limit, 0), atol=1e-12
    )


# Total variation.


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.integers(2, 12), st.integers(2, 12))
def test_total_variation_of_ramps_in_closed_form(down, right, height, width):
    stimuli = ramp(down, right, height, width)
    a, b = abs(down), abs(right)
    sides = a * (height - 1) * width + b * height * (width - 1)
    assert float(TotalVariation()(stimuli)) == pytest.approx(sides, abs=1e-9)
    # inside, both differences; in the last row and column the only one
    length = np.hypot(a, b) * (height - 1) * (width - 1) + a * (height - 1) + b * (width - 1)
    assert float(TotalVariation(True)(stimuli)) == pytest.approx(length, abs=1e-7)


@pytest.mark.parametrize("isotropic", [False, True])
def test_total_variation_of_a_vertical_ramp_a_transposed_one_and_none(isotropic):
    part = TotalVariation(isotropic)
    stimuli = ramp(0.05, 0.0)
    assert float(part(stimuli)) == pytest.approx(0.05 * (HEIGHT - 1) * WIDTH)
    assert float(part(torch.full((1, HEIGHT, WIDTH), 0.3))) == pytest.approx(0, abs=1e-6)
    images = noise(3, HEIGHT, WIDTH)
    torch.testing.assert_close(part(images), part(images.mT))
    torch.testing.assert_close(part(images), part(1 - images))


@pytest.mark.parametrize(
    ("row", "column", "sides", "length"),
    [
        (4, 5, 4, 2 + np.sqrt(2)),
        (0, 5, 3, 1 + np.sqrt(2)),
        (4, 0, 3, 1 + np.sqrt(2)),
        (HEIGHT - 1, 5, 3, 3),
        (4, WIDTH - 1, 3, 3),
        (0, 0, 2, np.sqrt(2)),
        (HEIGHT - 1, WIDTH - 1, 2, 2),
    ],
)
def test_total_variation_of_one_bright_pixel_counts_borders_right(row, column, sides, length):
    image = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.float64)
    image[0, row, column] = 1.0
    assert float(TotalVariation()(image)) == pytest.approx(sides)
    assert float(TotalVariation(True)(image)) == pytest.approx(length, abs=1e-6)


def test_isotropic_variation_ignores_the_direction_of_an_edge():
    """For a disc it is the circumference; the sum of absolute differences is that of its box."""
    rows, columns = np.mgrid[:200, :200]
    disc = 1 / (1 + np.exp((np.hypot(rows - 99.5, columns - 99.5) - 60) / 2))
    image = torch.as_tensor(disc)[None]
    assert float(TotalVariation(True)(image)) == pytest.approx(2 * np.pi * 60, rel=0.01)
    assert float(TotalVariation()(image)) == pytest.approx(8 * 60, rel=0.01)


def test_flat_images_are_not_moved_by_isotropic_variation():
    image = torch.full((1, 5, 6), 0.5, requires_grad=True)
    TotalVariation(True)(image).sum().backward()
    assert image.grad.abs().max() == 0


# Other penalties.


@settings(max_examples=30, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_laplacian_is_zero_for_ramps(down, right):
    assert float(Laplacian()(ramp(down, right))) == pytest.approx(0, abs=1e-18)


def test_laplacian_is_scipys_inside():
    images = noise(2, HEIGHT, WIDTH)
    expected = [(laplace(x)[1:-1, 1:-1] ** 2).mean() for x in images.numpy()]
    np.testing.assert_allclose(Laplacian()(images), expected)
    bowl = torch.arange(8.0)[None, :, None] ** 2 + torch.zeros(1, 8, 9)
    assert float(Laplacian()(bowl)) == pytest.approx(4.0, rel=1e-4)


def test_grey_distance_is_the_mean_square():
    images = noise(3, HEIGHT, WIDTH)
    expected = ((images.numpy() - 0.4) ** 2).mean((1, 2))
    np.testing.assert_allclose(GreyDistance(0.4, 3.0)(images), 3 * expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.8))
def test_contrast_penalty_is_the_notebooks(seed, wanted):
    """2 |c* - std|, the standard deviation over n - 1 pixels."""
    images = noise(3, 6, 8, seed=seed)
    pixels = images.numpy().reshape(3, -1)
    spread = np.sqrt(((pixels - pixels.mean(1, keepdims=True)) ** 2).sum(1) / 47)
    found = ContrastPenalty(wanted, weight=2.0, correction=1)(images)
    np.testing.assert_allclose(found, 2 * np.abs(wanted - spread), atol=1e-12)
    population = ContrastPenalty(wanted)(images)
    np.testing.assert_allclose(population, np.abs(wanted - pixels.std(1)), atol=1e-12)


# Spectra.


def test_spectrum_match_is_zero_for_its_own_image_at_any_contrast_and_luminance():
    image = pink(1, seed=4)
    part = SpectrumMatch.of(image, bins=8)
    for same in (image, 0.1 * image, 7 * image - 2, 1 - image):
        assert float(part(same)) == pytest.approx(0, abs=1e-9)


def test_spectrum_match_distinguishes_white_from_pink():
    part = SpectrumMatch.of(pink(20, seed=1), bins=8)
    others = part(pink(8, seed=2))
    white = part(noise(8, 32, 32))
    steep = part(pink(8, seed=2, exponent=2.0))
    assert float(white.min()) > 5 * float(others.max())
    assert float(steep.min()) > 5 * float(others.max())
    torch.testing.assert_close(part(0.01 * pink(8, seed=2)), others)


def test_spectrum_match_looks_at_frequency_not_direction():
    image = pink(1, seed=5)
    part = SpectrumMatch.of(image, bins=8)
    for turned in (image.mT, image.flip(-1), image.roll((3, 5), (-2, -1))):
        assert float(part(turned)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [(12, 16), (11, 13), (12, 13), (11, 16)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.6, 1.3)])
def test_spectrum_match_is_the_log_ratio_of_radial_spectra(shape, spacing):
    """From the full spectrum: rings up to the lower Nyquist frequency, cell by cell."""
    bins = 5  # no frequency of these shapes is on the edge between two rings
    wanted, image = noise(4, *shape, seed=1), noise(1, *shape, seed=2)
    fy = np.abs(np.fft.fftfreq(shape[0], spacing[0]))[:, None]
    fx = np.abs(np.fft.fftfreq(shape[1], spacing[1]))[None, :]
    radius = np.hypot(fy, fx)
    limit = 0.5 / max(spacing)
    edges = np.linspace(0, limit, bins + 1)

    def profile(x):
        power = np.abs(np.fft.fft2(x - x.mean())) ** 2
        rings = []
        for k in range(bins):
            above = radius >= edges[k] if k else radius > 0
            below = radius < edges[k + 1] if k < bins - 1 else radius <= limit
            rings.append(power[above & below].mean())
        return np.array(rings) / np.sum(rings)

    target = np.mean([profile(x) for x in wanted.numpy()], axis=0)
    expected = (np.log(profile(image[0].numpy()) / target) ** 2).mean()
    found = SpectrumMatch.of(wanted, spacing, bins, weight=2.0)(image)
    assert float(found) == pytest.approx(2 * expected, rel=1e-6)


def test_following_the_gradient_of_spectrum_match_makes_white_noise_pink():
    part = SpectrumMatch.of(pink(20, seed=1), bins=8)
    image = noise(1, 32, 32)
    first = float(part(image))
    for _ in range(50):
        image.requires_grad_(True)
        (gradient,) = torch.autograd.grad(part(image).sum(), image)
        image = (image - 0.3 * gradient / gradient.norm()).detach()
    assert float(part(image)) < 0.3 * first
