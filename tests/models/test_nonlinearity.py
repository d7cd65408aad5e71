"""Where the output nonlinearity bends, and that its gradient never vanishes."""

import numpy as np
import pytest

from meiflow.models.nonlinearity import positive, rate_floor


@pytest.mark.parametrize("mean", [0.2, 3.0, 40.0])
def test_responses_of_a_third_of_the_mean_and_more_are_left_as_they_are(mean):
    """A higher floor would favour weak stimuli: silence would be predicted as a good response."""
    floor = rate_floor(mean)
    above = mean * np.linspace(0.34, 5, 50)
    np.testing.assert_array_equal(positive(above, floor), above)
    assert positive(np.zeros(1), floor)[0] < mean / 8


@pytest.mark.parametrize("mean", [0.2, 3.0, 40.0])
def test_a_readout_below_zero_still_has_a_gradient(mean):
    """At minus the mean count there must be a gradient to ascend: a low floor would have none."""
    z = mean * np.linspace(-2, 5, 2001)
    rate = positive(z, rate_floor(mean))
    slope = np.gradient(rate, z)
    assert (rate > 0).all()
    assert (slope > 0).all()
    assert np.interp(-mean, z, slope) > 0.005
    # no kink where the exponential and the linear part meet
    assert np.abs(np.diff(slope)).max() < 0.02
