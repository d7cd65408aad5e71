"""Spike times around the images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.errors import MeiflowError
from meiflow.tables.image_spikes import AFTER_S, BEFORE_S, ImageSpikes


def test_spike_times_are_relative_to_onset():
    trains = [np.array([0.95, 1.05, 1.2, 5.0]), np.array([]), np.array([2.5])]
    spikes = ImageSpikes.of(trains, [1.0, 2.0], [7, -1], ["a", "b", "c"])
    np.testing.assert_allclose(spikes.of_neuron("a", 7)[0], [-0.05, 0.05, 0.2], atol=1e-9)
    assert spikes.of_neuron("a", -1)[0].size == 0
    assert [t.size for t in spikes.of_neuron("b", 7)] == [0]
    # the window is open at its start and closed at its end, as counting windows are
    np.testing.assert_allclose(spikes.of_neuron("c", -1)[0], [0.5])
    with pytest.raises(MeiflowError, match="neuron 'd' has no spike times"):
        spikes.of_neuron("d", 7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 12))
def test_every_trial_contains_only_the_spikes_of_its_window(seed, neurons, presentations):
    rng = np.random.default_rng(seed)
    trains = [np.sort(rng.uniform(0, 5, rng.integers(0, 60))) for _ in range(neurons)]
    onsets = rng.uniform(0, 5, presentations)  # overlapping, and in any order
    images = rng.integers(-1, 3, presentations)
    names = [str(i) for i in range(neurons)]
    spikes = ImageSpikes.of(trains, onsets, images, names)
    for name, train in zip(names, trains, strict=True):
        for image in set(images.tolist()):
            found = spikes.of_neuron(name, image)
            shown = onsets[images == image]
            assert len(found) == len(shown)
            for own, onset in zip(found, shown, strict=True):
                inside = train[(train > onset - BEFORE_S) & (train <= onset + AFTER_S)] - onset
                np.testing.assert_allclose(own, inside, atol=5.1e-5)
