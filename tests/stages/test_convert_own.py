"""A matrix of responses, or a phy folder, becomes tables that a run accepts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meiflow.cli.own_data import convert_matrix, convert_phy
from meiflow.config.config import load_config
from meiflow.errors import MeiflowError
from meiflow.session.phy import read_phy
from meiflow.stages.read_tables import read_tables

RATE = 20_000.0
SCREEN = (Path("images.npy"), (60.0, 45.0))
COUNTS = np.random.default_rng(0).poisson(2.0, (40, 3))
SHOWN = np.tile(np.arange(-1, 7), 5)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.random.default_rng(1).uniform(size=(7, 30, 40)))
    np.save("counts.npy", COUNTS)
    np.save("shown.npy", SHOWN)
    return tmp_path


def read_back(folder: Path):
    """The trials of the configuration, as a run reads them."""
    config = load_config(folder / "config.yaml")
    session, stack = read_tables(config, Path(config.session.images), None)
    assert stack.shape == (7, *config.image.geometry.shape)
    return config, session.trials


def matrix(name: str = "counts.npy", ids: str = "shown.npy") -> None:
    convert_matrix(Path(name), Path(ids), Path("out"), *SCREEN)


def test_a_matrix_of_counts(capsys):
    matrix()
    assert capsys.readouterr().out.startswith("3 neurons, 40 trials, spike counts; next: meiflow ")
    config, trials = read_back(Path("out"))
    assert (config.session.id, config.image.width_deg) == ("counts", 60.0)
    assert trials.neuron_ids == ["0", "1", "2"]
    np.testing.assert_array_equal(trials.counts, COUNTS)
    np.testing.assert_array_equal(trials.image_ids, SHOWN)


def test_a_matrix_of_real_numbers():
    values = COUNTS * 0.25 - 1
    np.save("traces.npy", values)
    matrix("traces.npy")
    config, trials = read_back(Path("out"))
    assert config.session.response_type.real
    np.testing.assert_allclose(trials.counts, values, rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "ids", "message"),
    [
        (COUNTS[:, 0], SHOWN, r"counts\.npy: expected numbers of shape \(trials, neurons\)"),
        (COUNTS, SHOWN[1:], r"shown\.npy: expected 40 whole numbers.*shape \(39,\)"),
        (COUNTS, SHOWN + 0.5, r"shown\.npy: expected 40 whole numbers.*float64"),
        (np.full((40, 3), np.nan), SHOWN, r"counts\.npy: contains missing"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(counts, ids, message):
    np.save("counts.npy", counts)
    np.save("shown.npy", ids)
    with pytest.raises(MeiflowError, match=message):
        matrix()
    assert not Path("out").exists()


def phy(folder: Path = Path("sorted"), label: str = "group") -> pd.DataFrame:
    """Four clusters that fire as in COUNTS 0.1 s after each onset; the last is noise."""
    folder.mkdir()
    onsets = 1.0 + np.arange(len(COUNTS))
    times, clusters = [], []
    for cluster, column in ((3, 0), (8, 1), (11, 2), (20, 0)):
        for onset, count in zip(onsets, COUNTS[:, column], strict=True):
            times += [(onset + 0.1 + 0.01 * n) * RATE for n in range(count)] + [
                (onset + 0.6) * RATE
            ]
            clusters += [cluster] * (count + 1)
    order = np.argsort(times, kind="stable")
    np.save(folder / "spike_times.npy", np.round(np.array(times)[order]).astype(np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", np.array(clusters, np.int32)[order])
    (folder / "params.py").write_text(f"dat_path = 'x'\nsample_rate = {RATE}\nraise SystemExit\n")
    name = {"group": "cluster_group.tsv", "KSLabel": "cluster_KSLabel.tsv"}[label]
    labels = {3: "good", 8: "good", 11: "mua", 20: "noise"}
    pd.DataFrame({"cluster_id": labels.keys(), label: labels.values()}).to_csv(
        folder / name, sep="\t", index=False
    )
    shown = pd.DataFrame({"start_s": onsets, "image_id": SHOWN})
    shown.to_csv("shown.csv", index=False)
    return shown


def test_a_phy_folder(capsys):
    phy()
    convert_phy(Path("sorted"), Path("shown.csv"), Path("out"), *SCREEN, label=["good", "mua"])
    assert "3 neurons (clusters: 2 good, 1 mua, 1 noise), 40 trials;" in capsys.readouterr().out
    config, trials = read_back(Path("out"))
    assert config.session.id == "sorted"
    assert trials.neuron_ids == ["3", "8", "11"]
    np.testing.assert_array_equal(trials.counts, COUNTS)


def test_labels_of_the_user_come_before_those_of_kilosort():
    phy(label="KSLabel")
    assert read_phy(Path("sorted")).neuron_ids == ["3", "8"]
    (Path("sorted") / "cluster_group.tsv").write_text("cluster_id\tgroup\n8\tnoise\n20\tgood\n")
    assert read_phy(Path("sorted")).neuron_ids == ["3", "20"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "params.py").write_text("x = 1"), r"params\.py: no line such as sample_r"),
        (lambda f: (f / "cluster_group.tsv").unlink(), "no labels of clusters; expected one of"),
        (lambda f: np.save(f / "spike_times.npy", np.arange(3)), "3 spike times, but the clusters"),
        (lambda f: np.save(f / "spike_times.npy", np.ones(9)), "expected whole numbers"),
        (lambda f: (f / "spike_clusters.npy").unlink(), r"spike_clusters\.npy: no such file"),
    ],
)
def test_a_damaged_folder_is_refused(damage, message):
    phy()
    damage(Path("sorted"))
    with pytest.raises(MeiflowError, match=message):
        convert_phy(Path("sorted"), Path("shown.csv"), Path("out"), *SCREEN)


def test_times_on_another_clock_are_noticed():
    shown = phy()
    shown.assign(start_s=shown["start_s"] + 1e5).to_csv("shown.csv", index=False)
    with pytest.raises(MeiflowError, match="no presentation lies within the recording"):
        convert_phy(Path("sorted"), Path("shown.csv"), Path("out"), *SCREEN)
    with pytest.raises(MeiflowError, match=re.escape("no cluster is labelled best; found: 2 good")):
        convert_phy(Path("sorted"), Path("shown.csv"), Path("out"), *SCREEN, label=["best"])
