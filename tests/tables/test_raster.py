"""Binned activity during natural scenes."""

import numpy as np
import pandas as pd

from meiflow.config.sections import Quality
from meiflow.results.tables import read_raster
from meiflow.session.recording import read_session
from meiflow.tables.raster import Raster


def test_a_raster_of_blocks_has_no_bin_in_a_gap():
    scenes = pd.DataFrame(
        {"start_time": [0.0, 0.25, 10.0], "stop_time": [0.25, 0.5, 10.25], "block": [3, 3, 8]}
    )
    raster = Raster.of_blocks([np.array([0.05, 0.45, 5.0, 10.15])], scenes, ["a"])
    assert raster.block.tolist() == [0] * 5 + [1] * 2
    assert raster.counts[:, 0].tolist() == [1, 0, 0, 0, 1, 0, 1]


def test_raster_counts_the_spikes_of_the_scenes(small_results):
    raster = read_raster(small_results)
    session = read_session(small_results.session_file, ("VISam",), Quality())
    for column, train in enumerate(session.spike_times):
        start = raster.start_s[:, None]
        inside = (train > start) & (train <= start + raster.bin_s)
        np.testing.assert_array_equal(raster.counts[:, column], inside.sum(axis=1))
