"""Session NWB files that are damaged, inconsistent, or have another layout."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.session.download import check_session_file
from meiflow.session.recording import read_session
from meiflow.session.source import session_files
from tests.bad_input.catalogue import Case, digest, named, refused
from tests.bad_input.damage import Damage, damaged, damages, explained, often

SCENES = "intervals/natural_scenes_presentations"
ELECTRODES = "general/extracellular_ephys/electrodes"


@pytest.fixture
def broken(good_nwb: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(good_nwb, tmp_path / "broken.nwb"))


def within(change: Callable[[h5py.File], Any]) -> Callable[[Path], None]:
    """Modify an open file."""

    def make(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return make


def without(name: str) -> Callable[[Path], None]:
    return within(lambda file: file.__delitem__(name))


def put(name: str, place: Any, value: Any) -> Callable[[Path], None]:
    """Replace the values of a column."""

    def change(file: h5py.File) -> None:
        file[name][place] = value

    return within(change)


def column(name: str, values: Any) -> Callable[[Path], None]:
    """Replace a column by one of another length or type."""

    def change(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values)
        file[name].attrs.update(attributes)

    return within(change)


def attribute(name: str, key: str, value: Any) -> Callable[[Path], None]:
    return within(lambda file: file[name].attrs.__setitem__(key, value))


def cut(share: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * share))

    return make


def elsewhere(name: str, link: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Replace a column by a link to another file."""

    def make(path: Path) -> None:
        shutil.copy(path, path.with_name("other.nwb"))
        with h5py.File(path, "r+") as file:
            del file[name]
            file[name] = link(path)

    return make


def outside_data(path: Path) -> None:
    """Replace a column by the bytes of another file of this machine."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file["units/snr"].attrs)
        del file["units/snr"]
        data = file.create_dataset("units/snr", (3,), "f8", external=[("/etc/passwd", 0, 24)])
        data.attrs.update(attributes)


def virtual_data(path: Path) -> None:
    shutil.copy(path, path.with_name("other.nwb"))
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("other.nwb", "units/snr", (3,))
    with h5py.File(path, "r+") as file:
        attributes = dict(file["units/snr"].attrs)
        del file["units/snr"]
        file.create_virtual_dataset("units/snr", layout)
        file["units/snr"].attrs.update(attributes)


def no_units(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        units = file["units"]
        for name in list(units):
            attributes, old = dict(units[name].attrs), units[name]
            shape, kind = (0, *old.shape[1:]), old.dtype
            del units[name]
            units.create_dataset(name, shape, kind).attrs.update(attributes)
        for name in ("spike_times", "spike_amplitudes", "waveform_mean"):
            units[f"{name}_index"].attrs["target"] = units[name].ref


def twice(name: str) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        file[name][1] = file[name][0]

    return within(change)


def not_nwb(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file["units"] = np.arange(3)


ENDS = "units/spike_times_index"
READABLE = "is not a readable NWB"
ODD = "session.nwb:"
CASES = [
    Case("empty file", b"", (READABLE,)),
    Case("text file", "trial_id,neuron_id\n", (READABLE,)),
    Case("HDF5 of something else", not_nwb, (READABLE,)),
    *[Case(f"cut to {s:.0%}", cut(s), (READABLE,)) for s in (0.02, 0.1, 0.3, 0.5, 0.8, 0.99)],
    Case("folder", lambda p: (p.unlink(), p.mkdir()), ("is a folder, not a file",)),
    Case("pipe", lambda p: (p.unlink(), os.mkfifo(p)), ("is not a file (a pipe",)),
    Case("zeroed superblock", lambda p: p.write_bytes(bytes(512) + p.read_bytes()[512:]),
         (READABLE,)),
    Case("no units", without("units"), ("contains no sorted units",)),
    Case("zero units", no_units, ("contains no sorted units",)),
    Case("no electrodes", without(ELECTRODES), (ODD,)),
    Case("no intervals", without("intervals"), ("natural_scenes",)),
    Case("no scenes", without(SCENES), ("has no valid natural_scenes",)),
    Case("no identifier", without("identifier"), (ODD,)),
    Case("no start time", without("session_start_time"), (ODD,)),
    Case("no namespace", attribute("/", "namespace", "nowhere"), (ODD,)),
    Case("another type", attribute("/", "neurodata_type", "Subject"), (ODD,)),
    Case("a type nobody knows", attribute("/", "neurodata_type", "Banana"), (ODD,)),
    Case("units of another type", attribute("units", "neurodata_type", "TimeSeries"), (ODD,)),
    Case("version 1", attribute("/", "nwb_version", "1.0.6"), (ODD,)),
    *[
        Case(f"no {c} of units", without(f"units/{c}"), (c,))
        for c in ("peak_channel_id", "quality", "isi_violations", "presence_ratio", "cluster_id")
    ],
    Case("no spike times", without("units/spike_times"), (ODD,)),
    Case("no index of spike times", without("units/spike_times_index"), (ODD,)),
    Case("ids of units twice", twice("units/id"), ("duplicate ids",)),
    Case("ids of units negative", put("units/id", 0, -5), ("non-negative whole numbers",)),
    Case("ids of units broken", column("units/id", [1.5, 2.5, 3.5]), ("integers",)),
    Case("ids of units are text", column("units/id", ["a", "../b", "c"]), (ODD,)),
    Case("ids of channels twice", twice(f"{ELECTRODES}/id"), ("duplicate ids",)),
    Case("channel that is not there", put("units/peak_channel_id", slice(None), 7), (ODD,)),
    Case("too few metrics", column("units/snr", [1.0]), (ODD,)),
    Case("metrics are text", column("units/isi_violations", ["a", "b", "c"]), (ODD,)),
    Case("too few areas", column(f"{ELECTRODES}/location", ["VISam"] * 3), (ODD,)),
    Case("areas are numbers", column(f"{ELECTRODES}/location", np.arange(48)), (ODD,)),
    Case("NaN in spike times", put("units/spike_times", 5, np.nan), ("unit", "not finite")),
    Case("infinite spike time", put("units/spike_times", 5, np.inf), ("unit", "not finite")),
    Case("spike times are text", column("units/spike_times", ["a"] * 9), (ODD,)),
    Case("index of spike times too far", put(ENDS, 2, 60_000), (ODD, "does not match")),
    Case("index of spike times too short", put(ENDS, 2, 700), (ODD, "does not match")),
    Case("index of spike times falls", put(ENDS, 0, 60_000), (ODD, "does not match")),
    Case("index of spike times too few", column("units/spike_times_index", [3]), (ODD,)),
    Case("start is NaN", put(f"{SCENES}/start_time", 3, np.nan), (ODD,)),
    Case("end is infinite", put(f"{SCENES}/stop_time", 3, np.inf), ("presentation", "inf")),
    Case("end before start", put(f"{SCENES}/stop_time", 3, 0.0), ("must start before it ends",)),
    Case("overlapping", put(f"{SCENES}/stop_time", 3, 1e6), ("overlap",)),
    Case("broken frame number", put(f"{SCENES}/frame", 3, 2.5), ("has frame 2.5",)),
    Case("frame number too large", put(f"{SCENES}/frame", 3, 1e300), ("frame",)),
    Case("frame number too small", put(f"{SCENES}/frame", 3, -2.0), ("frame -2",)),
    Case("no frame numbers", without(f"{SCENES}/frame"), ("'frame'",)),
    Case("too few frame numbers", column(f"{SCENES}/frame", [1.0, 2.0]), (ODD,)),
    Case("start times are text", column(f"{SCENES}/start_time", ["now"] * 10), (ODD,)),
    Case("no stimulus names", without(f"{SCENES}/stimulus_name"), (ODD,)),
    Case(
        "a column in another file",
        elsewhere("units/snr", lambda p: h5py.ExternalLink("other.nwb", "units/snr")),
        ("refers to data in other files", "units/snr", "other.nwb"),
    ),
    Case(
        "scenes in another file",
        elsewhere(SCENES, lambda p: h5py.ExternalLink("/etc/passwd", SCENES)),
        ("refers to data in other files", "/etc/passwd"),
    ),
    Case("bytes of another file", outside_data, ("refers to data in other files", "/etc/passwd")),
    Case("virtual data", virtual_data, ("refers to data in other files", "other.nwb")),
    Case(
        "a link to nowhere",
        elsewhere("units/snr", lambda p: h5py.SoftLink("/nowhere")),
        (ODD,),
    ),
    Case("a link to itself", elsewhere("units/snr", lambda p: h5py.SoftLink("/units/snr")), (ODD,)),
]  # fmt: skip


@named(CASES)
def test_a_broken_session_file_is_explained(case: Case, broken: Path, tried: Any) -> None:
    refused(
        lambda: read_session(case.write(broken), ("VISam",), Quality()), "broken.nwb", *case.says
    )
    tried("NWB", case.name)


def test_another_version_with_the_same_layout_is_the_same(broken: Path, good_nwb: Path) -> None:
    """The file contains its schema; the version number does not matter."""
    attribute("/", "nwb_version", "99.0.0")(broken)
    one, two = (read_session(path, ("VISam",), Quality()) for path in (broken, good_nwb))
    pd.testing.assert_frame_equal(one.scenes, two.scenes)
    pd.testing.assert_frame_equal(one.units, two.units)


def test_a_pickled_attribute_is_never_opened(broken: Path, tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "called",)

    attribute("units", "comment", np.void(pickle.dumps(Touch())))(broken)
    read_session(broken, ("VISam",), Quality())
    assert not (tmp_path / "called").exists()


@named([case for case in CASES if "refers to data in other files" in case.says])
def test_links_are_refused_wherever_a_session_is_opened(case: Case, broken: Path) -> None:
    """Also when the workflow looks up which stimuli were shown, and when a download is checked."""
    case.write(broken)
    session = {"source": "nwb", "nwb": str(broken), "images": "x"}
    refused(lambda: session_files(parse_config({"session": session}), broken.parent), *case.says)
    refused(lambda: check_session_file(broken, 7), *case.says)


@often(60)
@given(damage=damages)
def test_damaged_session_files(damage: Damage, good_nwb: Path, tmp_path: Path, tried: Any) -> None:
    """HDF5 has no check sums: what is read is a session in itself, if not always that one."""
    path = tmp_path / "damaged.nwb"
    data = damaged(good_nwb.read_bytes(), damage)
    path.write_bytes(data)
    try:
        session = read_session(path, ("VISam",), Quality())
    except MeiflowError as error:
        explained(error, "damaged.nwb")
        tried("random session files", digest(data))
        return
    assert all(
        np.isfinite(train).all() and (np.diff(train) >= 0).all() for train in session.spike_times
    )
    assert (session.scenes["stop_time"] > session.scenes["start_time"]).all()
    assert session.scenes["frame"].ge(-1).all()
