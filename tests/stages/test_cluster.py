"""Clusters of the neurons of several sessions, from files to the combined page."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from meiflow.combined.clusters import NeuronClusters
from meiflow.config.config import parse_config
from meiflow.errors import MeiflowError
from meiflow.images.patterns import difference_of_gaussians, gabor
from meiflow.io.files import read_array, read_csv, write_csv
from meiflow.models.archive import write_archive
from meiflow.results.layout import CombinedLayout
from meiflow.stages.cluster import cluster_sessions
from meiflow.stages.combine import combine_sessions
from tests.combined.results import GRID, session_results

SESSIONS = {"m1": 10, "m2": 8}
FEW = ["m1"]


def neuron(i, rng):
    """A rectified linear neuron, oriented or not, and the best Gabor that describes it."""
    x, y, angle = rng.uniform(-15, 15), rng.uniform(-10, 10), rng.uniform(0, 180)
    filter_ = gabor(GRID, x, y, 24.0, angle, 0.0, 12.0)
    best = (x, y, 24.0, angle, 0.0, 12.0, 1.0)
    if i % 2:
        filter_ = difference_of_gaussians(GRID, x, y, 5.0, 12.5, 0.9)
        best = (x, y, 30.0, angle, 0.0, 8.0, 1.0)
    filter_ = torch.as_tensor(filter_ / np.linalg.norm(filter_)).float()
    linear = {"kind": "ln", "filter": filter_, "offset": 0.0, "baseline": 0.0, "scale": 1.0}
    return {"x_deg": x, "y_deg": y, "base_models": [linear], "weights": [1.0]}, best


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clusters"), np.random.default_rng(0)
    names = ("x_deg", "y_deg", "wavelength_deg", "orientation_deg", "phase_deg", "sigma_deg")
    for session, n in SESSIONS.items():
        ids = [f"{session}{i}" for i in range(n)]
        layout = session_results(folder / session, dict.fromkeys(ids, "VISp"))
        made = [neuron(i, rng) for i in range(n)]
        documents = {name: document for name, (document, _) in zip(ids, made, strict=True)}
        write_archive(GRID, documents, lambda name: [documents[name]], layout.models)  # noqa: B023
        for name, (_, best) in zip(ids, made, strict=True):
            row = dict(zip((*names, "aspect"), best, strict=True))
            write_csv(pd.DataFrame([row]), layout.neuron(name).best_gabor_table)
        # of the last neuron, the model is not better than chance
        summary = read_csv(layout.summary)
        summary["model_above_chance"] = np.arange(n) < n - 1
        write_csv(summary, layout.summary)
    return folder


def config_of(sessions=tuple(SESSIONS), **clusters):
    return parse_config(
        {
            "session": {"source": "simulated"},
            "sessions": list(sessions),
            "image": {"height": 30, "width": 48},
            "clusters": {"make": True, "most": 4, **clusters},
        }
    )


def test_two_kinds_of_two_sessions_are_clusters_on_the_page(results):
    config = config_of()
    cluster_sessions(config, results)
    layout = CombinedLayout(results / "combined")
    table = read_csv(layout.clusters)
    assert len(table) == 16  # both last ones are left out
    kinds = table["neuron_id"].str[2:].astype(int) % 2
    assert adjusted_rand_score(kinds, table["cluster"]) == 1
    assert table[["margin", "stability"]].min().min() > 0.5
    assert read_array(layout.cluster_stimuli).shape == (2, 32, 32)
    numbers = read_csv(layout.cluster_numbers)
    assert numbers.loc[numbers["chosen"], "clusters"].tolist() == [2]
    combine_sessions(config, results)
    neurons = read_csv(layout.neurons)
    assert neurons["cluster"].value_counts().tolist() == [9, 7]
    assert neurons["cluster"].isna().sum() == 2
    page, atlas = (path.read_text() for path in (layout.report, layout.atlas))
    assert "Cluster 2" in page
    assert len(re.findall(r'alt="session m\d, neuron m\d\d"', page)) == 8 + 7
    assert 'data-column="cluster"' in page
    assert 'data-class="cluster"' in atlas


def test_tables_of_other_neurons_are_refused(results):
    layout = CombinedLayout(results / "combined")
    before = read_csv(layout.clusters)
    write_csv(before.assign(neuron_id="x" + before["neuron_id"]), layout.clusters)
    with pytest.raises(MeiflowError, match=r"clusters\.csv: made of other neurons"):
        combine_sessions(config_of(), results)


@pytest.mark.parametrize("silent", [False, True], ids=["few are good", "few respond"])
def test_too_few_neurons_are_not_clustered_and_the_page_says_so(
    results, caplog, monkeypatch, silent
):
    if silent:
        none = lambda population: np.full((len(population), 5), -1.0)  # noqa: E731
        monkeypatch.setattr("meiflow.stages.cluster.bank_responses", none)
    config = config_of(SESSIONS if silent else FEW)
    with caplog.at_level("WARNING", "meiflow"):
        cluster_sessions(config, results)
    line = f"clusters: none, because only {0 if silent else 9} neurons have a model"
    assert [line in record.message for record in caplog.records] == [True]
    combine_sessions(config, results)
    layout = CombinedLayout(results / "combined")
    assert read_array(layout.cluster_stimuli).shape == (0, 32, 32)
    assert read_csv(layout.neurons)["cluster"].isna().all()
    page = layout.report.read_text()
    assert "None: fewer than 12 neurons" in page
    assert "Cluster 1" not in page
    assert 'data-column="cluster"' not in page


def test_the_page_says_that_one_cluster_is_all_neurons(results, monkeypatch):
    def one(responses, *_):
        n = len(responses)
        return NeuronClusters(np.zeros(n, int), np.ones(n), np.array([0.3]))

    monkeypatch.setattr("meiflow.stages.cluster.cluster_neurons", one)
    cluster_sessions(config_of(), results)
    combine_sessions(config_of(), results)
    page = CombinedLayout(results / "combined").report.read_text()
    assert "No number of clusters is reproducible" in page
    assert "agreement with clusterings" not in page


def test_the_alignment_needs_the_position():
    with pytest.raises(MeiflowError, match=r"clusters\.align.*position is missing"):
        config_of(align=["phase"])
    with pytest.raises(MeiflowError, match="duplicate 'phase'"):
        config_of(align=["position", "phase", "phase"])
