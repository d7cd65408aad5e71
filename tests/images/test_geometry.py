import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meiflow.images.geometry import Geometry


def test_allen_template_geometry(grid):
    # AllenSDK: 0.103270 deg/px on templates of 1174 x 918 pixels
    template = Geometry(918, 1174)
    assert template.dx == pytest.approx(0.103270, abs=1e-5)
    assert template.dy == pytest.approx(0.103270, abs=1e-5)
    assert grid.dx == pytest.approx(1.2629, abs=1e-4)
    assert grid.dy == pytest.approx(1.5800, abs=1e-4)
    assert 1 / 0.08 / grid.dx == pytest.approx(9.898, abs=1e-3)
    assert 1 / 0.08 / grid.dy == pytest.approx(7.911, abs=1e-3)


def test_up_is_up_and_right_is_right(grid):
    assert grid.to_pixels(0, 0) == (29.5, 47.5)
    row, column = grid.to_pixels(10.0, 20.0)
    assert column == pytest.approx(47.5 + 10 / grid.dx)
    assert row == pytest.approx(29.5 - 20 / grid.dy)
    assert grid.x[0] < 0 < grid.x[-1]
    assert grid.y[0] > 0 > grid.y[-1]


@given(
    st.integers(2, 200),
    st.integers(2, 200),
    st.floats(-90, 90),
    st.floats(-90, 90),
)
def test_pixels_and_degrees_are_inverse(height, width, x, y):
    geometry = Geometry(height, width)
    assert geometry.to_degrees(*geometry.to_pixels(x, y)) == pytest.approx((x, y), abs=1e-9)


def test_axes_agree_with_to_degrees(grid):
    x, y = grid.to_degrees(7, 11)
    assert (grid.x[11], grid.y[7]) == pytest.approx((x, y))
    assert np.diff(grid.x) == pytest.approx(grid.dx)
