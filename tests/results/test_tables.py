"""Readers of a session's tables: mismatched and damaged tables."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_arrays, write_arrays
from meiflow.results.layout import Layout
from meiflow.results.tables import (
    read_conditions,
    read_image_spikes,
    read_raster,
    read_responses,
    read_stack,
    read_trials,
)
from meiflow.tables.image_spikes import ImageSpikes
from meiflow.tables.raster import Raster


@pytest.fixture
def results(tmp_path):
    return Layout(tmp_path)


def test_responses_and_images_that_do_not_belong_together(small_results, results):
    responses = read_responses(small_results)
    with pytest.raises(MeiflowError, match=r"neuron 'x1' is not in the tables of this session"):
        responses.column("x1")
    results.images.parent.mkdir()
    for name in ("responses", "images"):
        shutil.copy(getattr(small_results, name), getattr(results, name))
    with pytest.raises(MeiflowError, match=r"images\.json: missing or unreadable"):
        read_responses(results)
    about = json.loads(small_results.image_info.read_text())
    results.image_info.write_text(json.dumps(about | {"image_ids": [*range(1, 41)]}))
    with pytest.raises(MeiflowError, match=r"40 images in images.npy do not match the 40 rows"):
        read_responses(results)
    results.image_info.write_text(json.dumps(about))
    np.save(results.images, np.zeros((2, 4, 4)))
    with pytest.raises(MeiflowError, match=r"shape \(2, 4, 4\) but images.json describes 40"):
        read_responses(results)


def test_the_geometry_travels_with_the_images(small_results):
    about = json.loads(small_results.image_info.read_text())
    assert about["image_ids"] == list(range(40))
    assert about["deg_per_pixel_x"] == pytest.approx(1.2629, abs=1e-4)
    assert about["deg_per_pixel_y"] == pytest.approx(1.58)
    assert read_stack(small_results, Geometry(60, 96))[1].shape == (40, 60, 96)
    with pytest.raises(MeiflowError, match=r"image.width_deg: the images in .* with 121.24, .* 90"):
        read_stack(small_results, Geometry(60, 96, width_deg=90))


def test_the_trials_of_a_session_make_its_means(small_results):
    for stimulus, path in (
        ("gabors", small_results.gabor_responses),
        ("static_gratings", small_results.grating_responses),
    ):
        means = pd.read_csv(path)
        found = read_conditions(small_results, stimulus)
        assert found.neuron_ids == list(means.columns[5:])
        np.testing.assert_allclose(found.means, means[found.neuron_ids], atol=1e-7)
        assert (np.diff(found.trial_ids.astype(int)) > 0).all()
    with pytest.raises(MeiflowError, match="no counts for neuron nobody"):
        found.of_neuron("nobody")


def test_spikes_within_the_counting_window_are_as_many_as_were_counted(small_results, small_config):
    spikes = read_image_spikes(small_results)
    trials = read_trials(small_results)
    start, stop = small_config.session.window_s
    neuron = trials.neuron_ids[2]
    for image in (-1, 5):
        counted = trials.counts[trials.image_ids == image, 2]
        found = [((t > start) & (t <= stop)).sum() for t in spikes.of_neuron(neuron, image)]
        assert abs(np.array(found) - counted).max() <= 1  # a spike within a tick of the edge
        assert np.mean(found == counted) > 0.8


def test_damaged_spikes_are_reported(results):
    path = results.image_spikes
    write_arrays(ImageSpikes.of([np.array([1.0])], [0.9], [0], ["a"]).arrays(), path)
    whole = read_arrays(path)
    assert read_image_spikes(results).of_neuron("a", 0)[0].tolist() == pytest.approx([0.1])
    write_arrays({k: v for k, v in whole.items() if k != "counts"}, path)
    with pytest.raises(MeiflowError, match=r"spikes\.npz: lacks counts; rebuild the tables"):
        read_image_spikes(results)
    write_arrays(whole | {"tick_s": 1e-3}, path)
    with pytest.raises(MeiflowError, match="different time resolution"):
        read_image_spikes(results)
    write_arrays(whole | {"ticks": np.zeros(3, np.int16)}, path)
    with pytest.raises(MeiflowError, match="inconsistent arrays"):
        read_image_spikes(results)


def test_a_raster_keeps_counts_beyond_16_bit_and_names_what_it_lacks(results):
    counts = np.array([[70_000], [3]])
    raster = Raster(counts, np.arange(2.0), np.zeros(2, int), np.nan, np.array(["a"]))
    write_arrays(raster.arrays(), results.raster)
    assert read_raster(results).counts[:, 0].tolist() == [70_000, 3]
    whole = read_arrays(results.raster)
    write_arrays({k: v for k, v in whole.items() if k != "block"}, results.raster)
    with pytest.raises(MeiflowError, match=r"raster\.npz: missing array 'block'"):
        read_raster(results)
