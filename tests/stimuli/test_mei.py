import numpy as np
import pytest
import torch

from meiflow.config.sections import Mei
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.images.spectrum import power_spectrum
from meiflow.stimuli.mei import mei_starts, most_exciting, noise_starts
from meiflow.stimuli.preconditioning import smoothing

GRID = Geometry(60, 96)
MEAN, CONTRAST = 0.5, 0.05


def linear(template: np.ndarray):
    weights = torch.as_tensor(template, dtype=torch.float32)
    return lambda images: ((images - 0.5) * weights).sum((1, 2))


def start(n=2, seed=0):
    return noise_starts(n, GRID, 1.0, MEAN, CONTRAST, seed)


def test_linear_neuron_gets_its_own_filter():
    """Among images of fixed mean and norm, the filter is the optimum (Cauchy-Schwarz)."""
    template = patterns.gabor(GRID, 8.0, 5.0, 18.0, 30.0, 60.0, 7.0)
    result = most_exciting(linear(template), start(), GRID, MEAN, CONTRAST)
    best = CONTRAST * np.sqrt(template.size) * np.linalg.norm(template)
    assert result.scores.min() > 0.98 * best
    assert result.scores.max() <= best * (1 + 1e-4)
    for image in result.images:
        assert np.corrcoef(image.ravel(), template.ravel())[0, 1] > 0.98


def test_mean_and_contrast_are_held_at_every_step():
    template = patterns.gabor(GRID, 0.0, 0.0, 10.0, 0.0, 0.0, 3.0)
    result = most_exciting(linear(template), start(), GRID, MEAN, 0.12, stop=60)
    np.testing.assert_allclose(result.trace.mean, MEAN, atol=1e-4)
    np.testing.assert_allclose(result.trace.rms_contrast, 0.12, atol=1e-4)


def test_score_belongs_to_the_image_returned():
    template = patterns.gabor(GRID, 0.0, 0.0, 14.0, 45.0, 0.0, 5.0)
    response = linear(template)
    # The steps are so long that the ascent overshoots: the best iterate is not the last.
    result = most_exciting(response, start(), GRID, MEAN, CONTRAST, stop=30, step_size=(5.0, 5.0))
    again = response(torch.as_tensor(result.images)).numpy()
    np.testing.assert_allclose(result.scores, again, rtol=1e-5)
    np.testing.assert_allclose(result.scores, result.trace.objective.max(0), rtol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_isotropic_neuron_gets_an_isotropic_image(seed):
    """The notebook's unwrapped filter turns this into a 45.8 degree pattern of coherence 0.33."""
    centre = patterns.difference_of_gaussians(GRID, 0.0, 0.0, 4.0, 8.0)
    result = most_exciting(linear(centre), start(1, seed), GRID, MEAN, CONTRAST)
    spectrum = power_spectrum(result.images[0].astype(float), GRID)
    inside = (spectrum.radius > 0) & (spectrum.radius < 0.3)
    power = spectrum.power[inside]
    coherence = np.abs((power * np.exp(2j * spectrum.angle[inside])).sum()) / power.sum()
    assert coherence < 0.06


def test_filter_is_isotropic_in_degrees_and_has_unit_mean():
    half = smoothing(GRID, 0.5).gain.numpy()
    gain = np.concatenate([half, half[np.r_[0, 59:0:-1]][:, 47:0:-1]], axis=1)
    assert gain.shape == GRID.shape
    assert gain.mean() == pytest.approx(1.0)
    assert gain[0, 0] == 0
    fx, fy = GRID.frequencies()
    # 8 cycles per image along x and the same frequency along y get the same gain
    column = 8
    row = int(np.abs(np.abs(fy[:30]) - fx[column]).argmin())
    expected = (abs(fy[row]) / fx[column]) ** -0.5
    assert gain[row, 0] / gain[0, column] == pytest.approx(expected)
    np.testing.assert_allclose(gain[1:, 1:], gain[1:, 1:][::-1, ::-1])


def test_same_seed_same_image_and_inputs_untouched():
    template = patterns.gabor(GRID, 0.0, 0.0, 14.0, 45.0, 0.0, 5.0)
    starts = start(2, seed=3)
    before = starts.clone()
    one = most_exciting(linear(template), starts, GRID, MEAN, CONTRAST, stop=20)
    two = most_exciting(linear(template), start(2, seed=3), GRID, MEAN, CONTRAST, stop=20)
    assert torch.equal(starts, before)
    np.testing.assert_array_equal(one.images, two.images)
    assert not np.array_equal(
        one.images,
        most_exciting(linear(template), start(2, seed=4), GRID, MEAN, CONTRAST, stop=1).images,
    )


def test_an_mei_is_no_worse_than_the_gabor_it_starts_from():
    """With too few steps to climb from noise, the Gabor is best."""
    template = patterns.gabor(GRID, 8.0, 5.0, 18.0, 30.0, 60.0, 7.0)
    gabor = project_array(template[None], MEAN, CONTRAST)[0]
    starts = mei_starts(3, GRID, 1.0, MEAN, CONTRAST, seed=5, gabor=gabor)
    noise = noise_starts(3, GRID, Mei().smoothing_exponent, MEAN, CONTRAST, 5)
    assert torch.equal(starts, torch.cat([noise, torch.as_tensor(gabor)[None]]))
    response = linear(template)
    result = most_exciting(response, starts, GRID, MEAN, CONTRAST, stop=1, step_size=(0.1, 0.1))
    assert result.scores[result.best] >= float(response(torch.as_tensor(gabor)[None])) - 1e-4
    assert result.scores[:3].max() < 0.7 * result.scores[3]


def test_broken_models_are_named():
    with pytest.raises(ValueError, match="not finite"):
        most_exciting(lambda x: x.sum((1, 2)) * torch.nan, start(), GRID, MEAN, CONTRAST)
    with pytest.raises(ValueError, match="does not depend"):
        most_exciting(lambda x: torch.ones(len(x)), start(), GRID, MEAN, CONTRAST)
