import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from meiflow.config.config import check_inputs, parse_config
from meiflow.errors import MeiflowError
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_stack_info, read_trials
from meiflow.stages.selection import select
from meiflow.stages.tables import build_tables
from meiflow.tables.stack import BinnedMovie


def test_tables_of_a_session(small_results, small_config):
    sizes = small_config.session.simulation
    trials = pd.read_csv(small_results.trials)
    assert trials.columns.tolist() == ["trial_id", "neuron_id", "spike_count", "image_id"]
    presentations = (sizes.frames + 1) * sizes.repeats
    assert len(trials) == presentations * sizes.units["VISam"]
    assert (trials["spike_count"] == 0).any()
    responses = read_responses(small_results)
    assert responses.image_ids.tolist() == list(range(sizes.frames))
    assert responses.images.shape == (sizes.frames, 60, 96)
    assert responses.images.dtype == np.float32
    assert 0 <= responses.images.min() < responses.images.max() <= 1
    info = read_stack_info(small_results)
    assert info.image_ids.tolist() == responses.image_ids.tolist()
    assert info.mean_luminance == pytest.approx(responses.images.mean(), rel=1e-6)
    assert info.mean_contrast == pytest.approx(responses.images.std((1, 2)).mean(), rel=1e-6)
    means = trials.groupby(["image_id", "neuron_id"])["spike_count"].mean().unstack()
    np.testing.assert_allclose(responses.means, means.loc[0:].to_numpy(), atol=1e-7)
    blank = pd.read_csv(small_results.blank_responses)
    np.testing.assert_allclose(blank.iloc[0, 1:].to_numpy(float), means.loc[-1], atol=1e-7)
    gabors = pd.read_csv(small_results.gabor_responses)
    assert len(gabors) == 243
    assert set(pd.read_csv(small_results.units)["area"]) == {"VISam"}
    assert read_trials(small_results).neuron_ids == responses.neuron_ids
    known = json.loads(small_results.unit_counts.read_text())
    # the simulated file has units of other areas, and some that each fail one filter
    assert sizes.units["VISam"] == known["passed"] < known["in_areas"]
    assert known["in_file"] >= known["in_areas"] + sizes.units["VISp"]
    gratings = pd.read_csv(small_results.grating_responses)
    assert len(gratings) == 120
    shown = pd.read_csv(small_results.presentations)
    assert shown["trial_id"].tolist() == trials["trial_id"].unique().tolist()
    assert shown["block"].nunique() == 3
    assert np.isfinite(shown["running_speed_cm_s"]).all()
    np.testing.assert_allclose(shown["stop_s"] - shown["start_s"], 0.25)


def test_images_and_responses_are_paired_by_number(tmp_path, rng):
    """The stack row and response row of a frame agree, whatever the order of trials."""
    stack = np.linspace(0, 1, 12)[:, None, None] * np.ones((12, 8, 12))
    np.save(tmp_path / "images.npy", stack)
    shown = rng.permutation(np.repeat([11, 2, 10, 5, 7], 3))
    pd.DataFrame(
        {"trial_id": range(15), "neuron_id": "n", "spike_count": shown, "image_id": shown}
    ).to_csv(tmp_path / "trials.csv", index=False)
    config = parse_config(
        {
            "session": {"source": "tables", "trials": str(tmp_path / "trials.csv")},
            "image": {"height": 8, "width": 12, "width_deg": 12.0, "height_deg": 8.0},
        }
    )
    results = Layout(tmp_path / "out")
    build_tables(config, results, tmp_path / "images.npy", None)
    responses = read_responses(results)
    assert responses.image_ids.tolist() == [2, 5, 7, 10, 11]
    np.testing.assert_allclose(responses.means[:, 0], responses.image_ids)
    np.testing.assert_allclose(responses.images[:, 0, 0], responses.image_ids / 11, atol=1e-6)
    assert not results.gabor_responses.exists()


def test_too_few_images(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((3, 8, 12)))
    pd.DataFrame(
        {"trial_id": range(3), "neuron_id": "n", "spike_count": 1, "image_id": range(3)}
    ).to_csv(tmp_path / "trials.csv", index=False)
    session = {"source": "tables", "trials": str(tmp_path / "trials.csv")}
    config = parse_config({"session": session, "image": {"width_deg": 9.0, "height_deg": 6.0}})
    results = Layout(tmp_path / "out")
    with pytest.raises(MeiflowError, match="at least 4 are required"):
        build_tables(config, results, tmp_path / "images.npy", None)
    assert not results.root.exists()


def test_the_source_must_be_that_of_the_configuration(tmp_path):
    results = Layout(tmp_path / "out")
    with pytest.raises(MeiflowError, match=r"session.source: simulated needs a session file"):
        build_tables(parse_config({}), results, tmp_path, None)
    tables = {"source": "tables", "trials": "t.csv", "images": "i.npy"}
    with pytest.raises(MeiflowError, match=r"session.source: tables uses .*, not --nwb"):
        build_tables(parse_config({"session": tables}), results, tmp_path, tmp_path / "s.nwb")


def test_the_screen_of_custom_tables_is_never_assumed(tmp_path):
    """Neither for tables nor for a folder; every degree would be that of another monitor."""
    for session in ({"source": "tables", "trials": "t.csv"}, {"source": "sensorium"}):
        config = parse_config({"session": session})
        with pytest.raises(MeiflowError, match="the visual angle that the images span, such as"):
            build_tables(config, Layout(tmp_path / "out"), tmp_path, None)


def movies_only(tmp_path, rng, bins=9, passes=3):
    """A user's tables of two neurons that saw nothing but a movie."""
    frames = 4 * bins
    (tmp_path / "stacks").mkdir()
    np.save(tmp_path / "stacks" / "clip.npy", rng.uniform(size=(frames, 8, 12)))
    repeat, frame = (a.ravel() for a in np.indices((passes, frames)))
    one, two = rng.poisson(2.0, (2, passes * frames))
    table = pd.DataFrame({"movie": "clip", "repeat": repeat, "frame": frame})
    both = [table.assign(neuron_id=n, spike_count=c) for n, c in (("b", one), ("a", two))]
    pd.concat(both).to_csv(tmp_path / "counts.csv", index=False)
    movies = {
        "shown": ["clip"],
        "counts": str(tmp_path / "counts.csv"),
        "stacks": str(tmp_path / "stacks"),
        "frames_per_bin": 4,
        "frame_rate_hz": 20.0,
        "width_deg": 60.0,
        "height_deg": 40.0,
    }
    image = {"height": 8, "width": 12, "width_deg": 60.0, "height_deg": 40.0}
    return parse_config({"session": {"source": "tables", "movies": movies}, "image": image}), one


def test_tables_of_movies_alone(tmp_path, rng):
    config, counts = movies_only(tmp_path, rng)
    check_inputs(config)
    results = Layout(tmp_path / "out")
    build_tables(config, results, None, None, movies=tmp_path / "stacks")
    responses = read_responses(results)
    assert responses.neuron_ids == ["b", "a"]
    assert responses.image_ids.tolist() == list(range(9))
    assert responses.movies == (BinnedMovie("clip", 9, 0.2),)
    np.testing.assert_allclose(
        responses.means[:, 0], counts.reshape(3, 9, 4).sum(axis=2).mean(axis=0)
    )
    frames = np.load(tmp_path / "stacks" / "clip.npy").reshape(9, 4, 8, 12).mean(axis=1)
    np.testing.assert_allclose(responses.images, frames, atol=1e-6)
    assert read_trials(results).counts.shape == (27, 2)
    select(config, results, SessionHas.found(results), allow_empty=True)
    rate = pd.read_csv(results.selection)["mean_rate_hz"][0]
    assert rate == pytest.approx(counts.sum() / (3 * 9 * 0.2))


def test_stimuli_that_a_downloaded_session_lacks_have_empty_tables(tmp_path):
    """The workflow expects their tables before it knows the type of the session."""
    from meiflow.stages.simulate import simulate

    sizes = {"units": {"VISam": 3}, "failing_fraction": 0.0, "repeats": 0, "gabor_repeats": 1}
    sizes |= {"grating_repeats": 0, "frame_height": 40, "frame_width": 40, "movie_frames": 64}
    sizes |= {"movie_repeats": {"natural_movie_one_more_repeats": 2}}
    results = Layout(tmp_path)
    simulate(parse_config({"session": {"simulation": sizes}}), results)
    assert not results.scenes.exists()
    movies = {"candidate_lags_s": [0.0, 0.05], "candidate_widths_s": [0.1]}
    config = parse_config({"session": {"source": "allen", "id": "5", "movies": movies}})
    build_tables(config, results, tmp_path / "none", results.session_file, movies=results.movies)
    assert read_stack_info(results).movies[0].bins == 8
    windows = np.load(results.movie_windows)
    assert (windows["lag_s"].tolist(), windows["width_s"].tolist()) == ([0.0, 0.05], [0.1, 0.1])
    assert windows["means"].shape[:2] == (2, 8)
    for path, columns in (
        (results.grating_responses, ["condition_id", "orientation", "spatial_frequency", "phase"]),
        (results.grating_trials, ["trial_id", "condition_id", "orientation"]),
    ):
        table = pd.read_csv(path)
        assert table.empty
        assert table.columns[: len(columns)].tolist() == columns
    assert len(pd.read_csv(results.gabor_responses)) == 243
    tuning = pd.read_csv(results.tuning)
    assert tuning["rf_x_deg"].notna().any()
    assert tuning["pref_orientation_deg"].isna().all()
    # scenes or movies, but not neither
    with pytest.raises(MeiflowError, match=r"no valid natural_scenes and none of the movies"):
        build_tables(config, results, tmp_path / "none", results.session_file)


def noted(folder: Path, stack: np.ndarray, image_ids: np.ndarray, counts: np.ndarray) -> list[str]:
    """Notes of the tables stage on a session in `folder`, without the name of the stack."""
    np.save(folder / "images.npy", stack)
    trials, neurons = counts.shape
    table = {"trial_id": np.repeat(np.arange(trials), neurons)}
    table |= {"neuron_id": np.tile(np.arange(neurons), trials), "spike_count": counts.ravel()}
    pd.DataFrame(table | {"image_id": np.repeat(image_ids, neurons)}).to_csv(
        folder / "trials.csv", index=False
    )
    given = {"source": "tables", "trials": str(folder / "trials.csv")}
    given |= {"images": str(folder / "images.npy")}
    config = parse_config({"session": given, "image": {"width_deg": 96.0, "height_deg": 60.0}})
    results = Layout(folder / "results")
    build_tables(config, results, folder / "images.npy", None)
    return [n.removeprefix(f"{folder}/images.npy: ") for n in json.loads(results.notes.read_text())]


def recorded(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, image ids of trials and counts of three neurons with linear receptive fields."""
    rng = np.random.default_rng(0)
    stack = gaussian_filter(rng.standard_normal((number, 30, 48)), (0, 2, 2))
    stack = (0.5 + 0.2 * stack / stack.std()).clip(0, 1)
    shown = np.repeat(np.arange(number), 6)
    drive = np.stack([stack[:, r, c] for r, c in ((10, 12), (15, 30), (20, 20))], axis=1)
    return stack, shown, rng.poisson(0.3 + 20 * (drive[shown] - 0.4).clip(0))


def test_a_stack_in_order_gives_no_note(tmp_path):
    assert noted(tmp_path, *recorded(50)) == []


def test_ids_from_one_for_a_stack_with_one_more_image_are_noted(tmp_path):
    stack, shown, counts = recorded(50)
    # image 50, which was never shown, makes the ids fit
    more = np.concatenate([stack, stack[:1]])
    unshown, shifted = noted(tmp_path, more, shown + 1, counts)
    assert unshown.startswith("1 of 51 images were never shown (0); the ids start at 1")
    assert shifted.endswith("if the ids count from 1, subtract 1")


def test_ids_from_one_that_do_not_fit_are_refused_with_advice(tmp_path):
    stack, shown, counts = recorded(50)
    with pytest.raises(MeiflowError, match=r"lacks frame 50, .* or subtract 1 if the ids count"):
        noted(tmp_path, stack, shown + 1, counts)


def test_exchanged_axes_that_fit_by_chance_are_noted(tmp_path):
    stack, shown, counts = recorded(20)
    last = noted(tmp_path, np.moveaxis(stack, 0, -1), shown, counts)
    assert any("along the last axis of the stack" in note for note in last)
    turned = noted(tmp_path, np.swapaxes(stack, 1, 2), shown, counts)
    assert any("rows and columns are probably exchanged" in note for note in turned)
