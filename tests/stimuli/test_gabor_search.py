import numpy as np
import pytest
import torch

from meiflow.config.config import parse_config
from meiflow.config.sections import Gabor
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.models.network import NeuronModel
from meiflow.stimuli.gabor_search import PARAMETERS, best_gabors, gabor_grid, render_gabors

GRID = Geometry(30, 48)
MEAN, CONTRAST = 0.47, 0.05
SMALL = Gabor(wavelengths_deg=[14.0, 20.0], orientations=6, aspects=[1.3], refine_steps=60)
# x, y, wavelength, orientation, phase, sigma, aspect
TRUE = np.array(
    [
        [5.0, -8.0, 18.0, 27.0, 40.0, 7.0, 1.4],
        [-22.0, 12.0, 15.0, 170.0, 250.0, 6.0, 1.1],
        [31.0, 20.0, 22.0, 95.0, 130.0, 9.0, 1.6],
    ]
)


def ln_neuron(template, offset=0.0):
    """A neuron whose response increases with the product of the image and a template."""
    state = {
        "kind": "ln",
        "filter": torch.as_tensor(template, dtype=torch.float32),
        "offset": offset,
        "baseline": 0.0,
        "scale": 1.0,
    }
    return NeuronModel(template_grid(template), 0.0, 0.0, [state], [1.0]).eval()


def template_grid(template):
    return Geometry(*template.shape)


def gabor_neurons():
    return [ln_neuron(template) for template in patterns.gabor(GRID, *TRUE.T)]


@pytest.fixture(scope="module")
def found():
    torch.set_num_threads(1)
    return best_gabors(gabor_neurons(), GRID, MEAN, CONTRAST, SMALL)


def test_neurons_that_are_gabors_are_recovered(found):
    for fit, true in zip(found, TRUE, strict=True):
        p = fit.parameters
        template = patterns.gabor(GRID, *true)
        assert np.hypot(p["x"] - true[0], p["y"] - true[1]) < 1.5
        assert p["wavelength"] == pytest.approx(true[2], rel=0.1)
        assert abs((p["orientation"] - true[3] + 90) % 180 - 90) < 3
        assert np.corrcoef(fit.image.ravel(), template.ravel())[0, 1] > 0.98


def test_the_parameters_say_what_the_image_shows(found):
    for fit in found:
        p = fit.parameters
        assert tuple(p) == PARAMETERS
        assert 0 <= p["orientation"] < 180
        assert 0 <= p["phase"] < 360
        row = torch.tensor([list(p.values())], dtype=torch.float64)
        drawn = render_gabors(row, GRID, MEAN, CONTRAST)[0]
        np.testing.assert_allclose(fit.image, drawn, atol=2e-3)


def test_mean_and_contrast_are_those_asked_for(found):
    for fit in found:
        assert fit.image.mean() == pytest.approx(MEAN, abs=1e-4)
        assert fit.image.std() == pytest.approx(CONTRAST, abs=1e-4)
        assert fit.image.min() >= 0
        assert fit.image.max() <= 1


def test_no_gabor_of_the_grid_is_better(found):
    grid = torch.as_tensor(gabor_grid(SMALL, GRID), dtype=torch.float32)
    images = render_gabors(grid, GRID, MEAN, CONTRAST).numpy()
    for fit, model in zip(found, gabor_neurons(), strict=True):
        responses = model.predict(images)
        assert fit.searched < len(grid)
        assert 0.9 * responses.max() < fit.grid_response <= responses.max() * (1 + 1e-5)
        assert fit.response > responses.max()


def test_trying_all_shapes_everywhere_finds_nothing_better(found):
    """Only the largest shape is shown everywhere; refined from all shapes, responses are equal."""
    grid = gabor_grid(SMALL, GRID)
    exhaustive = best_gabors(gabor_neurons(), GRID, MEAN, CONTRAST, SMALL, 1, grid)
    for fit, other in zip(found, exhaustive, strict=True):
        assert other.searched == len(grid)
        assert fit.response == pytest.approx(other.response, rel=1e-3)


def test_without_refinement_it_is_the_best_of_the_grid():
    config = SMALL.model_copy(update={"refine_steps": 0, "refine_top": 1})
    for fit in best_gabors(gabor_neurons(), GRID, MEAN, CONTRAST, config):
        assert fit.response == pytest.approx(fit.grid_response, rel=1e-5)
        assert round(fit.parameters["wavelength"], 4) in config.wavelengths_deg


def test_threads_change_nothing(found):
    again = best_gabors(gabor_neurons(), GRID, MEAN, CONTRAST, SMALL, threads=2)
    for one, two in zip(found, again, strict=True):
        assert one.parameters == two.parameters
        np.testing.assert_array_equal(one.image, two.image)


def test_a_neurons_gabor_does_not_depend_on_the_others(found):
    alone = best_gabors(gabor_neurons()[1:2], GRID, MEAN, CONTRAST, SMALL)[0]
    assert alone.response == pytest.approx(found[1].response, rel=1e-5)
    np.testing.assert_allclose(alone.image, found[1].image, atol=5e-3)


def test_the_default_grid_covers_the_screen_and_is_as_large_as_walkers():
    geometry = Geometry(60, 96)
    grid = gabor_grid(Gabor(), geometry)
    assert len(grid) >= 72_800
    assert len(grid) == Gabor().size(geometry.width_deg, geometry.height_deg)
    assert len(np.unique(grid, axis=0)) == len(grid)
    for wavelength in Gabor().wavelengths_deg:
        part = grid[grid[:, 2] == wavelength]
        for column, extent in ((0, geometry.width_deg), (1, geometry.height_deg)):
            places = np.unique(part[:, column])
            steps = np.diff(places)
            assert (steps <= 0.75 * wavelength + 1e-9).all()
            # the outermost positions are half a step from the edge
            np.testing.assert_allclose([-places[0], places[-1]], (extent - steps[0]) / 2)


def test_gabors_too_small_for_the_contrast_are_left_out():
    """A neuron that prefers small patterns still gets a Gabor of the common contrast."""
    contrast = 0.2
    small = patterns.gabor(GRID, 0.0, 0.0, 10.0, 0.0, 0.0, 3.0)
    config = Gabor(wavelengths_deg=[9.0, 45.0], orientations=1, aspects=[1.0], spacing=2.0)
    grid = torch.as_tensor(gabor_grid(config, GRID), dtype=torch.float32)
    stds = render_gabors(grid, GRID, MEAN, contrast).std((1, 2), correction=0)
    assert stds[grid[:, 2] == 9.0].min() < 0.9 * contrast
    (fit,) = best_gabors([ln_neuron(small)], GRID, MEAN, contrast, config)
    assert fit.image.std() == pytest.approx(contrast, abs=1e-3)


def test_a_contrast_that_no_gabor_can_have_is_refused():
    config = Gabor(wavelengths_deg=[7.0], orientations=1, aspects=[1.0], spacing=4.0)
    with pytest.raises(MeiflowError, match=r"none of the \d+ Gabors reaches RMS contrast 0.4 at"):
        best_gabors(gabor_neurons()[:1], GRID, MEAN, 0.4, config)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"spacing": 0.05, "orientations": 36}, r"gabor: the grid has [\d,]+ Gabors, more than"),
        ({"wavelengths_deg": []}, "gabor.wavelengths_deg: List should have at least 1 item"),
        ({"aspects": [1.0, 1.0]}, "gabor.aspects: duplicate 1.0"),
        ({"aspects": [9.0]}, "gabor.aspects.0: Input should be less than or equal to 3"),
        ({"offsets": 3}, "unknown key gabor.offsets"),
    ],
)
def test_grids_that_cannot_be_searched_are_refused(keys, message):
    with pytest.raises(MeiflowError, match=message):
        parse_config({"gabor": keys})


def test_wavelengths_that_alias_are_not_searched():
    coarse = Geometry(8, 12)  # pixels of 10 and 12 degrees
    grid = gabor_grid(Gabor(wavelengths_deg=[8.0, 32.0]), coarse)
    assert set(grid[:, 2]) == {32.0}
    with pytest.raises(MeiflowError, match=r"all are shorter than two pixels \(23.7 degrees"):
        gabor_grid(Gabor(wavelengths_deg=[8.0, 16.0]), coarse)
