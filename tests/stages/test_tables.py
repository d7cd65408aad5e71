import json

import numpy as np
import pandas as pd
import pytest
from meiflow.tables.load import load_responses, load_trials

from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.stages.tables import build_tables
from meiflow.tables.stack import read_stack


def test_tables_of_a_session(small_tables, small_config):
    sizes = small_config.session.simulation
    trials = pd.read_csv(small_tables / "trials.csv")
    assert trials.columns.tolist() == ["trial_id", "neuron_id", "spike_count", "image_id"]
    presentations = (sizes.frames + 1) * sizes.repeats
    assert len(trials) == presentations * sizes.units["VISam"]
    assert (trials["spike_count"] == 0).any()
    responses = load_responses(small_tables)
    assert responses.image_ids.tolist() == list(range(sizes.frames))
    assert responses.images.shape == (sizes.frames, 60, 96)
    assert responses.images.dtype == np.float32
    assert 0 <= responses.images.min() < responses.images.max() <= 1
    means = trials.groupby(["image_id", "neuron_id"])["spike_count"].mean().unstack()
    np.testing.assert_allclose(responses.means, means.loc[0:].to_numpy(), atol=1e-7)
    blank = pd.read_csv(small_tables / "blank_responses.csv")
    np.testing.assert_allclose(blank.iloc[0, 1:].to_numpy(float), means.loc[-1], atol=1e-7)
    gabors = pd.read_csv(small_tables / "gabor_responses.csv")
    assert len(gabors) == 243
    assert set(pd.read_csv(small_tables / "units.csv")["area"]) == {"VISam"}
    assert load_trials(small_tables).neuron_ids == responses.neuron_ids
    known = json.loads((small_tables / "units.json").read_text())
    # the simulated file holds units of other areas, and some that fail a filter each
    assert sizes.units["VISam"] == known["passed"] < known["in_areas"]
    assert known["in_file"] >= known["in_areas"] + sizes.units["VISp"]
    gratings = pd.read_csv(small_tables / "grating_responses.csv")
    assert len(gratings) == 120
    shown = pd.read_csv(small_tables / "presentations.csv")
    assert shown["trial_id"].tolist() == trials["trial_id"].unique().tolist()
    assert shown["block"].nunique() == 3
    assert np.isfinite(shown["running_speed_cm_s"]).all()
    np.testing.assert_allclose(shown["stop_s"] - shown["start_s"], 0.25)


def test_images_and_responses_are_paired_by_number(tmp_path, rng):
    """Stack row and response row of a frame agree whatever the order of trials."""
    stack = np.linspace(0, 1, 12)[:, None, None] * np.ones((12, 8, 12))
    np.save(tmp_path / "images.npy", stack)
    shown = rng.permutation(np.repeat([11, 2, 10, 5, 7], 3))
    pd.DataFrame(
        {"trial_id": range(15), "neuron_id": "n", "spike_count": shown, "image_id": shown}
    ).to_csv(tmp_path / "trials.csv", index=False)
    config = parse_config(
        {
            "session": {"source": "tables", "trials": str(tmp_path / "trials.csv")},
            "image": {"height": 8, "width": 12},
        }
    )
    build_tables(config, tmp_path / "images.npy", None, tmp_path / "out")
    responses = load_responses(tmp_path / "out")
    assert responses.image_ids.tolist() == [2, 5, 7, 10, 11]
    np.testing.assert_allclose(responses.means[:, 0], responses.image_ids)
    np.testing.assert_allclose(responses.images[:, 0, 0], responses.image_ids / 11, atol=1e-6)
    assert not (tmp_path / "out" / "gabor_responses.csv").exists()


def test_too_few_images_and_damaged_results(tmp_path, small_tables):
    np.save(tmp_path / "images.npy", np.zeros((3, 8, 12)))
    pd.DataFrame(
        {"trial_id": range(3), "neuron_id": "n", "spike_count": 1, "image_id": range(3)}
    ).to_csv(tmp_path / "trials.csv", index=False)
    config = parse_config({"session": {"source": "tables", "trials": str(tmp_path / "trials.csv")}})
    with pytest.raises(MeiflowError, match="at least 4 are needed"):
        build_tables(config, tmp_path / "images.npy", None, tmp_path / "out")
    responses = load_responses(small_tables)
    with pytest.raises(MeiflowError, match=r"neuron 'x1' is not in this session"):
        responses.column("x1")
    copy = tmp_path / "t"
    copy.mkdir()
    for name in ("responses.csv", "images.npy"):
        (copy / name).write_bytes((small_tables / name).read_bytes())
    with pytest.raises(MeiflowError, match=r"images\.json: missing or not readable"):
        load_responses(copy)
    about = json.loads((small_tables / "images.json").read_text())
    (copy / "images.json").write_text(json.dumps(about | {"image_ids": [*range(1, 41)]}))
    with pytest.raises(MeiflowError, match=r"40 images but responses\.csv 40 rows, or others"):
        load_responses(copy)
    (copy / "images.json").write_text(json.dumps(about))
    np.save(copy / "images.npy", np.zeros((2, 4, 4)))
    with pytest.raises(MeiflowError, match=r"shape \(2, 4, 4\) but images.json describes 40"):
        load_responses(copy)


def test_the_geometry_travels_with_the_images(small_tables):
    about = json.loads((small_tables / "images.json").read_text())
    assert about["image_ids"] == list(range(40))
    assert about["deg_per_pixel_x"] == pytest.approx(1.2629, abs=1e-4)
    assert about["deg_per_pixel_y"] == pytest.approx(1.58)
    assert read_stack(small_tables, Geometry(60, 96))[1].shape == (40, 60, 96)
    with pytest.raises(MeiflowError, match=r"image.width_deg: the images in .* with 121.24, .* 90"):
        read_stack(small_tables, Geometry(60, 96, width_deg=90))
