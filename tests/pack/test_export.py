"""The files of a pack, and what is refused."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meiflow.cli.app import main
from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.io.checksums import sha256_of
from meiflow.io.files import read_array, read_csv, write_array, write_csv
from meiflow.models.archive import ModelArchive
from meiflow.pack.design import Design
from meiflow.results.layout import Layout
from meiflow.results.pack import PackLayout
from meiflow.stages.export_stimuli import export_stimuli, read_gamma
from tests.pack.day2 import CONTRAST, GAMMA, GRID, MEAN, MONITOR, NEURONS


def export(known, folder, **changes):
    return export_stimuli(parse_config({}), known[0], folder, Design(MONITOR, GAMMA, **changes))


def test_every_stimulus_has_its_contrast_in_the_picture(pack):
    files = PackLayout(pack)
    table, images = read_csv(files.stimuli), read_array(files.luminance)
    luminance = read_csv(files.gamma)["luminance"].to_numpy()
    renderer_area = MONITOR.pixel_area
    x, y = MONITOR.degrees
    inside = (np.abs(x) < GRID.width_deg / 2) & (np.abs(y) < GRID.height_deg / 2)
    kinds = ["mei", "best_gabor", "best_natural", "other_mei", "scrambled_mei", "optimum"]
    assert list(table["stimulus"]) == kinds * 2 * NEURONS + ["blank"]
    assert (table["contrast_error"].abs() < 0.01).all()
    for row in table.iloc[:-1].itertuples():
        assert images[row.stimulus_id].std() == pytest.approx(row.contrast, abs=1e-4)
        assert images[row.stimulus_id].mean() == pytest.approx(MEAN, abs=1e-4)
        shown = luminance[np.asarray(Image.open(pack / row.image_file))][inside]
        weights = renderer_area[inside] / renderer_area[inside].sum()
        spread = np.sqrt(weights @ (shown - weights @ shown) ** 2)
        # relative to the part that is on the monitor
        part = GRID.width_deg * GRID.height_deg * row.on_screen / renderer_area[inside].sum()
        assert spread == pytest.approx(row.contrast * np.sqrt(part), rel=0.03)
    blank = np.asarray(Image.open(pack / table["image_file"].iloc[-1]))
    assert (blank == json.loads(files.document.read_text())["images"]["background_level"]).all()


def test_predictions_are_those_of_the_models_for_the_stack(known, pack):
    images = read_array(PackLayout(pack).luminance)
    predicted = read_csv(PackLayout(pack).predicted)
    for neuron in ("n0", "n4"):
        model = ModelArchive(known[0].models, GRID).model(neuron)
        np.testing.assert_allclose(predicted[neuron], model.predict(images), rtol=1e-6)


def test_order_is_random_in_blocks_and_repeats_nothing_at_once(pack):
    frames = read_csv(PackLayout(pack).frames)
    n = len(read_csv(PackLayout(pack).stimuli))
    blocks = frames["stimulus_id"].to_numpy().reshape(20, n)
    assert (np.sort(blocks, axis=1) == np.arange(n)).all()
    assert (np.diff(frames["stimulus_id"]) != 0).all()
    assert len({tuple(block) for block in blocks}) == 20
    np.testing.assert_allclose(np.diff(frames["onset_s"]), 0.5)


def test_nwb_file_has_the_pictures_and_their_order(pack):
    from pynwb import NWBHDF5IO

    files = PackLayout(pack)
    table, frames = read_csv(files.stimuli), read_csv(files.frames)
    with NWBHDF5IO(str(files.nwb), "r") as io:
        nwb = io.read()
        images = nwb.stimulus_template["stimuli"]
        order = images.order_of_images
        assert [order[i].name for i in range(3)] == ["0000", "0001", "0002"]
        for i in (0, len(table) - 1):
            picture = np.asarray(Image.open(pack / table["image_file"].iloc[i]))
            np.testing.assert_array_equal(order[i].data[:], picture)
        shown = nwb.stimulus["presentations"]
        np.testing.assert_array_equal(shown.data[:], frames["stimulus_id"])
        assert json.loads(nwb.stimulus_notes)["monitor"]["distance_cm"] == 15.0


def test_document_has_the_hashes_of_all_other_files(pack):
    document = json.loads((pack / "pack.json").read_text())
    files = {p.relative_to(pack).as_posix() for p in pack.rglob("*") if p.is_file()}
    assert set(document["sha256"]) == files - {"pack.json", "SHA256SUMS"}
    for name in ("stimuli.csv", "pictures/0000.png", "stimuli.nwb"):
        assert document["sha256"][name] == sha256_of(pack / name)
    assert document["design"]["seed"] == 0
    readme = (pack / "README.txt").read_text()
    assert "192 x 120 pixels" in readme
    assert "meiflow read-pack" in readme


def test_by_default_the_trusted_neurons_and_the_same_again(known, tmp_path):
    said = export(known, tmp_path / "a", blocks=2, contrasts=(CONTRAST,))
    assert said.startswith(f"{NEURONS - 1} neurons, {5 * (NEURONS - 1) + 1} stimuli x 2 blocks")
    export(known, tmp_path / "b", blocks=2, contrasts=(CONTRAST,))
    hashes = [json.loads((tmp_path / f / "pack.json").read_text())["sha256"] for f in "ab"]
    assert {k: v for k, v in hashes[0].items() if k != "stimuli.nwb"} == {
        k: v for k, v in hashes[1].items() if k != "stimuli.nwb"
    }


def test_command_moves_a_single_neuron(known, tmp_path, monkeypatch, capsys):
    table = pd.DataFrame({"level": np.arange(256), "luminance": np.arange(256) ** 2.0})
    write_csv(table, tmp_path / "gamma.csv")
    sizes = "--size-cm 51.92 32.45 --distance-cm 15 --resolution 192 120 --contrast 0.05"
    line = f"{sizes} --gamma {tmp_path}/gamma.csv --neuron n3 --centre -10 5 --blocks 2"
    words = ["meiflow", "export-stimuli", str(known[0].root), str(tmp_path / "pack")]
    monkeypatch.setattr(sys, "argv", [*words, *line.split()])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert "1 neurons, 6 stimuli x 2 blocks = 12 presentations" in capsys.readouterr().out
    place = read_csv(tmp_path / "pack" / "neurons.csv").iloc[0]
    assert (place["shown_x_deg"], place["shown_y_deg"]) == pytest.approx((-10, 5))
    other = read_csv(tmp_path / "pack" / "stimuli.csv").set_index("stimulus")["other_neuron"]
    assert other["other_mei"] in {f"n{i}" for i in range(NEURONS)} - {"n3"}
    assert json.loads((tmp_path / "pack" / "pack.json").read_text())["monitor"][
        "black_and_white_as_measured"
    ] == [0.0, 65025.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": ("n9",)}, "neuron 'n9' is not in this session"),
        ({"contrasts": (0.0003,)}, r"n0, \w+: contrast 0.0003 asked for, but .* grey levels"),
        ({"contrasts": (0.4,)}, r"n0, mei: RMS contrast 0.4 cannot be reached"),
        ({"shift": (85.0, 0.0)}, "of the contrast energy of its MEI would be on this monitor"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_is_left(known, tmp_path, changes, message):
    with pytest.raises(MeiflowError, match=message):
        export(known, tmp_path / "pack", **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": ("n0",), "every": True}, "--neuron and --all"),
        ({"centre": (0, 0), "shift": (1, 1)}, "--centre and --shift"),
        ({"centre": (0, 100)}, "--centre: expected two angles"),
        ({"stimuli": ("mie",)}, "'mie': unknown .did you mean 'mei'"),
        ({"background": 1.0}, "--background 1: expected a luminance between"),
        ({"contrasts": (0.7,)}, "--contrast 0.7: expected an RMS contrast"),
        ({"contrasts": (0.05, 0.05)}, "the same contrast is given twice"),
        ({"extra": {"mei": "x.npy"}}, "--extra mei: this name is taken"),
    ],
)
def test_contradictory_designs_are_refused(changes, message):
    with pytest.raises(MeiflowError, match=message):
        Design(MONITOR, GAMMA, **changes)


def test_no_trusted_neuron_other_means_and_wrong_extras_are_named(known, tmp_path):
    shutil.copytree(known[0].root, tmp_path / "results")
    other = (Layout(tmp_path / "results"), *known[1:])
    write_array(known[2][:2], tmp_path / "two.npy")
    with pytest.raises(MeiflowError, match=r"--extra mine: .* one image for each of the 1 neurons"):
        export(other, tmp_path / "p", neurons=("n0",), extra={"mine": tmp_path / "two.npy"})
    trust = read_csv(other[0].trust)
    write_csv(trust.assign(trusted=False), other[0].trust)
    with pytest.raises(MeiflowError, match=f"none of the {NEURONS} MEIs is trusted; name neurons"):
        export(other, tmp_path / "p")
    write_array(0.9 * known[2][1], other[0].neuron("n1").mei)
    with pytest.raises(MeiflowError, match=r"n1/mei.npy: mean .* differ from those of neuron n0"):
        export(other, tmp_path / "p", every=True)
    assert not (tmp_path / "p").exists()


def test_gamma_is_a_number_or_a_table(tmp_path):
    assert read_gamma("2.2").luminance[128] == pytest.approx((128 / 255) ** 2.2)
    for text, message in (("9", "gamma 9: expected"), ("none.csv", "none.csv: no such file")):
        with pytest.raises(MeiflowError, match=message):
            read_gamma(text)
    (tmp_path / "g.csv").write_text("level,luminance\n0,dark\n255,bright\n")
    with pytest.raises(MeiflowError, match="column luminance must contain numbers"):
        read_gamma(str(tmp_path / "g.csv"))
