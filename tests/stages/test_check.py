"""What ``meiflow check`` says of inputs, and that the same notes are kept with the tables."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from meiflow.cli.app import app
from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.results.layout import Layout
from meiflow.session.dataset import Dataset
from meiflow.stages.check import describe_inputs
from meiflow.stages.tables import build_tables
from tests.known import SILENT_MODULE

FACTOR = 4


@pytest.fixture
def folder(tmp_path, rng):
    """Six of eight images, ten times each: neuron a responds, b is silent."""
    np.save(tmp_path / "images.npy", rng.uniform(size=(8, 8, 12)))
    shown = rng.permutation(np.repeat(np.arange(6), 10))
    rows = pd.DataFrame({"trial_id": np.repeat(np.arange(60), 2)})
    rows["neuron_id"] = np.tile(["a", "b"], 60)
    counts = np.column_stack([rng.poisson(1 + shown), np.zeros(60, int)])
    rows["spike_count"] = counts.ravel()
    rows["image_id"] = np.repeat(shown, 2)
    rows.to_csv(tmp_path / "trials.csv", index=False)
    return tmp_path


def document(folder, **sections):
    session = {"source": "tables", "id": "mine", "trials": str(folder / "trials.csv")}
    session |= {"images": str(folder / "images.npy")} | sections.pop("session", {})
    image = {"height": 8, "width": 12, "width_deg": 12.0, "height_deg": 8.0}
    return {"session": session, "image": image} | sections


def described(folder, **sections):
    data = Dataset(parse_config(document(folder, **sections)))
    return describe_inputs(data.config_of("mine"), data.files_of("mine"), run_code=True)


def test_all_is_described(folder):
    lines = described(folder)
    assert lines[0].startswith(
        "images: 8 of 8 x 12 pixels (float64), used at 8 x 12: 6 shown, luminance 0.0"
    )
    assert lines[0].endswith("; 2 never shown (6, 7)")
    assert lines[1] == "trials: 60, of 6 images (10 repeats), no blanks"
    assert re.fullmatch(r"neurons: 2, 0 to 1\d(\.\d)? spikes/s \(median \d\.\d+\)", lines[2])
    assert "skipped: tuning to Gabors (no table: session.gabors)" in lines
    table = folder / "trials.csv"
    assert lines[-1] == f"note: {table}: 1 of 2 neurons: silent, without any spike (b)"


def test_the_same_notes_are_kept_with_the_tables(folder):
    """A table with every defect that only deserves a note makes tables."""
    images = np.load(folder / "images.npy") * 4095 / 65535
    images[1], images[3] = 0.03, images[2]
    np.save(folder / "images.npy", images)
    table = pd.read_csv(folder / "trials.csv")
    table["spike_count"] *= FACTOR
    once = table[
        (table["image_id"] != 5)
        | (table["trial_id"] == table["trial_id"][table["image_id"] == 5].iloc[0])
    ]
    once.to_csv(folder / "trials.csv", index=False)
    config = parse_config(document(folder))
    results = Layout(folder / "out")
    build_tables(config, results, folder / "images.npy", None)
    notes = json.loads(results.notes.read_text())
    for text in (
        "images: 1 of 6 is uniform (1)",
        "images: 1 of 6 is the same as another (3 and 2)",
        "the brightest pixel has 6.2%",
        "all counts are multiples of 4, as if they were rates in spikes per second (window 0.25 s)",
        "1 of 2 neurons: silent",
        "trials: 1 of 6 is shown only once",
    ):
        assert any(text in note for note in notes), text
    assert [f"note: {note}" for note in notes] == [
        line for line in described(folder, mei={"contrast": 0.02}) if line.startswith("note")
    ]


def test_faults_of_images_stop_before_tables_are_made(folder):
    results = Layout(folder / "out")
    for change, message in (
        (lambda images: np.repeat(images[:1], 8, axis=0), "all 6 images in .* are the same"),
        (lambda images: np.round(images).astype(np.uint8), "images.npy is black: no pixel"),
    ):
        images = np.random.default_rng(0).uniform(size=(8, 8, 12))
        np.save(folder / "images.npy", change(images))
        with pytest.raises(MeiflowError, match=f"session.images: .*{message}"):
            build_tables(parse_config(document(folder)), results, folder / "images.npy", None)
        with pytest.raises(MeiflowError, match=message):
            described(folder)
    assert not results.root.exists()


def test_counts_without_any_spike_are_refused(folder):
    table = pd.read_csv(folder / "trials.csv").assign(spike_count=0)
    table.to_csv(folder / "trials.csv", index=False)
    with pytest.raises(MeiflowError, match=r"session.trials: no neuron has any spike in any trial"):
        described(folder)


def test_pictures_of_zeros_and_ones_are_black(folder, rng):
    (folder / "pictures").mkdir()
    for number in range(6):
        pixels = rng.integers(0, 2, (8, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    with pytest.raises(MeiflowError, match=r"pictures is black: no pixel is brighter than 0.39%"):
        described(folder, session={"images": str(folder / "pictures")})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"mei": {"contrast": 0.49}}, "mei.contrast: 0.49 cannot be reached at mean luminance 0."),
        ({"selection": {"include": ["c"]}}, "selection.include: no neuron 'c'"),
        ({"model": {"custom": "silent_check:build"}}, r"\(neuron a\): the response is 0 for all 6"),
    ],
)
def test_what_later_stages_would_refuse_is_refused(folder, monkeypatch, sections, message):
    (folder / "silent_check.py").write_text(SILENT_MODULE)
    monkeypatch.chdir(folder)
    with pytest.raises(MeiflowError, match=message):
        described(folder, **sections)


def test_a_session_file_is_described(small_session):
    session = {"source": "nwb", "id": "mine", "nwb": str(small_session.session_file)}
    session |= {"images": str(small_session.scenes)}
    data = Dataset(parse_config({"session": session}))
    lines = describe_inputs(data.config_of("mine"), data.files_of("mine"))
    [units] = [line for line in lines if line.startswith("units: ")]
    assert re.match(
        r"units: \d+ in the file, \d+ in the areas; .*session.quality.\w+ [\d.]+ ex", units
    )
    assert "gabors: 243 presentations of 243 conditions" in " ".join(lines)
    # a file of any laboratory is read: whose monitor is assumed is told
    [note] = [line for line in lines if line.startswith("note")]
    assert "not given: all angles assume the monitor of the Allen Brain Observatory" in note


@pytest.fixture
def movies(folder, rng):
    """Counts of four passes through a clip of 64 frames; neuron b is silent."""
    np.save(folder / "clip.npy", rng.uniform(size=(64, 8, 12)))
    index = pd.MultiIndex.from_product(
        [["clip"], range(4), range(64), ["a", "b"]],
        names=["movie", "repeat", "frame", "neuron_id"],
    )
    rows = index.to_frame(index=False)
    rows["spike_count"] = rng.poisson(0.5, len(rows)) * (rows["neuron_id"] == "a")
    rows.to_csv(folder / "clip.csv", index=False)
    own = {"shown": ["clip"], "stacks": str(folder), "counts": str(folder / "clip.csv")}
    return own | {"width_deg": 12.0, "height_deg": 8.0, "frame_rate_hz": 20.0}


def test_movies_alone_are_described(folder, movies):
    lines = described(folder, session={"trials": None, "images": None, "movies": movies})
    assert lines[0].startswith("images: 8 bins of movies, used at 8 x 12: 8 shown")
    # a bin lasts 0.4 s, whatever session.window_s
    counts = pd.read_csv(folder / "clip.csv")["spike_count"]
    assert lines[2].startswith(f"neurons: 2, 0 to {counts.sum() / (4 * 3.2):.3g} spikes/s")
    notes = [line for line in lines if line.startswith("note")]
    assert notes == [f"note: {folder / 'clip.csv'}: 1 of 2 neurons: silent, without any spike (b)"]


def test_frames_of_movies_are_read_next_to_scenes(folder, movies):
    assert "clip: 4 passes, 8 bins of 8 frames" in described(folder, session={"movies": movies})
    np.save(folder / "clip.npy", np.zeros((63, 8, 12)))
    with pytest.raises(MeiflowError, match="has 63 frames, but 64 were shown"):
        described(folder, session={"movies": movies})


def test_code_is_run_only_on_request(folder, monkeypatch):
    (folder / "touching.py").write_text("import pathlib\npathlib.Path('called').touch()\n")
    monkeypatch.chdir(folder)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document(folder, model={"custom": "touching:build"})))
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 0, done.output
    assert not (folder / "called").exists()
    CliRunner().invoke(app, ["check", "--run-code", str(path)])
    assert (folder / "called").exists()


def test_the_command(folder):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document(folder)))
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 0, done.output
    first, *lines = done.output.splitlines()
    assert first.endswith("valid; session mine from source tables, results in results/mine")
    assert lines[1] == "  trials: 60, of 6 images (10 repeats), no blanks"
    short = CliRunner().invoke(app, ["check", "--no-inputs", str(path)])
    assert short.output.splitlines() == [first]


def test_config_beside_is_read_first_as_in_a_run(folder):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document(folder)))
    below = folder / "config.yaml"
    below.write_text("session: {source: simulated, id: demo}\nmei: {contrast: 0.06}\n")
    done = CliRunner().invoke(app, ["check", "--no-inputs", str(path)])
    assert f"mine.yaml: valid on top of {below}; session mine from source tables" in done.output
    below.write_text("mei: {contrast: 7}\n")
    done = CliRunner().invoke(app, ["check", "--no-inputs", str(path)])
    assert done.exit_code != 0
    assert "config.yaml: mei.contrast" in str(done.exception)
