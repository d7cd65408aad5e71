"""Two-photon experiments of the Allen Brain Observatory, compared with AllenSDK's reader."""

import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from packaging.version import parse

from meiflow.config.config import check_inputs, load_config
from meiflow.errors import MeiflowError
from meiflow.session.dataset import Dataset
from meiflow.session.sdk import _restore_numpy_names
from meiflow.session.two_photon import responses
from meiflow.session.two_photon_file import read_two_photon
from meiflow.stages.check import describe_inputs
from meiflow.stages.convert import convert_two_photon
from tests.session.two_photon_files import PIPELINE, RATE, write_nwb_1


def reader_of_allensdk(path):
    """AllenSDK's class, without unused imports that fail with newer packages."""
    _restore_numpy_names()
    noise = "allensdk.brain_observatory.locally_sparse_noise"
    sys.modules.setdefault("pkg_resources", SimpleNamespace(parse_version=parse))
    sys.modules.setdefault(noise, SimpleNamespace(LocallySparseNoise=None))
    from allensdk.core.brain_observatory_nwb_data_set import BrainObservatoryNwbDataSet

    return BrainObservatoryNwbDataSet(str(path))


@pytest.fixture
def experiment(tmp_path, rng):
    return write_nwb_1(tmp_path / "exp_1.nwb", rng)


def test_traces_and_stimulus_tables_equal_those_of_allensdk(experiment):
    theirs = reader_of_allensdk(experiment)
    ours = read_two_photon(experiment)
    time_s, dff = theirs.get_dff_traces()
    np.testing.assert_array_equal(ours.time_s, time_s)
    np.testing.assert_array_equal(ours.dff, dff)
    np.testing.assert_array_equal(ours.cells, theirs.get_cell_specimen_ids())
    for name, table in ours.stimuli.items():
        expected = theirs.get_stimulus_table(name).reset_index(drop=True)
        pd.testing.assert_frame_equal(table, expected[table.columns], check_dtype=False)
    assert set(ours.stimuli) == {"natural_scenes", "static_gratings"}
    np.testing.assert_array_equal(ours.scenes, theirs.get_stimulus_template("natural_scenes"))


def test_the_window_is_that_of_the_next_presentation(experiment):
    found = read_two_photon(experiment)
    table = found.stimuli["natural_scenes"]
    ours = responses(found.dff[:3], table, found.time_s, (0.25, 0.5))
    after = np.arange(20) / RATE
    inside = (after >= 0.25 - 1e-6) & (after < 0.5 - 1e-6)
    by_hand = [found.dff[:3, s : s + 20][:, inside].mean(axis=1) for s in table["start"]]
    np.testing.assert_allclose(ours, by_hand, atol=1e-5)


def test_a_converted_experiment_is_a_session(experiment, tmp_path):
    text = convert_two_photon(experiment, tmp_path / "out", (0.25, 0.5))
    assert text.startswith("3 of 4 cells, trials, static_gratings in ")
    config = load_config(tmp_path / "out" / "config.yaml")
    check_inputs(config)
    lines = describe_inputs(config, Dataset(config).files_of("exp_1"))
    assert lines[1] == "trials: 70, of 6 images (10 repeats) and 10 blanks"
    assert "static_gratings: 32 presentations of 4 conditions" in lines
    assert lines[2].startswith("neurons: 3, ")
    events = tmp_path / "events.npz"
    np.savez(events, ev=np.arange(4.0)[:, None] + np.linspace(0, 1, 2400))
    convert_two_photon(experiment, tmp_path / "events", (0.25, 0.5), events)
    table = pd.read_csv(tmp_path / "events" / "trials.csv")
    assert table.groupby("neuron_id")["response"].min().round().tolist() == [0, 1, 2, 3]
    (tmp_path / "out" / "trials.csv").unlink()
    with pytest.raises(MeiflowError, match=r"static_gratings\.csv: already exists; choose another"):
        convert_two_photon(experiment, tmp_path / "out", (0.25, 0.5))
    assert not (tmp_path / "out" / "trials.csv").exists()


def test_what_cannot_be_converted_is_named(experiment, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(MeiflowError, match="needs start < stop"):
        convert_two_photon(experiment, out, (0.5, 0.25))
    for part, message in (
        (
            "stimulus/presentation/natural_scenes_stimulus",
            "shows neither natural scenes nor .*static_gratings",
        ),
        (f"{PIPELINE}/DfOverF", "DfOverF/imaging_plane_1 is missing; expected a two-photon"),
    ):
        with h5py.File(experiment, "a") as file:
            del file[part]
        with pytest.raises(MeiflowError, match=message):
            convert_two_photon(experiment, out, (0.25, 0.5))
