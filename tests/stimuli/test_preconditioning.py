"""Filters and scalings of gradients, compared with NumPy's full spectra."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import difference_of_gaussians
from meiflow.images.spectrum import power_spectrum
from meiflow.stimuli import (
    Ascent,
    FourierFilter,
    Iterations,
    MeanContrast,
    Tangent,
    UnitMeanAbs,
    UnitNorm,
    UnitStd,
    featurevis_gain,
    noise_starts,
    notebook_gain,
    optimise,
    power_law,
    smoothing,
    walker_gain,
)

GRID = Geometry(60, 96)
SHAPES = [(12, 16), (11, 15), (12, 15), (11, 16), (60, 96), (1, 6)]
shapes = pytest.mark.parametrize("shape", SHAPES)


def gradients(*shape, seed=0):
    scale = 10.0 ** np.arange(-3, shape[0] - 3).reshape(-1, *[1] * (len(shape) - 1))
    return torch.as_tensor(scale * np.random.default_rng(seed).normal(size=shape))


def filtered(part, image):
    """One filtered image (height, width)."""
    gradient = torch.as_tensor(image)[None]
    return part(gradient, torch.zeros_like(gradient))[0].numpy()


def whole_gain(part, shape):
    """Measured gain of every cell of the full spectrum: the spectrum of the point response."""
    point = np.zeros(shape)
    point[0, 0] = 1.0
    gain = np.fft.fft2(filtered(part, point))
    np.testing.assert_allclose(gain.imag, 0, atol=1e-9)
    return gain.real


def radius(shape, spacing=(1.0, 1.0)):
    fy, fx = np.fft.fftfreq(shape[0], spacing[0]), np.fft.fftfreq(shape[1], spacing[1])
    return np.hypot(fy[:, None], fx[None, :])


# Power laws.


@shapes
@pytest.mark.parametrize("exponent", [0.0, 0.25, 1.0, 2.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.58, 1.26)])
def test_power_law_is_a_function_of_wrapped_frequency_alone(shape, exponent, spacing):
    gain = whole_gain(power_law(shape, exponent, spacing), shape)
    f = radius(shape, spacing)
    lowest = 1 / max(shape[0] * spacing[0], shape[1] * spacing[1])
    expected = np.maximum(f, lowest) ** -exponent
    expected[0, 0] = 0.0
    np.testing.assert_allclose(gain, expected / expected.mean(), rtol=1e-7, atol=1e-9)
    assert gain.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("geometry", [GRID, Geometry(60, 96, 121.24, 40.0), Geometry(41, 33)])
def test_smoothing_is_isotropic_in_degrees_also_where_pixels_are_not_square(geometry):
    fx, fy = geometry.frequencies()
    f = np.hypot(fy[:, None], fx[None, :])
    gain = whole_gain(smoothing(geometry, 1.0), geometry.shape)
    lowest = 1 / max(geometry.width_deg, geometry.height_deg)
    product = (gain * f)[f >= lowest]
    np.testing.assert_allclose(product, product[0], rtol=1e-7)
    in_pixels = whole_gain(power_law(geometry.shape, 1.0), geometry.shape)
    assert np.ptp((in_pixels * f)[f >= lowest]) > 0.05 * product[0]


@shapes
def test_no_exponent_takes_out_the_mean_and_nothing_else(shape):
    image = np.random.default_rng(2).normal(size=shape)
    pixels = image.size
    out = filtered(power_law(shape, 0.0), image)
    np.testing.assert_allclose(out, (image - image.mean()) * pixels / (pixels - 1), atol=1e-9)


@pytest.mark.parametrize("shape", [(12, 16), (11, 15), (60, 96)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.58, 1.26)])
def test_nothing_above_the_cutoff_passes(shape, spacing):
    cutoff = 0.21  # no frequency is exactly on it
    f = radius(shape, spacing)
    out = np.fft.fft2(
        filtered(
            power_law(shape, 1.0, spacing, cutoff), np.random.default_rng(0).normal(size=shape)
        )
    )
    assert np.abs(out[f > cutoff]).max() < 1e-9
    assert np.abs(out[(f <= cutoff) & (f > 0)]).min() > 1e-6
    assert whole_gain(power_law(shape, 1.0, spacing, cutoff), shape).mean() == pytest.approx(1.0)


def test_a_cutoff_below_the_lowest_frequency_is_refused():
    with pytest.raises(ValueError, match=r"cutoff 0.05 removes everything; the lowest .* 0.0625"):
        power_law((12, 16), 1.0, cutoff=0.05)
    with pytest.raises(ValueError, match="removes everything"):
        smoothing(GRID, 1.0, cutoff=0.001)


# Published filters.


@shapes
@pytest.mark.parametrize("exponent", [0.25, 1.0])
def test_notebook_gain_is_the_notebooks(shape, exponent):
    """Radius from row and column *indices* of the half spectrum; rows are not wrapped."""
    gradient = np.random.default_rng(1).normal(size=shape)
    rows, columns = np.mgrid[: shape[0], : shape[1] // 2 + 1]
    t = (np.sqrt(rows**2 + columns**2) + 1e-8) ** -exponent
    expected = np.fft.irfft2(np.fft.rfft2(gradient) * (t / t.mean()), s=shape)
    found = filtered(notebook_gain(shape, exponent), gradient)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_notebook_gain_raises_the_luminance_a_hundredfold():
    gain = notebook_gain((60, 96)).gain
    assert 100 < float(gain[0, 0] / gain[0, 1]) <= 101
    # the lowest negative row frequency counts as the highest of all
    assert float(gain[59, 0]) < float(gain[30, 0]) < float(gain[1, 0])


@shapes
@pytest.mark.parametrize("exponent", [0.1, 0.5])
def test_walker_gain_is_walkers(shape, exponent):
    """F / mean(F) over the whole spectrum, f in cycles per image on each axis."""
    cycles = [np.minimum(np.arange(n), np.arange(n, 0, -1)) for n in shape]
    squared = cycles[0][:, None] ** 2 + cycles[1][None, :] ** 2
    gain = 1 / np.maximum(1.0, squared.astype(float)) ** exponent
    gradient = np.random.default_rng(1).normal(size=shape)
    expected = np.fft.ifft2(np.fft.fft2(gradient) * gain / gain.mean()).real
    np.testing.assert_allclose(
        filtered(walker_gain(shape, exponent), gradient), expected, atol=1e-9
    )
    assert whole_gain(walker_gain(shape), shape).mean() == pytest.approx(1.0)


@shapes
@pytest.mark.parametrize("exponent", [0.5, 3.0])
def test_featurevis_gain_falls_from_one_to_nothing(shape, exponent):
    share = np.clip(1 - radius(shape) / np.sqrt(0.5), 0, None)  # the corner cell is at 0.707
    gradient = np.random.default_rng(1).normal(size=shape)
    expected = np.fft.ifft2(np.fft.fft2(gradient) * share**exponent).real
    found = filtered(featurevis_gain(shape, exponent), gradient)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.mean() == pytest.approx(gradient.mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_notebooks_filter_turns_an_isotropic_neuron_diagonal_and_ours_does_not(seed):
    """Gradient ascent on a centre-surround neuron, identical except for the filter.

    The notebook favours the quadrant where row and column frequencies are positive: patterns
    at 45 degrees with y downwards, 135 with y upwards.
    """
    centre = difference_of_gaussians(GRID, 0.0, 0.0, 4.0, 8.0)
    weights = torch.as_tensor(centre, dtype=torch.float32)
    starts = noise_starts(1, GRID, 1.0, 0.5, 0.05, seed)

    def orientation(part):
        result = optimise(
            lambda images: ((images - 0.5) * weights).sum((1, 2)),
            starts,
            preconditioners=(part, UnitStd(0.05)),
            update=Ascent((0.3, 0.01)),
            postprocessors=(MeanContrast(0.5, 0.05),),
            stop=Iterations(100),
        )
        spectrum = power_spectrum(result.images[0].astype(float), GRID)
        inside = (spectrum.radius > 0) & (spectrum.radius < 0.3)
        power = spectrum.power[inside]
        vector = (power * np.exp(2j * spectrum.angle[inside])).sum() / power.sum()
        return np.abs(vector), np.rad2deg(np.angle(vector) / 2) % 180

    coherence, angle = orientation(notebook_gain(GRID.shape))
    assert coherence > 0.2
    assert angle == pytest.approx(135, abs=8)
    for exponent in (0.25, 1.0):
        assert orientation(smoothing(GRID, exponent))[0] < 0.06


# Properties of all filters.


def test_filters_are_linear_and_take_every_frame_alone():
    part = power_law((12, 15), 0.7)
    movie = gradients(2, 3, 4, 12, 15)
    out = part(movie, movie)
    for index in np.ndindex(2, 3, 4):
        alone = filtered(part, movie[index].numpy())
        np.testing.assert_allclose(out[index], alone, atol=1e-12)
    torch.testing.assert_close(part(movie + 2 * out, movie), out + 2 * part(out, movie))


def test_filters_keep_the_type():
    image = gradients(1, 12, 16).float()
    assert power_law((12, 16), 1.0)(image, image).dtype == torch.float32


@pytest.mark.parametrize("shape", [(12, 18), (13, 16), (16, 12), (12, 14)])
def test_a_filter_for_another_size_is_refused(shape):
    gradient = torch.zeros(1, *shape)
    with pytest.raises(ValueError, match=rf"frames have \({shape[0]}, {shape[1]}\) pixels"):
        walker_gain((12, 16))(gradient, gradient)


def test_any_gain_can_be_given():
    shift = FourierFilter(torch.full((12, 9), 3.0))
    image = gradients(2, 12, 16)
    torch.testing.assert_close(shift(image, image), 3 * image)


# Scalings, applied to each gradient of a batch separately.

SCALINGS = {
    UnitStd: lambda x: x.std(),
    UnitMeanAbs: lambda x: np.abs(x).mean(),
    UnitNorm: np.linalg.norm,
}


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("shape", [(4, 6, 8), (3, 2, 6, 8), (2, 2, 5, 6, 8)])
def test_scalings_scale_every_image_by_itself(scaling, shape):
    given = gradients(*shape)  # increasing a thousandfold from one image to the next
    out = scaling(0.3)(given, torch.zeros(shape))
    for one, before in zip(out.numpy(), given.numpy(), strict=True):
        assert SCALINGS[scaling](one.ravel()) == pytest.approx(0.3)
        ratio = one / before
        np.testing.assert_allclose(ratio, ratio.flat[0])
        assert ratio.flat[0] > 0


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_gradient_of_zero_stays_zero_and_a_faint_one_is_scaled(scaling):
    given = torch.zeros(2, 6, 8)
    given[1] = 1e-12 * gradients(1, 6, 8)[0].float()
    out = scaling()(given, given)
    assert out[0].abs().max() == 0
    assert SCALINGS[scaling](out[1].numpy().ravel()) == pytest.approx(1.0, rel=1e-4)


# The tangent of equal mean and contrast.


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.4))
def test_tangent_is_what_a_line_through_gradient_against_luminance_leaves(seed, contrast):
    rng = np.random.default_rng(seed)
    stimuli = 0.5 + contrast * rng.normal(size=(3, 2, 6, 8))
    given = rng.normal(size=stimuli.shape) + 0.7 * stimuli - 2
    out = Tangent()(torch.as_tensor(given), torch.as_tensor(stimuli)).numpy()
    for left, x, g in zip(out, stimuli, given, strict=True):
        slope, offset = np.polyfit(x.ravel(), g.ravel(), 1)
        np.testing.assert_allclose(left, g - slope * x - offset, atol=1e-8)
        # neither the mean nor the contrast changes along it
        assert left.sum() == pytest.approx(0, abs=1e-8)
        assert (left * (x - x.mean())).sum() == pytest.approx(0, abs=1e-8)
    again = Tangent()(torch.as_tensor(out), torch.as_tensor(stimuli))
    np.testing.assert_allclose(again, out, atol=1e-8)


def test_tangent_is_the_derivative_along_the_sphere_of_equal_contrast():
    """The gradient of a function of the contrast-normalised image is the tangent."""
    stimuli = gradients(2, 6, 8).requires_grad_(True)
    weights = gradients(1, 6, 8, seed=4)[0]
    pattern = stimuli - stimuli.mean((1, 2), keepdim=True)
    unit = pattern / pattern.flatten(1).norm(dim=1)[:, None, None]
    size = pattern.detach().flatten(1).norm(dim=1)[:, None, None]
    (expected,) = torch.autograd.grad((unit * weights).sum(), stimuli)
    found = Tangent()(weights.expand_as(stimuli), stimuli.detach())
    torch.testing.assert_close(found, expected * size)


@pytest.mark.parametrize("limits", [None, (0.0, 1.0)])
def test_a_uniform_image_has_no_contrast_to_be_orthogonal_to(limits):
    given = gradients(2, 6, 8)
    found = Tangent(limits)(given, torch.full_like(given, 0.5))
    torch.testing.assert_close(found, given - given.mean((1, 2), keepdim=True))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 3.0), st.floats(0.2, 0.8))
def test_within_limits_it_is_zero_just_at_the_best_image(seed, gain, shift):
    """For a linear neuron at a given mean and contrast: its filter, clipped."""
    weights = np.random.default_rng(seed).normal(size=(6, 8))
    free = gain * weights + shift
    best = torch.as_tensor(np.clip(free, 0, 1))[None]
    given = torch.as_tensor(weights)[None]
    part = Tangent((0.0, 1.0))
    torch.testing.assert_close(part(given, best), torch.zeros_like(best), atol=1e-7, rtol=0)
    if np.abs(free - best[0].numpy()).max() > 0.1:
        assert float(Tangent()(given, best).abs().max()) > 1e-4  # without limits it is not
    clipped = (best == 0) | (best == 1)
    # clipped pixels of the opposite neuron move back
    assert (part(-given, best)[clipped] * torch.where(best[clipped] == 1, -1.0, 1.0) >= 0).all()


def test_pixels_within_limits_alone_tell_the_line():
    stimuli = torch.tensor([[[0.0, 0.0, 0.2, 0.4, 0.9, 1.0, 1.0]]], dtype=torch.float64)
    given = torch.tensor([[[9.0, -9.0, 0.2, 0.8, 0.6, 9.0, -9.0]]], dtype=torch.float64)
    slope, offset = np.polyfit([0.2, 0.4, 0.9], [0.2, 0.8, 0.6], 1)
    left = given - slope * stimuli - offset
    left[..., 1] = 0.0  # already black, would become darker
    left[..., 5] = 0.0
    torch.testing.assert_close(Tangent((0.0, 1.0))(given, stimuli), left)


@pytest.mark.parametrize("limits", [None, (0.0, 1.0)])
def test_tangent_takes_every_image_by_itself(limits):
    stimuli = gradients(4, 2, 6, 8, seed=3).clamp(0, 1)
    given = gradients(4, 2, 6, 8)
    part = Tangent(limits)
    one_by_one = [part(g[None], x[None]) for g, x in zip(given, stimuli, strict=True)]
    torch.testing.assert_close(part(given, stimuli), torch.cat(one_by_one))
