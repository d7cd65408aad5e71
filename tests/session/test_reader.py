"""Our reader against AllenSDK's classes, and the same session in other layouts."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meiflow.config.columns import Columns
from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.progress import collect_notes
from meiflow.results.layout import Layout
from meiflow.session.reader import open_reader
from meiflow.session.recording import read_session
from meiflow.session.sdk import _restore_numpy_names
from meiflow.session.unit_filters import filtered
from tests.session.layouts import LABS_COLUMNS, labs, newer, zarr_copy

OLD = Path(__file__).parents[1] / "data" / "old_session.nwb"
AREA = ("VISam",)
# Added by AllenSDK, empty, to a file that does not have them.
EMPTY = (
    "L_ratio", "cumulative_drift", "d_prime", "isolation_distance", "max_drift", "nn_hit_rate",
    "nn_miss_rate", "silhouette_score", "waveform_PT_ratio", "waveform_amplitude",
    "waveform_duration", "waveform_recovery_slope", "waveform_repolarization_slope",
    "waveform_spread", "waveform_velocity_above", "waveform_velocity_below",
)  # fmt: skip


@pytest.fixture(scope="module")
def every_stimulus(tmp_path_factory):
    """A simulated session with every stimulus, and intervals in which data are invalid."""
    from pynwb import NWBHDF5IO

    from meiflow.stages.simulate import simulate

    sizes = {"units": {"VISam": 4, "VISp": 3}, "frames": 6, "repeats": 4, "gabor_repeats": 1}
    sizes |= {"grating_repeats": 1, "drifting_repeats": 2, "flash_repeats": 4}
    sizes |= {"movie_repeats": {"natural_movie_one": 1}, "frame_height": 40, "frame_width": 40}
    layout = Layout(tmp_path_factory.mktemp("every"))
    simulate(parse_config({"session": {"simulation": sizes}}), layout)
    with open_reader(layout.session_file) as session:
        first = session.stimulus("natural_scenes")["start_time"].iloc[0]
    with NWBHDF5IO(str(layout.session_file), "r+") as io:
        file = io.read()
        file.add_invalid_times_column(name="tags", description="tags", index=True)
        for start, tag in ((first, "stimulus"), (first + 2, "probeA")):
            file.add_invalid_time_interval(
                start_time=start - 0.1, stop_time=start + 0.7, tags=["x", "1", tag]
            )
        io.write(file)
    return layout.session_file


def allens(path):
    """AllenSDK's session of a file, with the structures that its project cache adds."""
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
        from pynwb import NWBHDF5IO

        with NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
            table = io.read().electrodes
            places = [None if a in ("", "None") else a for a in table["location"][:]]
            external = pd.DataFrame({"ecephys_structure_acronym": places}, index=table.id[:])
        options = {"external_channel_columns": lambda: external, "presence_ratio_minimum": 0.95}
        return EcephysSession.from_nwb_path(str(path), api_kwargs=options)


def same(ours, theirs, *without):
    theirs = theirs.drop(columns=[c for c in without if c in theirs])
    assert set(ours) == set(theirs)
    pd.testing.assert_frame_equal(ours[list(theirs)], theirs)


@pytest.mark.parametrize("which", ["released layout", "simulated"])
@pytest.mark.filterwarnings("ignore")
def test_every_table_is_allensdks(which, every_stimulus):
    path = OLD if which == "released layout" else every_stimulus
    theirs = allens(path)
    with open_reader(path) as ours:
        units = filtered(ours.units, Quality())[0]
        empty = [c for c in EMPTY if theirs.units[c].isna().all() and c not in units]
        same(units, theirs.units, *empty)
        same(ours.presentations, theirs.stimulus_presentations, "stimulus_condition_id")
        assert ours.stimulus_names == theirs.stimulus_names
        assert "invalid_presentation" in ours.stimulus_names
        for name in theirs.stimulus_names:
            table = theirs.get_stimulus_table(name)
            same(ours.stimulus(name), table, "stimulus_condition_id")
        valid = ours.channels[ours.channels["valid_data"]].drop(columns="valid_data")
        same(valid, theirs.channels)
        same(ours.probes, theirs.probes)
        same(ours.invalid_times, theirs.invalid_times)
        same(ours.running, theirs.running_speed)
        trains = ours.spike_times(units.index)
        for unit, train in zip(units.index, trains, strict=True):
            np.testing.assert_array_equal(train, np.sort(theirs.spike_times[unit]))
        if theirs.get_pupil_data() is None:
            assert ours.pupil is None
            assert ours.gaze is None
        else:
            same(ours.pupil, theirs.get_pupil_data())
            same(ours.gaze, theirs.get_screen_gaze_data())


def test_a_real_movie_number_and_other_spellings_are_named_as_by_allensdk(tmp_path):
    """Names of 2019 and mixed capitals, which AllenSDK standardises."""
    import h5py

    from tests.session.layouts import add, rename

    path = Path(shutil.copy(OLD, tmp_path / "old.nwb"))
    with h5py.File(path, "r+") as file:
        table = file["intervals/gabors_presentations"]
        table["stimulus_name"][...] = "gabor_20_deg_250ms"
        rename(table, contrast="Contrast", x_position="Pos_x")
        add(table, "color", np.where(np.arange(243) % 2, "[1.0, 1.0, 1.0]", "-1.0"))
        add(table, "opacity", np.ones(243))
        table = file["intervals/static_gratings_presentations"]
        table["stimulus_name"][...] = "natural_movie_3_more_repeats"
        add(table, "color", np.where(np.arange(120) % 2, "1.0", "N/A"))
        add(table, "depth", np.arange(120) % 2.0)
    with open_reader(path) as ours:
        theirs = allens(path)
        same(ours.presentations, theirs.stimulus_presentations, "stimulus_condition_id")
        assert {"gabors", "natural_movie_three_more_repeats"} <= set(ours.stimulus_names)


def equal(one, two, metrics=True):
    """Whether two recordings are the same, as far as the layouts hold the same."""
    left, right = one.units, two.units
    if not metrics:
        left, right = left[["area"]], right[["area"]]
    pd.testing.assert_frame_equal(left, right[list(left)], check_dtype=False)
    for a, b in zip(one.spike_times, two.spike_times, strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(one.scenes, two.scenes)


def test_a_newer_layout_is_the_same_session(small_session, tmp_path):
    path = newer(Path(shutil.copy(small_session.session_file, tmp_path / "sub-1_ses-2.nwb")))
    before = read_session(small_session.session_file, AREA, Quality())
    after = read_session(path, AREA, Quality())
    equal(after, before)
    assert after.found == before.found
    for name, table in before.conditions.items():
        pd.testing.assert_frame_equal(after.conditions[name], table)
    assert after.filters == before.filters


def test_a_laboratorys_own_layout_by_its_names(small_session, tmp_path):
    path = labs(Path(shutil.copy(small_session.session_file, tmp_path / "own.nwb")))
    with pytest.raises(MeiflowError, match=r"it has unknown; name the column of areas in session"):
        read_session(path, AREA, Quality())
    with pytest.raises(MeiflowError, match=r"intervals/trials .* has no start_time; name its col"):
        read_session(path, None, Quality())
    before = read_session(small_session.session_file, AREA, Quality())
    with collect_notes() as notes:
        after = read_session(path, AREA, Quality(), columns=Columns(**LABS_COLUMNS))
    np.testing.assert_array_equal(after.scenes["frame"], before.scenes["frame"])
    np.testing.assert_array_equal(after.scenes["start_time"], before.scenes["start_time"])
    assert set(after.units.index) == set(before.units.index)
    spikes = dict(zip(before.units.index, before.spike_times, strict=True))
    for unit, train in zip(after.units.index, after.spike_times, strict=True):
        np.testing.assert_array_equal(train, spikes[unit])
    assert any("have no stimulus_block; it is determined" in note for note in notes)
    assert after.units["snr"].isna().all()


def test_a_configuration_names_what_it_maps():
    config = parse_config({"session": {"columns": LABS_COLUMNS}})
    assert config.session.columns == Columns(**LABS_COLUMNS)
    with pytest.raises(MeiflowError, match=r"session.columns.units"):
        parse_config({"session": {"columns": {"units": {"colour": "x"}}}})


@pytest.mark.parametrize("which", ["released layout", "simulated"])
def test_a_zarr_copy_is_the_same_session(which, every_stimulus, tmp_path):
    pytest.importorskip("zarr")
    path = OLD if which == "released layout" else every_stimulus
    copy = zarr_copy(path, tmp_path / "copy.nwb.zarr")
    with open_reader(path) as one, open_reader(copy) as two:
        for name in ("units", "channels", "probes", "presentations", "invalid_times", "running"):
            pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), obj=name)
        trains = zip(*(s.spike_times(s.units.index) for s in (one, two)), strict=True)
        for a, b in trains:
            np.testing.assert_array_equal(a, b)
        if one.pupil is not None:
            assert two.pupil is not None
            pd.testing.assert_frame_equal(one.pupil, two.pupil)
            pd.testing.assert_frame_equal(one.gaze, two.gaze)


def test_without_zarr_a_zarr_folder_is_explained(tmp_path, monkeypatch):
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(MeiflowError, match=r"NWB-Zarr, which needs the package zarr"):
        read_session(tmp_path, AREA, Quality())


def test_without_labels_and_metrics_everything_counts_and_is_noted(small_session, tmp_path):
    """What is missing is noted; only filters that need a missing metric exclude all units."""
    path = labs(Path(shutil.copy(small_session.session_file, tmp_path / "own.nwb")))
    columns = Columns(**LABS_COLUMNS | {"units": {"area": "region"}})
    with open_reader(path, columns) as session, collect_notes() as notes:
        assert len(session.units) == len(session.all_units)
    assert notes == [
        "units have no labels (quality, default_qc or decoder_label); all count as good"
    ]


def test_behaviour_in_newer_layouts(tmp_path):
    """Speed in m/s at a rate, in the module behavior, and ellipses as series of centres."""
    import h5py

    from meiflow.session.behaviour import read_pupil, read_running
    from meiflow.session.store import Node

    with h5py.File(tmp_path / "x.h5", "w") as file:
        speed = file.create_group("processing/behavior/BehavioralTimeSeries/running_speed")
        speed["data"] = np.array([0.1, 0.2, 0.4])
        speed["data"].attrs["unit"] = "m/s"
        speed["starting_time"] = 5.0
        speed["starting_time"].attrs["rate"] = 2.0
        pupil = file.create_group("acquisition/EyeTracking/pupil_tracking")
        pupil["timestamps"] = [1.0, 2.0]
        pupil["data"] = [[3.0, 4.0], [5.0, 6.0]]
        for name in ("width", "height", "angle"):
            pupil[name] = [7.0, 8.0]
        root = Node(file, file, "", tmp_path)
        running, fits = read_running(root), read_pupil(root)
    np.testing.assert_allclose(running["velocity"], [10, 20, 40])
    assert running["start_time"].tolist() == [5.0, 5.5, 6.0]
    assert running["end_time"].tolist() == [5.5, 6.0, 6.5]
    assert fits.index.tolist() == [1.0, 2.0]
    assert fits["pupil_width"].tolist() == [14.0, 16.0]
    assert fits["pupil_center_y"].tolist() == [4.0, 6.0]
