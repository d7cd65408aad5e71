"""Folders in the layout of Sensorium 2022: as published, damaged, exported and read again."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from meiflow.config.config import check_inputs, parse_config
from meiflow.errors import MeiflowError
from meiflow.io.files import write_csv
from meiflow.models.cross_validate import fit_all
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.session.dataset import Dataset
from meiflow.session.sensorium import read_sensorium
from meiflow.stages.check import describe_inputs
from meiflow.stages.export import export_session
from meiflow.stages.tables import build_tables

SHAPE = (9, 16)
TRAIN, VALIDATION, TEST, REPEATS = 30, 6, 5, 8


@pytest.fixture
def scan(tmp_path, rng):
    """A folder as published: files in random order, test images repeated, others shown once."""
    n_once = TRAIN + VALIDATION
    ids = np.concatenate([100 + np.arange(n_once), np.repeat(7 + np.arange(TEST), REPEATS)])
    tiers = np.repeat(["train", "validation", "test"], [TRAIN, VALIDATION, TEST * REPEATS])
    pictures = {i: rng.integers(0, 256, (1, 18, 32)).astype(np.uint8) for i in np.unique(ids)}
    drive = np.array([pictures[i][0, :9].mean() for i in ids])
    responses = np.stack([drive - 120, rng.normal(size=len(ids)), 130 - drive], 1)
    responses[:, ::2] += rng.normal(0, 1, (len(ids), 2))
    order = rng.permutation(len(ids))
    root = tmp_path / "static1-2-3"
    for name in ("images", "responses", "behavior", "pupil_center"):
        (root / "data" / name).mkdir(parents=True)
    for file, trial in enumerate(order):
        np.save(root / "data" / "images" / f"{file}.npy", pictures[ids[trial]])
        np.save(root / "data" / "responses" / f"{file}.npy", responses[trial])
        np.save(root / "data" / "behavior" / f"{file}.npy", np.zeros((1, 3)))
        np.save(root / "data" / "pupil_center" / f"{file}.npy", np.zeros((1, 2)))
    meta = {
        "trials/tiers": tiers[order], "trials/frame_image_id": ids[order],
        "trials/trial_idx": order, "neurons/unit_ids": np.array([11, 12, 13]),
        "neurons/area": np.array(["V1", "V1", "LM"]), "neurons/layer": np.array(["L2/3"] * 3),
    }  # fmt: skip
    for name, values in meta.items():
        path = root / "meta" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
    return root, ids, tiers, responses, pictures


def config_of(folder, **own):
    session = {"source": "sensorium", "id": "scan", "sensorium": {"folder": str(folder)} | own}
    image = {"height": 9, "width": 16, "width_deg": 100.0, "height_deg": 56.0}
    return parse_config({"session": session, "image": image})


def test_a_scan_is_read_as_it_was_recorded(scan):
    root, ids, tiers, responses, pictures = scan
    found = read_sensorium(root, (18, 32))
    np.testing.assert_array_equal(found.image_ids, ids)  # in order of presentation
    np.testing.assert_array_equal(found.tiers, tiers)
    np.testing.assert_allclose(found.responses, responses, rtol=1e-6)
    for i, image in zip(found.shown, found.images, strict=True):
        np.testing.assert_allclose(255 * image, pictures[i][0], atol=1e-3)
    assert found.tested.sum() == TEST


def test_tables_and_checks(scan, tmp_path):
    root, _, _, responses, _ = scan
    config = config_of(root, most_reliable=2)
    check_inputs(config)
    lines = describe_inputs(config, Dataset(config).files_of("scan"))
    assert lines[0].startswith("images: 41 of the folder, 5 for testing only, used at 9 x 16")
    assert lines[1] == "trials: 76, of 41 images (1 to 8 repeats, median 1), no blanks"
    assert "note: trials: 36 of 41 are shown only once" in lines
    results = Layout(tmp_path / "results")
    build_tables(config, results, None, None)
    trials = read_trials(results)
    assert trials.neuron_ids == ["11", "13"]
    np.testing.assert_allclose(trials.counts, responses[:, ::2], rtol=1e-6)
    read = read_responses(results)
    assert read.image_ids[read.tests].tolist() == (7 + np.arange(TEST)).tolist()
    # pictures of 16 : 9 on a square are told, in degrees that the angle gives
    image = config.image.model_copy(update={"height_deg": 100.0})
    square = config.model_copy(update={"image": image})
    lines = describe_inputs(square, Dataset(square).files_of("scan"))
    assert any(line.startswith(f"note: {root}: pixels are not square: ") for line in lines)
    only = config_of(root, area="LM")
    assert "3 in the folder, 1 used" in describe_inputs(only, Dataset(only).files_of("scan"))[2]


def test_models_never_see_the_test_images(scan, tmp_path):
    """Neither those that are scored nor the final ones: other responses to them change nothing."""
    config = config_of(scan[0])
    results = Layout(tmp_path / "results")
    build_tables(config, results, None, None)
    read = read_responses(results)
    other = read.means.copy()
    other[read.tests] = np.random.default_rng(1).normal(0, 50, (TEST, 3))
    model = config.model.model_copy(
        update={"base_models": ["v1", "ln"], "stride": 4, "folds": 4, "wavelengths_deg": [30.0]}
    )
    given = np.ones(41), config.image.geometry, model, 0
    first, second = (
        fit_all(read.images, means, *given, real=True, tests=read.tests)
        for means in (read.means, other)
    )
    assert first.held_out[0].tolist() == np.flatnonzero(read.tests).tolist()
    ours, theirs = (f.predictions["model"][read.tests] for f in (first, second))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3 * np.abs(ours).max())
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "data/responses/3.npy").unlink(), "data/responses lacks 3.npy"),
        (lambda r: (r / "data/images/3.npy").unlink(), "data/images lacks 3.npy"),
        (lambda r: (r / "meta/trials/tiers.npy").unlink(), "meta/trials/tiers.npy is missing"),
        (lambda r: np.save(r / "data/responses/3.npy", np.ones(2)), "different length"),
        (lambda r: np.save(r / "data/responses/3.npy", np.full(3, np.nan)), "expected finite"),
        (lambda r: (r / "data/images/3.npy").write_bytes(b"x"), "3.npy cannot be read"),
        (
            lambda r: [np.save(f, np.zeros((2, 9, 16))) for f in (r / "data/images").iterdir()],
            r"has shape \(2, 9, 16\); expected one channel of luminance",
        ),
        (
            lambda r: np.save(r / "meta/neurons/unit_ids.npy", np.zeros(3, int)),
            "unit_ids.npy contains an id twice",
        ),
        (
            lambda r: np.save(r / "meta/trials/tiers.npy", np.array([{}], dtype=object)),
            "tiers.npy cannot be read",
        ),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(damage, message, scan):
    damage(scan[0])
    with pytest.raises(MeiflowError, match=message) as error:
        read_sensorium(scan[0], SHAPE)
    assert "\n" not in str(error.value)


def test_withheld_responses_are_left_out(scan):
    root, _, tiers, *_ = scan
    for file in (root / "data" / "responses").iterdir():
        trial = np.load(root / "meta/trials/trial_idx.npy")[int(file.stem)]
        if tiers[trial] == "test":
            np.save(file, np.zeros(3))
    found = read_sensorium(root, SHAPE)
    assert found.withheld == ("test",)
    assert len(found.trials) == (tiers != "test").sum()
    config = config_of(root, most_reliable=2)
    with pytest.raises(MeiflowError, match="no image was repeated in the trials with responses"):
        describe_inputs(config, Dataset(config).files_of("scan"))


def test_wrong_keys_are_refused(scan):
    files = Dataset(config_of(scan[0])).files_of("scan")
    for own, message in (
        ({"area": "V2"}, "no neuron in 'V2'.*the areas are LM, V1"),
        ({"neurons": ["14"]}, "neurons: no neuron '14'"),
    ):
        with pytest.raises(MeiflowError, match=message):
            describe_inputs(config_of(scan[0], **own), files)
    with pytest.raises(MeiflowError, match="source sensorium needs a folder here"):
        check_inputs(parse_config({"session": {"source": "sensorium"}}))
    with pytest.raises(MeiflowError, match="accepted only with source sensorium"):
        check_inputs(parse_config({"session": {"sensorium": {"folder": str(scan[0])}}}))


def test_an_exported_session_is_read_as_the_same(scan, tmp_path):
    results, out = Layout(tmp_path / "results"), tmp_path / "exported"
    build_tables(config_of(scan[0]), results, None, None)
    assert "(5 test, 32 train, 4 validation)" in export_session(results, "sensorium", out)
    again = Layout(tmp_path / "again")
    build_tables(config_of(out), again, None, None)
    first, second = read_trials(results), read_trials(again)
    assert first.neuron_ids == second.neuron_ids
    np.testing.assert_array_equal(first.image_ids, second.image_ids)
    np.testing.assert_allclose(first.counts, second.counts, rtol=1e-6)
    np.testing.assert_allclose(read_responses(results).images, read_responses(again).images)
    info = [json.loads(r.image_info.read_text())["test_images"] for r in (results, again)]
    assert info[0] == info[1]
    spread = np.load(out / "meta/statistics/responses/all/std.npy")
    training = np.load(out / "meta/trials/tiers.npy") == "train"
    stored = np.stack([np.load(out / f"data/responses/{i}.npy") for i in range(len(training))])
    np.testing.assert_allclose(spread, stored[training].std(axis=0), rtol=1e-5)
    with pytest.raises(MeiflowError, match="exists; give a new folder"):
        export_session(results, "sensorium", out)


def test_an_experanto_folder_interpolates_to_the_trials(scan, tmp_path):
    """By the rules of experanto's interpolators: the last onset, and the sample of that time."""
    results, out = Layout(tmp_path / "results"), tmp_path / "experiment"
    build_tables(config_of(scan[0]), results, None, None)
    export_session(results, "experanto", out, trial_s=0.5)
    trials, read = read_trials(results), read_responses(results)
    about = yaml.safe_load((out / "responses" / "meta.yml").read_text())
    assert about["modality"] == "sequence"
    onsets = np.load(out / "screen" / "timestamps.npy")
    times = np.array([0.1, 3.2, 20.7])
    frames = np.searchsorted(onsets, times + 1e-4) - 1
    samples = np.floor((times - about["start_time"]) * about["sampling_rate"]).astype(int)
    np.testing.assert_array_equal(frames, samples)
    values = np.load(out / "responses" / "data.npy")
    assert values.shape == (about["n_timestamps"], about["n_signals"])
    np.testing.assert_allclose(values[samples], trials.counts[frames], rtol=1e-6)
    for frame in frames:
        shown = yaml.safe_load((out / "screen" / "meta" / f"{frame:05d}.yml").read_text())
        image = np.load(out / "screen" / "data" / f"{frame:05d}.npy")
        assert (shown["modality"], shown["first_frame_idx"], shown["num_frames"]) == (
            "image", frame, 1,
        )  # fmt: skip
        assert tuple(shown["image_size"]) == image.shape
        own = read.images[read.image_ids == trials.image_ids[frame]][0]
        np.testing.assert_allclose(image, 255 * own, rtol=1e-5)


def test_an_export_goes_by_ids_and_is_whole_or_absent(scan, tmp_path, monkeypatch):
    results, out = Layout(tmp_path / "results"), tmp_path / "out" / "exported"
    build_tables(config_of(scan[0]), results, None, None)
    units = pd.read_csv(results.units, dtype={"neuron_id": str})
    write_csv(units.iloc[::-1], results.units)  # another order than the columns of the trials
    export_session(results, "sensorium", out)
    names = np.load(out / "meta/neurons/unit_ids.npy").astype(str)
    areas = dict(zip(names, np.load(out / "meta/neurons/area.npy"), strict=True))
    assert areas == dict(zip(units["neuron_id"], units["area"], strict=True))
    shutil.rmtree(out)
    written = []

    def full(path, *args, **kwargs):
        if len(written) == 9:
            raise OSError(28, "No space left on device")
        written.append(path)
        return save(path, *args, **kwargs)

    save = np.save
    monkeypatch.setattr(np, "save", full)
    for layout in ("sensorium", "experanto"):
        written.clear()
        with pytest.raises(OSError, match="No space"):
            export_session(results, layout, out)
        assert list(out.parent.iterdir()) == []
    write_csv(units.iloc[1:], results.units)
    with pytest.raises(MeiflowError, match=r"units.csv: no neuron 11; rebuild the tables"):
        export_session(results, "sensorium", out)
