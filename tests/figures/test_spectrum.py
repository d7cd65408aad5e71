import numpy as np
import pytest

from meiflow.figures.spectrum import SpectrumView, spectrum_figure
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.masks import disc_mask
from meiflow.images.spectrum import power_spectrum

GRID = Geometry(60, 96)


def view(name, image):
    mask = disc_mask(GRID, 5.0, 5.0, 30.0)
    return SpectrumView(name, image, mask, power_spectrum(image, GRID))


def axes_by_label(figure, label):
    return [ax for ax in figure.axes if ax.get_xlabel() == label]


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 150.0])
def test_the_power_picture_is_calibrated(angle):
    image = 0.5 + 0.2 * patterns.grating(GRID, 12.5, angle, 0.0)
    figure = spectrum_figure([view("mei", image), view("best_gabor", image)], GRID)
    ax = axes_by_label(figure, "fx (cycles/deg)")[0]
    assert ax.get_aspect() == 1
    picture = ax.images[0]
    left, right, bottom, top = picture.get_extent()
    power = np.asarray(picture.get_array())
    row, column = np.unravel_index(power.argmax(), power.shape)
    fx = left + (column + 0.5) / power.shape[1] * (right - left)
    fy = top + (row + 0.5) / power.shape[0] * (bottom - top)
    assert np.hypot(fx, fy) == pytest.approx(0.08, abs=0.002)
    assert abs((np.rad2deg(np.arctan2(fy, fx)) - angle + 90) % 180 - 90) < 1.5
    marked = ax.lines[0]
    assert np.hypot(marked.get_xdata(), marked.get_ydata()) == pytest.approx([0.08, 0.08], rel=0.01)
    assert power.max() == pytest.approx(np.log1p(power_spectrum(image, GRID).power.max()))


def test_the_peaks_are_marked_on_the_profiles_of_all():
    wavelengths = {"mei": 12.5, "best_gabor": 16.0, "best_natural": 25.0}
    views = [view(n, patterns.grating(GRID, w, 70.0, 0.0)) for n, w in wavelengths.items()]
    figure = spectrum_figure(views, GRID)
    for label, truth in (
        ("spatial frequency (cycles/deg)", [1 / w for w in wavelengths.values()]),
        ("direction of modulation (deg)", [70.0] * 3),
    ):
        (ax,) = axes_by_label(figure, label)
        marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "v"]
        assert marks == pytest.approx(truth, rel=0.01)


def test_a_uniform_image_can_be_drawn():
    figure = spectrum_figure([view("mei", np.full(GRID.shape, 0.5))], GRID)
    figure.draw_without_rendering()
