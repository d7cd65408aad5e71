"""The simulated session, opened by AllenSDK exactly like a downloaded one."""

import sys
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.session.recording import read_session
from meiflow.session.schedule import build_schedule
from meiflow.session.sdk import _restore_numpy_names
from meiflow.stages.simulate import simulate
from meiflow.tables.counts import count_spikes

OF_ALLENSDK = (
    "general/devices/probeA",
    "general/extracellular_ephys/probeA",
    "general/subject",
)


@pytest.fixture(scope="module")
def allen(small_session):
    """The session in AllenSDK: ``EcephysSession.from_nwb_path``."""
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        session = EcephysSession.from_nwb_path(str(small_session.session_file))
        _ = session.units, session.stimulus_presentations
        yield session


def test_a_session_is_simulated_without_allensdk(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "allensdk", None)
    simulation = {"units": {"VISam": 1}, "frames": 4, "repeats": 2, "grating_repeats": 1}
    simulation |= {"gabor_repeats": 0, "failing_fraction": 0.0}
    results = Layout(tmp_path)
    simulate(parse_config({"session": {"simulation": simulation}}), results)
    with h5py.File(results.session_file) as file:
        kinds = [file[name].attrs["neurodata_type"] for name in OF_ALLENSDK]
    assert kinds == ["EcephysProbe", "EcephysElectrodeGroup", "EcephysSpecimen"]


def test_full_preset_has_the_size_of_the_real_session():
    rng = np.random.default_rng(0)
    schedule = build_schedule(118, 50, 15, 50, rng, drifting_repeats=15, flash_repeats=75)
    sizes = {name: len(table) for name, table in schedule.tables.items()}
    assert sizes["natural_scenes"] == 5950
    assert sizes["gabors"] == 3645
    assert sizes["static_gratings"] == 6000
    assert sizes["drifting_gratings"] == 630
    assert schedule.tables["drifting_gratings"]["orientation"].isna().sum() == 30
    assert sizes["flashes"] == 150


def test_quality_filters_leave_the_units_asked_for(allen, small_config):
    wanted = small_config.session.simulation.units
    assert allen.units["structure_acronym"].value_counts().to_dict() == wanted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        everyone = EcephysSession.from_nwb_path(
            allen.api.path,
            api_kwargs={
                "filter_by_validity": False,
                "amplitude_cutoff_maximum": np.inf,
                "presence_ratio_minimum": -np.inf,
                "isi_violations_maximum": np.inf,
            },
        )
        assert len(everyone.units) > len(allen.units)


def test_stimuli_and_running_are_there(allen, small_config):
    sizes = small_config.session.simulation
    scenes = allen.get_stimulus_table("natural_scenes")
    frames = scenes["frame"].astype(int)
    assert sorted(frames.unique()) == list(range(-1, sizes.frames))
    assert (frames.value_counts() == sizes.repeats).all()
    assert scenes["stimulus_block"].nunique() == 3
    gabors = allen.get_stimulus_table("gabors")
    assert len(gabors) == 243 * sizes.gabor_repeats
    assert sorted(gabors["x_position"].unique()) == list(range(-40, 41, 10))
    assert sorted(gabors["orientation"].unique()) == [0, 45, 90]
    gratings = allen.get_stimulus_table("static_gratings")
    assert len(gratings) == 120 * sizes.grating_repeats
    assert sorted(gratings["spatial_frequency"].unique()) == [0.02, 0.04, 0.08, 0.16, 0.32]
    assert len(allen.get_stimulus_table("spontaneous")) > 3
    assert {"start_time", "end_time", "velocity"} <= set(allen.running_speed.columns)
    assert set(allen.mean_waveforms) == set(allen.units.index)


def test_counts_equal_allensdks_cell_for_cell(allen, small_session):
    ours = read_session(small_session.session_file, None, Quality())
    onset = ours.scenes["start_time"].to_numpy()
    mine = count_spikes(ours.spike_times, onset, onset + 0.25)
    theirs = allen.presentationwise_spike_counts(
        [0.0, 0.25], ours.scenes.index.to_numpy(), ours.units.index.to_numpy()
    )
    np.testing.assert_array_equal(mine, theirs.to_numpy()[:, 0, :].astype(int))
    # AllenSDK's other method: one row per spike, without silent pairs
    spikes = allen.presentationwise_spike_times(
        ours.scenes.index.to_numpy(), ours.units.index.to_numpy()
    )
    full = count_spikes(ours.spike_times, onset, ours.scenes["stop_time"])
    pairs = spikes.groupby(["stimulus_presentation_id", "unit_id"]).size()
    assert (full > 0).sum() == len(pairs)


def test_ground_truth_is_not_in_the_file(small_session):
    import h5py

    truth = pd.read_csv(small_session.truth)
    names: list[str] = []
    with h5py.File(small_session.session_file) as file:
        file.visit(names.append)
    words = {"wavelength", "orientation_deg", "kind", "truth", "gain_hz", "semisaturation"}
    assert not [n for n in names if words & set(n.lower().split("/"))]
    assert len(truth) > 0


def test_areas_and_quality_are_explained(small_session, tmp_path):
    nwb = small_session.session_file
    only = read_session(nwb, ("VISp",), Quality())
    assert set(only.units["area"]) == {"VISp"}
    with pytest.raises(MeiflowError, match=r"session.area: 'VISpp'.*did you mean 'VISp'"):
        read_session(nwb, ("VISpp",), Quality())
    with pytest.raises(MeiflowError, match=r"no unit in VISp .* passes the filters"):
        read_session(nwb, ("VISp",), Quality(isi_violations_max=1e-9))
    # few of many sessions have all areas: one area is enough, none is not
    some = read_session(nwb, ("LGd", "VISp"), Quality(), any_area=True)
    assert set(some.units["area"]) == {"VISp"}
    with pytest.raises(MeiflowError, match=r"'LGd' was not recorded"):
        read_session(nwb, ("LGd", "VISp"), Quality())
    with pytest.raises(MeiflowError, match=r"'LGd' was not recorded"):
        read_session(nwb, ("LGd",), Quality(), any_area=True)
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(nwb.read_bytes()[:20_000])
    with pytest.raises(MeiflowError, match=r"broken.nwb is not a readable NWB"):
        read_session(broken, None, Quality())
    with pytest.raises(MeiflowError, match=r"none.nwb does not exist"):
        read_session(tmp_path / "none.nwb", None, Quality())


def test_same_seed_same_session(small_config, small_session, tmp_path):
    from meiflow.results.layout import Layout
    from meiflow.stages.simulate import simulate

    again = Layout(tmp_path)
    simulate(small_config, again)
    assert again.truth.read_bytes() == small_session.truth.read_bytes()
    for name in ("000.png", "039.png"):
        assert (again.scenes / name).read_bytes() == (small_session.scenes / name).read_bytes()
    one = read_session(small_session.session_file, None, Quality())
    two = read_session(again.session_file, None, Quality())
    for a, b in zip(one.spike_times, two.spike_times, strict=True):
        np.testing.assert_array_equal(a, b)
