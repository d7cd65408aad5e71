"""Gaze from a session file to the models."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv, write_csv
from meiflow.models.gaze import GAZE_COLUMNS
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.session.sdk import _restore_numpy_names
from meiflow.stages.fit_models import fit_models
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.stages.trial_gaze import gaze_views
from tests.stages.test_fit_models import CONFIG, write_tables

NWB = SessionHas(spike_times=True)
MOVING = parse_config(
    {
        "seed": 2,
        "session": {
            "area": "VISp",
            "simulation": {
                "statistics": "ideal",
                "mean_rate_hz": 12.0,
                "units": {"VISp": 4},
                "kinds": ["simple"],
                "failing_fraction": 0.0,
                "untuned_fraction": 0.0,
                "frames": 30,
                "repeats": 16,
                "gabor_repeats": 0,
                "grating_repeats": 0,
                "gaze_sd_deg": 6.0,
                "gain_drift": 0.0,
                "frame_height": 60,
                "frame_width": 76,
            },
        },
        "image": {"height": 30, "width": 48},
        "model": {
            "base_models": ["v1"],
            "wavelengths_deg": [16.0, 22.6],
            "orientations": 4,
            "stride": 3,
            "folds": 3,
            "ln": {"penalties": [0.01], "widths_deg": [16.0]},
            "gabor_energy": {"starts": 1, "steps": 1},
            "gaze": "auto",
        },
    }
)


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Tables of a simulated session whose receptive fields follow the eye."""
    results = Layout(tmp_path_factory.mktemp("gaze"))
    simulate(MOVING, results)
    build_tables(MOVING, results, results.scenes, results.session_file)
    return results


def test_gaze_is_in_the_presentations_as_allensdk_reads_it(moving):
    _restore_numpy_names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

        gaze = EcephysSession.from_nwb_path(str(moving.session_file)).get_screen_gaze_data()
    table = read_csv(moving.presentations)
    for axis in "xy":
        samples = gaze[f"raw_screen_coordinates_spherical_{axis}_deg"]
        row = table.iloc[40]
        within = samples[(samples.index >= row["start_s"]) & (samples.index < row["stop_s"])]
        assert row[f"gaze_{axis}_deg"] == pytest.approx(within.mean(), abs=1e-6)
    spread = table[["gaze_x_deg", "gaze_y_deg"]].std()
    assert spread["gaze_x_deg"] == pytest.approx(6.0, rel=0.3)
    assert spread["gaze_y_deg"] == pytest.approx(3.0, rel=0.3)


def test_models_of_a_session_with_eye_movements_use_them(moving):
    fit_models(MOVING, moving, NWB, 1)
    table = read_csv(moving.gaze)
    assert table.columns.tolist() == ["fold", *GAZE_COLUMNS]
    assert table["fold"].tolist() == ["1", "2", "3", "all"]
    assert (table["used"] == "xy").all()
    assert (table["r2_xy"] > table["r2_unshifted"] + 0.02).all()


def with_model(**keys):
    return CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update=keys)})


@pytest.fixture
def results(tmp_path):
    """15 images with four trials each, of 4 neurons."""
    results = Layout(tmp_path)
    write_tables(results)
    return results


def write_presentations(results, **gaze):
    table = pd.DataFrame({"trial_id": range(60), "block": 0, "start_s": 0.25 * np.arange(60)})
    write_csv(table.assign(**gaze).iloc[::-1], results.presentations)


def views(results, has=NWB, **keys):
    config = with_model(**keys)
    responses = read_responses(results, config.image.geometry)
    return gaze_views(config, results, has, read_trials(results), responses)


KNOWN = np.where(np.arange(60) % 4 < 2, 5.0, np.nan)


@pytest.mark.parametrize(
    ("has", "gaze", "reason"),
    [
        (SessionHas(), {}, "gaze is only known from a session file"),
        (NWB, {}, "no recorded gaze"),
        (NWB, {"gaze_x_deg": np.nan, "gaze_y_deg": 0.0}, "known in only 0 % of the trials"),
    ],
)
def test_without_gaze_auto_does_without_and_shift_is_refused(results, has, gaze, reason):
    write_presentations(results, **gaze)
    assert views(results, has, gaze="none") is None
    assert views(results, has, gaze="auto") is None
    with pytest.raises(MeiflowError, match=rf"model\.gaze: shift was requested, but .*{reason}"):
        views(results, has, gaze="shift")


def test_gaze_in_half_of_the_trials_is_enough(results):
    write_presentations(results, gaze_x_deg=KNOWN, gaze_y_deg=KNOWN)
    found = views(results, gaze="shift")
    assert found.always
    assert found.images.shape == (2, 15, 4, 12, 16)
    means = read_responses(results, CONFIG.image.geometry).means
    np.testing.assert_allclose(found.means.mean(axis=1), means)


def test_gain_and_gaze_exclude_each_other(results):
    write_presentations(results, gaze_x_deg=KNOWN, gaze_y_deg=KNOWN)
    with pytest.raises(MeiflowError, match=r"cannot be combined with model\.gain: population"):
        views(results, gaze="auto", gain="population")


def test_the_table_has_no_rows_without_gaze_and_is_removed_with_none(results):
    write_presentations(results)
    fit_models(with_model(gaze="auto"), results, NWB, 1)
    assert not len(read_csv(results.gaze))
    fit_models(with_model(gaze="none"), results, NWB, 1)
    assert not results.gaze.exists()
