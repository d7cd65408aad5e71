"""What ``meiflow session info`` says of files that cannot be used, or only in part."""

import shutil
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.errors import MeiflowError
from tests.session.layouts import drop, zarr_copy
from tests.session.two_photon_files import write_nwb_1, write_nwb_2

OLD = Path(__file__).parents[1] / "data" / "old_session.nwb"
SCENES = "intervals/natural_scenes_presentations"


def info(path):
    done = CliRunner().invoke(app, ["session", "info", str(path)])
    assert done.exception is None or isinstance(done.exception, MeiflowError)
    return done.output if done.exception is None else str(done.exception)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty); download it again"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "it is a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "it is a web page"),
        (b"PK\x03\x04....", "it is a compressed file); unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        (OLD.read_bytes()[:5000], f"it ends after 5,000 of {OLD.stat().st_size:,} bytes"),
        (b"trial_id,neuron_id\n", "if it is damaged, download it again or give another file"),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_line(content, message, tmp_path):
    path = tmp_path / "a.nwb"
    path.write_bytes(content)
    text = info(path)
    assert "is not a readable NWB (HDF5) file" in text
    assert message in text
    assert "\n" not in text


def test_folders_and_foreign_hdf5_say_what_can_be_done(tmp_path):
    (tmp_path / "plain").mkdir()
    assert "is a folder, not a file, and not NWB-Zarr" in info(tmp_path / "plain")
    (tmp_path / "scan" / "data" / "responses").mkdir(parents=True)
    assert "session.source sensorium" in info(tmp_path / "scan")
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file["firing"] = [1, 2]
    text = info(tmp_path / "lab.h5")
    assert "its root is of no type; it contains firing); give a file in NWB 2, or count" in text


@pytest.mark.parametrize(
    ("change", "use", "missing"),
    [
        (lambda f: drop(f["units"], "spike_times"), "cannot be run: no spike times", "spike times"),
        (lambda f: drop(f[SCENES], "frame"), "cannot be run directly", "frame of natural_scenes, "),
        (lambda f: drop(f[SCENES], "start_time"), "cannot be run: the tables of", "start_time"),
        (lambda f: f.__delitem__("general/extracellular_ephys/electrodes"),
         "cannot be run: no units that can be read", "no table of electrodes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zarr", [False, True])
def test_nothing_is_offered_that_would_fail(zarr, change, use, missing, tmp_path):
    path = Path(shutil.copy(OLD, tmp_path / "a.nwb"))
    with h5py.File(path, "r+") as file:
        change(file)
    lines = info(zarr_copy(path, tmp_path / "a.nwb.zarr") if zarr else path).splitlines()
    assert any(line.startswith(use) for line in lines)
    assert any(line.startswith("missing: ") and missing in line for line in lines)
    assert not any("models and MEIs" in line for line in lines)
    assert not any(line.startswith("missing: gabors: no") for line in lines)


def test_a_two_photon_experiment_is_described(tmp_path, rng):
    one = write_nwb_1(tmp_path / "exp_1.nwb", rng, short=0)
    for path in (one, write_nwb_2(tmp_path / "two.nwb", one)):
        lines = info(path).splitlines()
        assert "cells: 4, dF/F of 2400 imaging frames at 30.0 Hz" in lines
        assert "stimulus natural_movie_one: 80 presentations of 16 frames, 5 passes" in lines
        use = "can be run: models and MEIs from natural_scenes, natural_movie_one, after meiflow"
        assert any(line.startswith(use) for line in lines)
