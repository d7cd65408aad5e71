"""Faults of session files: read, noted, or refused with advice that helps."""

import logging
import shutil
import subprocess
import sys
from itertools import pairwise

import h5py
import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.progress import collect_notes
from meiflow.session.download import check_session_file
from meiflow.session.nwb_checks import require_self_contained, unreadable
from meiflow.session.recording import read_session
from meiflow.session.source import session_files
from meiflow.session.transfer import FetchError

SCENES = "intervals/natural_scenes_presentations"
AREA = ("VISam",)


@pytest.fixture(scope="module")
def good(small_session):
    return read_session(small_session.session_file, AREA, Quality())


@pytest.fixture
def copy(small_session, tmp_path):
    return shutil.copy(small_session.session_file, tmp_path / "session.nwb")


def replace(path, name, change):
    """Replace the column `name` by `change` of its values."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        values = change(file[name][:])
        del file[name]
        text = values.dtype.kind in "OUS"
        file.create_dataset(name, data=values, dtype=h5py.string_dtype() if text else None)
        file[name].attrs.update(attributes)


def text(*rows, value="im065_r"):
    """The same values as text, some of them replaced."""

    def change(values):
        words = np.array([str(v) for v in values], dtype=object)
        words[list(rows)] = value
        return words

    return change


def test_frames_that_are_names_are_refused(copy):
    replace(copy, f"{SCENES}/frame", lambda v: np.array([f"im{int(i):03d}" for i in v], object))
    with pytest.raises(MeiflowError, match=r"of natural_scenes in .* has frame 'im\d+'; expected"):
        read_session(copy, AREA, Quality())


def test_one_frame_that_is_a_name_is_refused_and_not_excluded(copy):
    replace(copy, f"{SCENES}/frame", text(5))
    with pytest.raises(MeiflowError, match=r"has frame 'im065_r'; expected a number"):
        read_session(copy, AREA, Quality())


def test_numbers_as_text_are_numbers(copy, good):
    replace(copy, f"{SCENES}/frame", text())
    same = read_session(copy, AREA, Quality())
    np.testing.assert_array_equal(same.scenes["frame"], good.scenes["frame"])


def test_a_parameter_that_is_a_name_is_refused(copy):
    replace(copy, "intervals/gabors_presentations/orientation", text(3, value="vertical"))
    with pytest.raises(MeiflowError, match=r"gabors .* has orientation 'vertical'; expected a num"):
        read_session(copy, AREA, Quality())


def test_no_parameter_at_all_is_refused(copy):
    replace(copy, "intervals/gabors_presentations/x_position", lambda v: np.full(len(v), np.nan))
    with pytest.raises(MeiflowError, match=r"gabors .* has no value of x_position in any"):
        read_session(copy, AREA, Quality())


def test_blanks_are_excluded_with_a_note(copy, good):
    replace(copy, "intervals/static_gratings_presentations/phase", text(0, 1, value="null"))
    with collect_notes() as notes:
        session = read_session(copy, AREA, Quality())
    gratings = session.conditions["static_gratings"]
    assert len(gratings) == len(good.conditions["static_gratings"]) - 2
    assert any("static_gratings: excluded 2 of" in note for note in notes)


def test_trials_of_a_task_are_not_needed(copy, good):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(copy), "r+") as io:
        file = io.read()
        file.add_trial_column("go", "go trial")
        file.add_trial(start_time=1.0, stop_time=2.0, go=True)
        io.write(file)
    session = read_session(copy, AREA, Quality())
    np.testing.assert_array_equal(session.scenes, good.scenes)


def test_invalid_times_without_tags_apply_to_all_probes(copy, good):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(copy), "r+") as io:
        file = io.read()
        file.add_invalid_time_interval(start_time=1.0, stop_time=2.0)
        io.write(file)
    with collect_notes() as notes:
        session = read_session(copy, AREA, Quality())
    assert session.lost.tolist() == [[1.0, 2.0]]
    assert notes == ["invalid_times have no tags; they are taken to apply to all probes"]


def test_colours_that_are_names_are_not_needed(copy, good):
    with h5py.File(copy, "r+") as file:
        table = file["intervals/gabors_presentations"]
        kind = h5py.string_dtype()
        column = table.create_dataset("color", data=["red"] * len(table["id"]), dtype=kind)
        column.attrs.update(table["start_time"].attrs)
        column.attrs["object_id"] = "00000000-0000-4000-8000-000000000000"
        names = [*table.attrs["colnames"], "color"]
        table.attrs["colnames"] = np.array(names, dtype=object)
    session = read_session(copy, AREA, Quality())
    np.testing.assert_array_equal(session.conditions["gabors"], good.conditions["gabors"])


@pytest.mark.parametrize("some", [False, True])
def test_missing_blocks_are_found_from_the_order(copy, good, some):
    """All of them, or those of some presentations: none is lost, and the blocks are the same."""

    def change(values):
        values[:: 3 if some else 1] = np.nan
        return values

    replace(copy, f"{SCENES}/stimulus_block", change)
    with collect_notes() as notes:
        scenes = read_session(copy, AREA, Quality()).scenes
    assert len(scenes) == len(good.scenes)
    order = np.unique(good.scenes["block"], return_inverse=True)[1]
    np.testing.assert_array_equal(np.unique(scenes["block"], return_inverse=True)[1], order)
    if some:
        np.testing.assert_array_equal(scenes["block"], good.scenes["block"])
    assert any("have no stimulus_block; it is determined from the order" in n for n in notes)


def test_a_file_without_blocks(copy, good):
    with h5py.File(copy, "r+") as file:
        del file[f"{SCENES}/stimulus_block"]
        names = [n for n in file[SCENES].attrs["colnames"] if n != "stimulus_block"]
        file[SCENES].attrs["colnames"] = names
    scenes = read_session(copy, AREA, Quality()).scenes
    assert scenes["block"].nunique() == good.scenes["block"].nunique()


METRICS = {
    "isi_violations": "isi_violations_max",
    "amplitude_cutoff": "amplitude_cutoff_max",
    "presence_ratio": "presence_ratio_min",
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_without_values_names_its_filter_which_can_be_switched_off(copy, good, metric):
    replace(copy, f"units/{metric}", lambda v: np.full(len(v), np.nan))
    key = METRICS[metric]
    message = rf"session.quality.{key} [\d.]+ excludes all \d+, because none has a value \(NaN\)"
    with pytest.raises(MeiflowError, match=f"{message}; use null to switch this filter off"):
        read_session(copy, AREA, Quality())
    session = read_session(copy, AREA, Quality(**{key: None}))
    assert set(good.units.index) <= set(session.units.index)
    assert session.units[metric].isna().all()


def test_a_unit_without_a_value_is_noted(copy, good):
    unit = good.units.index[0]
    with h5py.File(copy, "r+") as file:
        row = file["units/id"][:].tolist().index(unit)
        file["units/presence_ratio"][row] = np.nan
    with collect_notes() as notes:
        session = read_session(copy, AREA, Quality())
    assert set(good.units.index) - set(session.units.index) == {unit}
    assert any("presence_ratio_min 0.95 excludes" in n and "1 of them without" in n for n in notes)
    assert set(read_session(copy, AREA, Quality(presence_ratio_min=None)).units.index) > {unit}


def test_every_filter_is_counted(good):
    steps = good.filters
    assert steps[0].left + steps[0].excluded == good.found[1]
    for before, after in pairwise(steps):
        assert before.left == after.left + after.excluded
    assert steps[-1].left == len(good.units)


def test_units_that_are_not_labelled_good(copy):
    replace(copy, "units/quality", lambda v: np.array(["mua"] * len(v), object))
    with pytest.raises(MeiflowError, match="none has the label 'good' and a valid chan"):
        read_session(copy, AREA, Quality())


def test_a_file_open_for_writing_elsewhere(copy):
    code = (
        f"import h5py, sys; f = h5py.File({str(copy)!r}, 'r+', locking=True); print('open', "
        "flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        config = parse_config({"session": {"source": "nwb", "nwb": str(copy), "images": "x"}})
        for action in (
            lambda: read_session(copy, AREA, Quality()),
            lambda: session_files(config, copy.parent),
            lambda: check_session_file(copy, 7),
        ):
            with pytest.raises(MeiflowError, match="is open for writing in another") as caught:
                action()
            assert "download" not in str(caught.value)
            assert not isinstance(caught.value, FetchError)  # which would remove or replace it
        writer.communicate(b"")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("unable to lock file, errno = 37, error message = 'No locks available'", "HDF5_USE_FILE"),
        ("[Errno 13] Unable to open file: Permission denied", "change its permissions"),
        ("Input/output error", "run again"),
        ("truncated file: eof = 96", "if it is damaged, download it again"),
    ],
)
def test_advice_fits_the_reason(copy, monkeypatch, reason, advice):
    assert advice in str(unreadable(copy, "NWB", reason))

    def fail(*_args, **_kwargs):
        raise OSError(reason)

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(MeiflowError, match=advice):
        require_self_contained(copy)


def test_notes_are_logged(copy, caplog):
    caplog.set_level(logging.INFO)
    replace(copy, f"{SCENES}/stimulus_block", lambda v: np.full(len(v), np.nan))
    read_session(copy, AREA, Quality())
    assert "have no stimulus_block" in caplog.text
