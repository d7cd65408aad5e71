"""Two-photon experiments in NWB 2, compared with the same experiment in NWB 1."""

import h5py
import numpy as np
import pandas as pd
import pytest
from pynwb import TimeSeries
from pynwb.epoch import TimeIntervals
from pynwb.ophys import (
    DfOverF,
    ImageSegmentation,
    PlaneSegmentation,
    RoiResponseSeries,
    TwoPhotonSeries,
)

from meiflow.config.config import check_inputs, load_config
from meiflow.errors import MeiflowError
from meiflow.session.dataset import Dataset
from meiflow.session.two_photon_file import read_two_photon
from meiflow.stages.check import describe_inputs
from meiflow.stages.convert import convert_two_photon
from tests.session.two_photon_files import (
    NAMES,
    empty,
    onsets_of,
    write_nwb_1,
    write_nwb_2,
    written,
)

RELEASED = "sub-1_ses-2-StimB_behavior+image+ophys.nwb"


@pytest.fixture
def experiment(tmp_path, rng):
    return write_nwb_1(tmp_path / "exp_1.nwb", rng)


@pytest.fixture
def nwb_2(experiment, tmp_path):
    """A function that writes the experiment in NWB 2."""
    return lambda **options: write_nwb_2(tmp_path / RELEASED, experiment, **options)


def alignment(onset, time_s):
    """AllenSDK's rule for the imaging frame of an onset."""
    return np.nonzero(np.ediff1d(np.sign(time_s - onset)) > 0)[0][0]


@pytest.mark.parametrize("first", [False, True])
def test_an_experiment_in_nwb_2_equals_that_in_nwb_1(nwb_2, experiment, first):
    ours, theirs = read_two_photon(nwb_2(first=first)), read_two_photon(experiment)
    np.testing.assert_array_equal(ours.cells, theirs.cells)
    np.testing.assert_array_equal(ours.time_s, theirs.time_s)
    np.testing.assert_array_equal(ours.dff, theirs.dff)
    np.testing.assert_array_equal(ours.scenes, theirs.scenes)
    assert ours.scenes.dtype == np.uint8
    assert ours.events is None
    assert ours.shown == theirs.shown == ("natural_scenes", "static_gratings")
    expected = theirs.stimuli["natural_scenes"]
    if first:
        assert ours.notes == ()
    else:
        expected = expected[expected["frame"] > 0].reset_index(drop=True)
        assert ours.notes == (
            "image 0 (20 presentations, other images 10) seems to include the blanks, as in "
            "dandiset 000728: left out",
        )
    pd.testing.assert_frame_equal(ours.stimuli["natural_scenes"], expected)
    pd.testing.assert_frame_equal(
        ours.stimuli["static_gratings"][["start", "end", *NAMES]],
        theirs.stimuli["static_gratings"][["start", "end", *NAMES]],
    )
    with h5py.File(experiment) as source:
        by_allen = [alignment(t, ours.time_s) for t in onsets_of(source, "static_gratings")]
    assert ours.stimuli["static_gratings"]["start"].tolist() == by_allen


def test_images_follow_the_stated_order(nwb_2, experiment):
    found = read_two_photon(nwb_2(ordered=True))
    np.testing.assert_array_equal(found.scenes, read_two_photon(experiment).scenes)


def test_a_converted_file_of_dandi_is_a_session(nwb_2, experiment, tmp_path):
    events = np.arange(4.0)[:, None] + np.linspace(0, 0.5, 2400)
    path = nwb_2(truncated=True, events=events)
    text = convert_two_photon(path, tmp_path / "new", (0.25, 0.5))
    assert text.startswith("3 of 4 cells, trials in ")
    assert "; static_gratings has only 3 rows, a known fault of dandiset 000728" in text
    config = load_config(tmp_path / "new" / "config.yaml")
    check_inputs(config)
    assert config.session.id == "sub-1_ses-2-StimB_behavior_image_ophys"
    lines = describe_inputs(config, Dataset(config).files_of(config.session.id))
    assert lines[1].startswith("trials: 50, of 5 images (10 repeats)")
    convert_two_photon(experiment, tmp_path / "old", (0.25, 0.5))
    ours, theirs = (pd.read_csv(tmp_path / n / "trials.csv") for n in ("new", "old"))
    theirs = theirs[theirs["image_id"] > 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        ours.drop(columns="trial_id"), theirs.drop(columns="trial_id"), check_exact=False
    )
    convert_two_photon(path, tmp_path / "events", (0.25, 0.5), stored_events=True)
    table = pd.read_csv(tmp_path / "events" / "trials.csv")
    assert table.groupby("neuron_id")["response"].min().astype(int).tolist() == [0, 1, 2, 3]
    assert load_config(tmp_path / "events" / "config.yaml").session.response_unit == "events"


def other_session(path):
    """Session A: drifting gratings and a movie, without images."""
    file, plane = empty()
    module = file.create_processing_module(name="ophys", description="-")
    table = PlaneSegmentation(name="PlaneSegmentation", description="-", imaging_plane=plane)
    table.add_roi(pixel_mask=[(0, 0, 1.0)])
    module.add(ImageSegmentation(name="ImageSegmentation", plane_segmentations=table))
    rows = table.create_roi_table_region(region=[0], description="-")
    data = np.zeros((300, 1))
    trace = RoiResponseSeries(
        name="DfOverF", data=data, rois=rows, unit="a", starting_time=5.0, rate=30.0
    )
    dff = DfOverF(name="DfOverF")
    module.add(dff)
    dff.add_roi_response_series(trace)
    gratings = TimeIntervals(name="drifting_gratings", description="-")
    for name in ("orientation_in_degrees", "temporal_frequency_in_hz"):
        gratings.add_column(name=name, description="-")
    for start in (0.0, 6.0, 9.0):  # the first precedes the recording
        gratings.add_interval(
            start_time=start,
            stop_time=start + 2,
            orientation_in_degrees=45.0,
            temporal_frequency_in_hz=2.0,
        )
    file.add_stimulus(gratings)
    movie = "natural_movie_one_stimulus"
    file.add_stimulus(TimeSeries(name=movie, data=[0, 1], unit="n", timestamps=[2.0, 3.0]))
    return written(file, path)


def microscope(path):
    file, plane = empty()
    name = "MotionCorrectedTwoPhotonSeries"
    data = np.zeros((3, 2, 2))
    file.add_acquisition(
        TwoPhotonSeries(name=name, imaging_plane=plane, data=data, unit="n", rate=30.0)
    )
    return written(file, path)


def probes(path):
    file, _ = empty()
    file.add_unit(spike_times=[0.1, 0.2])
    return written(file, path)


def another_laboratory(path):
    file, _ = empty()
    module = file.create_processing_module(name="ophys", description="-")
    module.add(TimeSeries(name="traces", data=[1.0], unit="n", rate=1.0))
    return written(file, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            other_session,
            r"neither natural scenes nor .* \(session A, found: drifting_gratings, "
            r"natural_movie_one\).*convert session B of the same cells .*Noise is not converted",
        ),
        (microscope, "DfOverF/DfOverF is missing.*ends in _behavior[+]image[+]ophys.nwb"),
        (probes, r"DfOverF/DfOverF is missing.*units \(spikes\): give it as session.nwb"),
        (another_laboratory, "processing/ophys/DfOverF/DfOverF is missing.*the file has traces"),
    ],
)
def test_what_another_file_contains_is_named(write, message, tmp_path):
    path = write(tmp_path / "a.nwb")
    with pytest.raises(MeiflowError, match=message):
        convert_two_photon(path, tmp_path / "out", (0.25, 0.5))
    assert not (tmp_path / "out").exists()


def test_gratings_of_another_session_are_read(tmp_path):
    found = read_two_photon(other_session(tmp_path / "a.nwb"))
    np.testing.assert_allclose(found.time_s, 5 + np.arange(300) / 30)
    table = found.stimuli["drifting_gratings"]
    assert table["start"].tolist() == [30, 120]
    assert table["end"].tolist() == [89, 179]
    assert table[["orientation", "temporal_frequency"]].to_numpy().tolist() == [[45, 2]] * 2


def test_events_that_the_file_lacks_are_named(nwb_2, tmp_path):
    with pytest.raises(MeiflowError, match=r"contains no events .*--events FILE\.npz"):
        convert_two_photon(nwb_2(), tmp_path / "out", (0.25, 0.5), stored_events=True)
