"""The recorded Gabors and gratings, drawn."""

import numpy as np
import pandas as pd
import pytest

from meiflow.config.sections import StimulusParameters
from meiflow.images.geometry import Geometry
from meiflow.session.presented import gabor_images, gabor_phases, grating_images
from meiflow.session.schedule import gabor_conditions

GRID = Geometry(60, 96)


def test_gabors_have_their_contrast_place_and_size_in_degrees():
    shown = StimulusParameters(gabor_contrast=0.6, gabor_diameter_deg=24.0)
    where = pd.DataFrame({"x_position": [20.0], "y_position": [-10.0], "orientation": [45.0]})
    image = gabor_images(GRID, where, shown, 0.0)[0]
    assert image.max() == pytest.approx(0.8, abs=0.01)
    assert image.min() == pytest.approx(0.2, abs=0.01)
    inside = np.abs(np.hypot(GRID.x[None] - 20, GRID.y[:, None] + 10)) < 12
    assert np.abs(image[~inside] - 0.5).max() < 0.31  # the edge is half a pixel of patch at most
    far = np.hypot(GRID.x[None] - 20, GRID.y[:, None] + 10) > 13.5
    assert np.ptp(image[far]) == 0
    assert (image[inside] != 0.5).mean() > 0.95


def test_a_drift_goes_through_a_whole_cycle():
    phases = gabor_phases(StimulusParameters())
    where = gabor_conditions().iloc[[40]]
    frames = [gabor_images(GRID, where, StimulusParameters(), phase)[0] for phase in phases]
    np.testing.assert_allclose(np.mean(frames, axis=0), 0.5, atol=1e-6)
    assert gabor_phases(StimulusParameters(gabor_drifts=False)).tolist() == [0.0]


def test_gratings_are_averaged_over_pixels():
    table = pd.DataFrame(
        {"orientation": [0.0, 0.0], "spatial_frequency": [0.02, 0.32], "phase": [0.25, 0.0]}
    )
    slow, fast = grating_images(GRID, table, StimulusParameters())
    assert np.ptp(slow, axis=0).max() < 1e-6  # vertical
    reach = 0.4 * np.sinc(0.02 * GRID.dx)
    assert np.abs(slow - 0.5).max() == pytest.approx(reach, rel=0.02)
    # a phase of 0.25 shifts the cosine by a quarter of a cycle
    assert slow[0, 47] - 0.5 == pytest.approx(
        -reach * np.sin(2 * np.pi * 0.02 * GRID.x[47]), abs=1e-3
    )
    assert np.abs(fast - 0.5).max() < 0.4 * abs(np.sinc(0.32 * GRID.dx)) + 0.05
