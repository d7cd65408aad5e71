import numpy as np
import pytest
import torch

from meiflow.geometry import Geometry
from meiflow.sections import Gabor
from meiflow.stimuli import patterns
from meiflow.stimuli.gabor_search import best_gabor

GRID = Geometry(60, 96)


@pytest.mark.parametrize(
    ("x", "y", "wavelength", "angle", "phase", "sigma"),
    [(5.0, -8.0, 18.0, 27.0, 40.0, 7.0), (-22.0, 12.0, 12.0, 170.0, 250.0, 5.0)],
)
def test_a_neuron_that_is_a_gabor_is_recovered(x, y, wavelength, angle, phase, sigma):
    template = patterns.gabor(GRID, x, y, wavelength, angle, phase, sigma, 1.4)
    weights = torch.as_tensor(template, dtype=torch.float32)
    fit = best_gabor(
        lambda images: ((images - 0.5) * weights).sum((1, 2)),
        GRID,
        x + 1.5,
        y - 1.5,
        0.5,
        0.05,
        Gabor(),
    )
    p = fit.parameters
    assert np.hypot(p["x"] - x, p["y"] - y) < 1.0
    assert p["wavelength"] == pytest.approx(wavelength, rel=0.1)
    assert abs((p["orientation"] - angle + 90) % 180 - 90) < 3
    assert np.corrcoef(fit.image.ravel(), template.ravel())[0, 1] > 0.98
    assert fit.image.std() == pytest.approx(0.05, abs=1e-4)
    # the parameters describe the image, but for what clipping took
    drawn = patterns.gabor(
        GRID, p["x"], p["y"], p["wavelength"], p["orientation"], p["phase"], p["sigma"], p["aspect"]
    )
    assert np.corrcoef(drawn.ravel(), fit.image.ravel())[0, 1] > 0.99
    assert 0 <= p["orientation"] < 180
    assert 0 <= p["phase"] < 360
