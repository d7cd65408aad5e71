"""Projections, filters and schedules, compared with SciPy, torch and openretina."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.stimuli import (
    ClipRange,
    ConstantSchedule,
    Jitter,
    LinearSchedule,
    MeanContrast,
    MinMax,
    NormClip,
    PixelMask,
    RecursiveSchedule,
    SpatialBlur,
    TemporalLowPass,
    most_exciting,
    noise_starts,
)

SHAPES = [(3, 12, 16), (3, 2, 12, 16), (3, 2, 5, 12, 16)]


def noise(*shape, seed=0, spread=0.4):
    return torch.as_tensor(np.random.default_rng(seed).normal(0.5, spread, shape))


def after(part, stimuli, step=0, steps=10):
    return part(stimuli, step, steps)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "part",
    [
        MeanContrast(0.5, 0.1),
        MeanContrast(0.5, 0.1, torch.arange(16) < 9),
        ClipRange(0.2, 0.9),
        MinMax(),
        SpatialBlur(1.3),
        PixelMask(torch.linspace(0, 1, 16)),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_batch_gives_what_one_at_a_time_does(part, shape):
    stimuli = noise(*shape)
    before = stimuli.clone()
    out = after(part, stimuli)
    assert out.shape == stimuli.shape
    assert torch.equal(stimuli, before)
    torch.testing.assert_close(out, torch.cat([after(part, s[None]) for s in stimuli]))
    assert after(part, stimuli.float()).dtype == torch.float32


# openretina's ChangeNormJointlyClipRangeSeparately.


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1, 0.2)), st.one_of(st.none(), st.floats(0.3, 1))
        ),
        min_size=1,
        max_size=3,
    ),
    st.one_of(st.none(), st.floats(0.5, 40)),
)
def test_norm_and_limits_are_openretinas(seed, limits, norm):
    """One norm over all channels of a stimulus, then the limits of each channel."""
    stimuli = noise(2, len(limits), 4, 5, 6, seed=seed)
    found = after(NormClip(norm, tuple(limits)), stimuli)
    for one, x in zip(found.numpy(), stimuli.numpy(), strict=True):
        scaled = x if norm is None else x * norm / np.sqrt(np.sum(x**2))
        for channel, values, (low, high) in zip(one, scaled, limits, strict=True):
            bounded = values if low is None else np.maximum(values, low)
            bounded = bounded if high is None else np.minimum(bounded, high)
            np.testing.assert_allclose(channel, bounded)


def test_norm_clip_of_images_and_of_nothing():
    images = noise(2, 2, 12, 16)
    out = after(NormClip(3.0, ((None, None), (None, None))), images)
    np.testing.assert_allclose(out.flatten(1).norm(dim=1), 3.0)
    grey = after(NormClip(3.0, ((0.0, 1.0),)), torch.zeros(1, 1, 4, 5))
    assert torch.equal(grey, torch.zeros(1, 1, 4, 5))


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 1, 4, 5), (2, 3, 6, 4, 5)])
def test_limits_need_a_channel_each(shape):
    with pytest.raises(
        ValueError, match=r"limits for 2 channels given, but stimuli have shape \(2, "
    ):
        after(NormClip(1.0, ((0.0, 1.0), (0.0, 1.0))), torch.zeros(shape))


# openretina's TemporalGaussianLowPassFilterProcessor.


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 15, 16])
@pytest.mark.parametrize("sigma", [0.6, 2.0])
def test_zero_padded_low_pass_is_openretinas(size, sigma):
    """conv3d with padding 'same' and the Gaussian centred on sample size // 2 of the kernel."""
    movie = noise(2, 3, 7, 4, 5)
    kernel = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    weight = torch.as_tensor(kernel / kernel.sum()).reshape(1, 1, size, 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # even sizes are padded on one side
        expected = torch.nn.functional.conv3d(
            movie, weight.repeat(3, 1, 1, 1, 1), padding="same", groups=3
        )
    found = after(TemporalLowPass(sigma, size, zero_padded=True), movie)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 21])
def test_low_pass_keeps_what_is_constant_and_zeros_do_not(size):
    movie = noise(2, 1, 1, 4, 5).expand(2, 1, 9, 4, 5)
    torch.testing.assert_close(after(TemporalLowPass(1.5, size), movie), movie.contiguous())
    padded = after(TemporalLowPass(1.5, size, zero_padded=True), torch.ones(1, 1, 9, 1, 1))
    assert (float(padded[0, 0, 0]) < 0.9) == (size > 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.floats(0.3, 4.0), st.integers(0, 6))
def test_low_pass_rescales_the_kernel_to_the_frames_there_are(seed, frames, sigma, half):
    movie = noise(1, 2, frames, 2, 3, seed=seed)
    expected = np.zeros(movie.shape)
    for t in range(frames):
        near = [s for s in range(frames) if abs(s - t) <= half]
        weights = np.exp(-0.5 * ((np.array(near) - t) / sigma) ** 2)
        part = movie.numpy()[:, :, near] * weights[None, None, :, None, None]
        expected[:, :, t] = part.sum(2) / weights.sum()
    found = after(TemporalLowPass(sigma, 2 * half + 1), movie)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_low_pass_takes_out_flicker_and_leaves_drift():
    frames = torch.arange(40.0)
    flicker, drift = torch.cos(torch.pi * frames), torch.cos(2 * torch.pi * frames / 40)
    part = TemporalLowPass(2.0, 13)
    for wave, low, high in ((flicker, 0, 0.01), (drift, 0.93, 1)):
        movie = wave[None, None, :, None, None].expand(1, 1, 40, 2, 3)
        left = after(part, movie)[..., 10:30, :, :].norm() / movie[..., 10:30, :, :].norm()
        assert low <= float(left) <= high


@pytest.mark.parametrize("shape", [(2, 12, 16), (2, 3, 12, 16)])
def test_low_pass_needs_movies(shape):
    with pytest.raises(
        ValueError, match=r"movies \(batch, channels, time, height, width\) required, got"
    ):
        after(TemporalLowPass(1.0, 3), torch.zeros(shape))


# Blur and schedules.


@pytest.mark.parametrize("sigma", [0.001, 0.1, 0.5, 1.0, 2.7, 7.0, 20.0])
@pytest.mark.parametrize("shape", [(12, 16), (5, 3), (1, 9)])
def test_blur_is_scipys(sigma, shape):
    images = noise(2, 2, *shape).float()
    expected = [[gaussian_filter(x.astype(float), sigma) for x in y] for y in images.numpy()]
    np.testing.assert_allclose(after(SpatialBlur(sigma), images), expected, atol=1e-5)


def test_blur_is_differentiable_and_of_width_zero_nothing():
    images = noise(1, 12, 16).requires_grad_(True)
    assert torch.equal(after(SpatialBlur(0.0), images), images)
    after(SpatialBlur(1.5), images)[0, 6, 8].backward()
    point = np.zeros((12, 16))
    point[6, 8] = 1
    np.testing.assert_allclose(images.grad[0], gaussian_filter(point, 1.5), atol=1e-12)


@pytest.mark.parametrize("step", [0, 3, 9])
def test_blur_follows_its_schedule(step):
    images = noise(1, 12, 16)
    sigma = 3.0 + (0.3 - 3.0) * step / 9
    expected = gaussian_filter(images[0].numpy(), sigma)
    for schedule in ((3.0, 0.3), LinearSchedule(3.0, 0.3), ConstantSchedule(sigma)):
        out = after(SpatialBlur(schedule), images, step, 10)
        np.testing.assert_allclose(out[0], expected, atol=1e-9)


def test_linear_goes_from_the_first_step_to_the_last():
    line = LinearSchedule(3.0, 0.125)
    np.testing.assert_allclose([line(i, 24) for i in range(24)], np.linspace(3.0, 0.125, 24))
    assert line(0, 1) == 3.0


def test_recursive_is_the_notebooks():
    """sigma <- sigma + (0.001 - sigma) i / steps; step 0 is the notebook's i = 1.

    From 7, 1.9 at i = 50 and 0.04 at i = 100 of 1000.
    """
    schedule, sigma, expected = RecursiveSchedule(7.0, 0.001), 7.0, []
    for i in range(1, 1001):
        sigma += (0.001 - sigma) * i / 1000
        expected.append(sigma)
    np.testing.assert_allclose([schedule(i, 1000) for i in range(1000)], expected, rtol=1e-12)
    assert schedule(0, 1000) == pytest.approx(7 - 6.999 / 1000)
    assert schedule(49, 1000) == pytest.approx(1.9, abs=0.05)
    assert schedule(99, 1000) == pytest.approx(0.04, abs=0.005)
    assert schedule(999, 1000) == pytest.approx(0.001)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 39), st.sampled_from([40, 57])), min_size=1, max_size=8),
    st.floats(0.1, 10),
    st.floats(0.0, 10),
)
def test_recursive_does_not_depend_on_earlier_calls(asked, first, last):
    """In closed form for another step, an earlier one, the same again, or another step number."""
    schedule = RecursiveSchedule(first, last)
    for step, steps in asked:
        left = np.prod(1 - np.arange(1, step + 2) / steps)
        assert schedule(step, steps) == pytest.approx(last + (first - last) * left, abs=1e-9)


# Mean and contrast.


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0.3, 0.7),
    st.floats(0.02, 0.2),
    st.floats(0.5, 3.0),
    st.sampled_from(["mean", "number", "image"]),
)
def test_masked_pixels_alone_bring_mean_and_contrast_of_the_whole(
    seed, mean, contrast, tail, background
):
    """With a heavy tail many pixels are clipped."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((3, 12, 16))
    stimuli = torch.as_tensor(np.sign(z) * np.abs(z) ** tail)
    mask = torch.as_tensor(rng.uniform(size=(12, 16)) < 0.7)
    around = {
        "mean": None,
        "number": mean + 0.01,
        "image": torch.as_tensor(mean + 0.01 * rng.standard_normal((12, 16))).clamp(0, 1),
    }[background]
    out = after(MeanContrast(mean, contrast, mask, around), stimuli).numpy()
    rest = np.broadcast_to(mean if around is None else np.asarray(around), (12, 16))
    np.testing.assert_allclose(out[:, ~mask.numpy()], np.tile(rest[~mask.numpy()], (3, 1)))
    assert out.min() >= 0
    assert out.max() <= 1
    np.testing.assert_allclose(out.mean((1, 2)), mean, atol=1e-4)
    np.testing.assert_allclose(out.std((1, 2)), contrast, atol=1e-4)


def test_a_surround_is_found_about_a_centre_that_stays():
    rows, columns = np.mgrid[:12, :16]
    centre = np.hypot(rows - 5.5, columns - 7.5) < 3
    shown = torch.as_tensor(0.5 + 0.2 * np.cos(columns))
    stimuli = noise(2, 1, 12, 16)
    out = after(MeanContrast(0.5, 0.15, torch.as_tensor(~centre), shown), stimuli)
    np.testing.assert_array_equal(out[:, 0].numpy()[:, centre], [shown.numpy()[centre]] * 2)
    pattern = stimuli[0, 0].numpy()[~centre]
    assert np.corrcoef(out[0, 0].numpy()[~centre], pattern)[0, 1] > 0.999  # scaled and shifted
    np.testing.assert_allclose(out.flatten(1).std(1, correction=0), 0.15, atol=1e-4)


@pytest.mark.parametrize("part", ["centre", "surround"])
@pytest.mark.parametrize("background", [None, "image"])
def test_the_best_centre_and_the_best_surround_of_a_linear_neuron(part, background):
    """In free pixels, the filter minus its mean there (Cauchy-Schwarz)."""
    grid = Geometry(24, 32, 60.0, 45.0)
    rows, columns = np.mgrid[:24, :32]
    weights = gabor(grid, 4.0, -3.0, 16.0, 30.0, 40.0, 9.0)
    free = (np.hypot(rows - 13, columns - 17) < 5) == (part == "centre")
    rest = np.full((24, 32), 0.5) if background is None else 0.5 + 0.02 * np.cos(columns)
    share, fixed = free.mean(), rest[~free]
    mean = (0.5 - fixed.sum() / free.size) / share
    power = (0.05**2 + 0.5**2 - (fixed**2).sum() / free.size) / share - mean**2
    best = rest.copy()
    best[free] = (
        mean + np.sqrt(power) * (weights[free] - weights[free].mean()) / weights[free].std()
    )
    assert 0 < best.min() < best.max() < 1
    tensor = torch.as_tensor(weights, dtype=torch.float32)
    result = most_exciting(
        lambda images: ((images - 0.5) * tensor).sum((1, 2)),
        noise_starts(2, grid, 1.0, 0.5, 0.1, seed=0),
        grid,
        mean=0.5,
        contrast=0.05,
        stop=150,
        mask=torch.as_tensor(free),
        background=None if background is None else torch.as_tensor(rest, dtype=torch.float32),
    )
    top = ((best - 0.5) * weights).sum()
    assert (result.scores < 1.0001 * top).all()
    assert (result.scores > 0.995 * top).all()


def test_the_whole_image_free_is_no_mask():
    stimuli = noise(2, 12, 16)
    every = torch.ones(12, 16, dtype=torch.bool)
    torch.testing.assert_close(
        after(MeanContrast(0.4, 0.1, every), stimuli), after(MeanContrast(0.4, 0.1), stimuli)
    )


@pytest.mark.parametrize(
    ("mean", "contrast", "background"),
    [
        (0.5, 0.05, torch.linspace(0, 1, 16).expand(12, 16)),  # more contrast than allowed
        (0.5, 0.05, 0.6),
        (0.2, 0.1, 0.5),  # too bright to be balanced by black pixels elsewhere
        (0.9, 0.1, 0.1),
    ],
)
def test_a_background_that_leaves_no_way_is_refused(mean, contrast, background):
    mask = torch.zeros(12, 16, dtype=torch.bool)
    mask[:, :8] = True
    with pytest.raises(ValueError, match="cannot be reached with this background"):
        after(MeanContrast(mean, contrast, mask, background), noise(2, 12, 16))


def test_a_contrast_that_so_few_pixels_cannot_have_is_refused():
    """A sixteenth of the pixels, all black or white: an RMS contrast of 0.125 at most."""
    mask = torch.zeros(12, 16, dtype=torch.bool)
    mask[:, :1] = True
    stimuli = noise(2, 12, 16)
    out = after(MeanContrast(0.5, 0.12, mask), stimuli)
    np.testing.assert_allclose(out.flatten(1).std(1, correction=0), 0.12, atol=1e-4)
    with pytest.raises(ValueError, match="cannot be reached"):
        after(MeanContrast(0.5, 0.2, mask), stimuli)


def test_masks_must_be_boolean_and_leave_a_pixel():
    with pytest.raises(ValueError, match=r"must be a boolean torch tensor, got torch\.float32"):
        after(MeanContrast(0.5, 0.1, torch.ones(12, 16)), noise(2, 12, 16))
    with pytest.raises(ValueError, match="fewer than two pixels free"):
        after(MeanContrast(0.5, 0.1, torch.zeros(12, 16) > 1), noise(2, 12, 16))


# Simple postprocessors.


def test_clip_and_min_max_are_numpys():
    stimuli = noise(3, 2, 12, 16)
    x = stimuli.numpy()
    np.testing.assert_array_equal(after(ClipRange(), stimuli), np.clip(x, 0, 1))
    np.testing.assert_array_equal(after(ClipRange(-0.1, 0.4), stimuli), np.clip(x, -0.1, 0.4))
    low, high = x.min((1, 2, 3), keepdims=True), x.max((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(after(MinMax(), stimuli), (x - low) / (high - low))
    assert torch.equal(after(MinMax(), torch.full((1, 3, 4), 0.7)), torch.zeros(1, 3, 4))


@pytest.mark.parametrize("background", [0.5, "image"])
def test_mask_fades_to_its_background(background):
    stimuli, weights = noise(2, 3, 12, 16), torch.linspace(0, 1, 16).expand(12, 16)
    rest = noise(12, 16, seed=5) if background == "image" else background
    out = after(PixelMask(weights, rest), stimuli).numpy()
    w = weights.numpy()
    np.testing.assert_allclose(out, stimuli.numpy() * w + np.asarray(rest) * (1 - w), atol=1e-7)


# Jitter.


def shift_of(part, step, shape=(9, 11)):
    """Shift of a bright pixel in the middle."""
    image = torch.zeros(1, *shape)
    image[0, shape[0] // 2, shape[1] // 2] = 1
    row, column = part(image, step)[0].nonzero()[0].tolist()
    return row - shape[0] // 2, column - shape[1] // 2


def test_jitter_moves_all_pixels_of_all_stimuli_and_changes_none():
    stimuli = noise(3, 2, 9, 11)
    for step in range(20):
        down, right = shift_of(Jitter(3, seed=1), step)
        expected = np.roll(stimuli.numpy(), (down, right), (-2, -1))
        np.testing.assert_array_equal(Jitter(3, seed=1)(stimuli, step), expected)


def test_jitter_is_the_same_for_a_seed_and_a_step_and_reaches_every_shift():
    shifts = [shift_of(Jitter(2, seed=4), step) for step in range(400)]
    assert shifts == [shift_of(Jitter(2, seed=4), step) for step in range(400)]
    assert shifts != [shift_of(Jitter(2, seed=5), step) for step in range(400)]
    assert set(shifts) == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}
    counts = np.unique(shifts, axis=0, return_counts=True)[1]
    assert counts.min() > 4  # 16 of each are expected
    assert {shift_of(Jitter(0), step) for step in range(20)} == {(0, 0)}


def test_the_gradient_passes_through_jitter():
    stimuli, weights = noise(2, 9, 11).requires_grad_(True), noise(9, 11, seed=2)
    for step in range(5):
        down, right = shift_of(Jitter(3), step)
        (gradient,) = torch.autograd.grad((Jitter(3)(stimuli, step) * weights).sum(), stimuli)
        expected = np.roll(weights.numpy(), (-down, -right), (0, 1))
        np.testing.assert_array_equal(gradient, np.stack([expected] * 2))
