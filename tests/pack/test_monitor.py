"""Monitor, gamma and 8 bits: where a stimulus is, and which contrast is left."""

import warnings

import numpy as np
import pytest

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.images.projection import project_array
from meiflow.pack.monitor import Gamma, Monitor
from meiflow.pack.render import Renderer
from meiflow.session.sdk import ecephys_project

SMALL = Geometry(30, 48, 60.0, 40.0)  # degrees; wholly on the monitor
MONITOR = Monitor(51.92, 32.45, 15.0, 640, 400)
MEASURED = Gamma.measured(
    [0, 32, 64, 96, 128, 160, 192, 224, 255], [0.4, 1, 4.2, 11, 22, 37, 57, 82, 110], "table"
)


def test_spherical_projection_is_the_warp_of_allensdk():
    ecephys_project()  # restores the names of NumPy that AllenSDK needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.stimulus_info import warp_stimulus_coords
    allen = Monitor(51.0, 32.5, 15.0, 1920, 1200)
    rows, columns = np.arange(7, 1200, 97), np.arange(3, 1920, 131)
    at = np.array([(c + 0.5 - 960, r + 0.5 - 600) for r in rows for c in columns])
    texture = warp_stimulus_coords(at, 15.0, 32.5, 51.0, (1920, 1200))
    cm = texture / (1920, 1200) * (51.0, 32.5)
    wanted = np.degrees(cm / 15.0) * (1, -1)  # there y grows downwards
    x, y = (axis[np.ix_(rows, columns)].ravel() for axis in allen.degrees)
    np.testing.assert_allclose(np.column_stack([x, y]), wanted, atol=1e-4)


@pytest.mark.parametrize("projection", ["spherical", "flat"])
def test_pixel_areas_are_those_of_the_projection(projection):
    monitor = Monitor(51.92, 32.45, 15.0, 200, 120, projection, (0.3, 0.6))
    x, y = monitor.degrees
    corner = (np.gradient(x, axis=1), np.gradient(x, axis=0)), (
        np.gradient(y, axis=1), np.gradient(y, axis=0)
    )  # fmt: skip
    area = np.abs(corner[0][0] * corner[1][1] - corner[0][1] * corner[1][0])
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(monitor.pixel_area[inner], area[inner], rtol=2e-3)


def seen(levels, monitor, gamma, geometry):
    """Luminance in equal steps of visual angle, by another way than the renderer's."""
    x = (np.arange(480) / 480 - 0.5) * geometry.width_deg * 0.999
    y = (np.arange(320) / 320 - 0.5) * geometry.height_deg * 0.999
    x, y = np.meshgrid(x, y)
    angle = np.hypot(x, y)
    cm = monitor.distance_cm * np.tan(np.radians(angle)) / np.maximum(angle, 1e-9)
    if monitor.projection == "flat":
        cm = np.full_like(angle, np.radians(monitor.distance_cm))
    columns = (0.5 + x * cm / monitor.width_cm) * monitor.width_px
    rows = (0.5 - y * cm / monitor.height_cm) * monitor.height_px
    return gamma.luminance[levels[rows.astype(int), columns.astype(int)]]


def images(contrast):
    wave = gabor(SMALL, 8.0, -4.0, 12.0, 30.0, 40.0, 5.0)
    scene = np.random.default_rng(2).normal(0.45, 0.1, SMALL.shape)
    return project_array(np.stack([0.45 + 0.1 * wave, scene]), 0.45, contrast)


@pytest.mark.parametrize("gamma", [Gamma.of(1.0), Gamma.of(2.2), MEASURED])
@pytest.mark.parametrize("projection", ["spherical", "flat"])
def test_contrast_survives_gamma_and_8_bits(gamma, projection):
    monitor = Monitor(51.92, 32.45, 15.0, 640, 400, projection)
    renderer = Renderer(SMALL, monitor, gamma, 0.45, 0.45)
    for contrast in (0.0125, 0.05, 0.1):
        for image in images(contrast):
            drawn = renderer.draw(image)
            assert drawn.contrast == pytest.approx(contrast, rel=0.001)
            assert drawn.on_screen == pytest.approx(1, abs=0.02)
            luminance = seen(drawn.levels, monitor, gamma, SMALL)
            assert luminance.std() == pytest.approx(contrast, rel=0.01)
            assert luminance.mean() == pytest.approx(0.45, rel=0.01)


def test_image_is_where_it_was_and_moves_by_degrees():
    image = images(0.05)[0]
    renderer = Renderer(SMALL, MONITOR, Gamma.of(2.2), 0.45, 0.45)
    x, y = MONITOR.degrees
    for shift in ((0.0, 0.0), (-12.5, 9.0)):
        shown = Gamma.of(2.2).luminance[renderer.draw(image, shift).levels]
        energy = (shown - np.median(shown)) ** 2 * MONITOR.pixel_area
        centre = (energy * x).sum() / energy.sum(), (energy * y).sum() / energy.sum()
        assert centre == pytest.approx((8 + shift[0], -4 + shift[1]), abs=0.4)


def test_too_little_contrast_and_the_edge_are_reported():
    renderer = Renderer(SMALL, MONITOR, Gamma.of(2.2), 0.45, 0.45)
    lost = renderer.draw(images(0.0002)[1])
    assert abs(lost.contrast / 0.0002 - 1) > 0.01
    assert lost.grey_levels < 4
    off = renderer.draw(images(0.05)[0], (80.0, 0.0))
    assert off.on_screen < 0.1


@pytest.mark.parametrize(
    ("levels", "luminance", "message"),
    [
        ([0, 128], [1, 2], "from 0 to 255 in the column level"),
        ([0, 128, 128, 255], [0, 1, 2, 3], r"level must increase from row to row \(line 4\)"),
        ([0, 100, 255], [0, 3, 2], r"luminance must increase from row to row \(line 4\)"),
        ([0, 100, 255], [0, np.nan, 2], "luminance must increase"),
    ],
)
def test_invalid_gamma_tables_are_refused(levels, luminance, message):
    with pytest.raises(MeiflowError, match=message):
        Gamma.measured(levels, luminance, "gamma.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance_cm": 0.0}, "expected positive numbers"),
        ({"width_px": 1}, "resolution 1 x 120"),
        ({"eyepoint": (0.5, 50.0)}, "eye point 0.5, 50"),
    ],
)
def test_impossible_monitors_are_refused(change, message):
    sizes = {"width_cm": 50, "height_cm": 30, "distance_cm": 15, "width_px": 192, "height_px": 120}
    with pytest.raises(MeiflowError, match=message):
        Monitor(**(sizes | change))
