"""The whole workflow on a small simulated session, as a user runs it."""

from __future__ import annotations

import re
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch

from meiflow.config.experiments import STANDARD
from meiflow.config.names import SHOWN_PROCEDURES, USUAL_PROCEDURES
from meiflow.images.geometry import Geometry
from meiflow.models.archive import ModelArchive

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]
SHOWN = [n for n in USUAL_PROCEDURES if n in SHOWN_PROCEDURES and n != "walker_mei"]
SMALL = ("--configfile", "small.yaml")

COLUMNS = {
    "tables/trials.csv": "trial_id,neuron_id,spike_count,image_id",
    "selection/neurons.csv": "neuron_id,oracle,oracle_p,cc_max,fev,entropy,variance,"
    "anomaly_score,is_anomaly,most_correlated,highest_correlation,least_correlated,"
    "lowest_correlation,mean_rate_hz,selected",
    "validation/trust.csv": "neuron_id,cc_abs,cc_norm,cc_norm_low,ceiling_error,"
    "cc_shuffled,fold_agreement,fold_lowest,peak_ratio,half_contrast,nuisance,cc_nuisance,"
    "trusted,expected_fraction,trust_reason",
    "models/nuisances.csv": "neuron_id,nuisance,cc_chance,cc_abs_model,cc_norm_model",
    "validation/closed_loop.csv": "neuron_id,kind,stimulus,true_drive,fraction_of_optimum",
}
NEURON_COLUMNS = {
    "scores.csv": "model,cc_abs,cc_norm,cc_max,feve,ceiling_error,folds,parameters,"
    "cc_norm_low,cc_norm_high",
    "mei_trace.csv": "step,response,objective,mean,rms_contrast",
    "comparison.csv": "stimulus,predicted_response,luminance,contrast,symmetry_1,symmetry_2,"
    "peak_frequency_cpd,orientation_deg",
}


def neurons(project) -> list[str]:
    table = pd.read_csv(project.results / "selection" / "neurons.csv")
    return table.loc[table["selected"], "neuron_id"].astype(str).tolist()


def jobs(output: str) -> dict[str, int]:
    """Jobs by rule, from the table a dry run prints."""
    counts = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            counts[words[0]] = int(words[1])
    return counts


def test_every_file_of_the_contract_is_there(finished):
    for name, columns in COLUMNS.items():
        header = (finished.results / name).read_text().splitlines()[0]
        assert header.startswith(columns), name
    selected = neurons(finished)
    assert selected
    archive = ModelArchive(finished.results / "models" / "models.zip", Geometry(30, 48))
    assert set(selected) <= set(archive.neurons)
    for neuron in selected:
        folder = finished.results / "neurons" / neuron
        for name, columns in NEURON_COLUMNS.items():
            assert (folder / name).read_text().startswith(columns), name
        mei = np.load(folder / "mei.npy", allow_pickle=False)
        assert mei.shape == (30, 48)
        assert mei.dtype == np.float32
        assert mei.min() >= 0
        assert mei.max() <= 1
        trace = pd.read_csv(folder / "mei_trace.csv")
        np.testing.assert_allclose(trace["rms_contrast"], 0.05, atol=1e-4)
        stimuli = pd.read_csv(folder / "comparison.csv").set_index("stimulus")
        names = ["mei", "recorded_gabor", "best_gabor", "best_natural", "windowed_natural"]
        assert stimuli.index.tolist() == names
        np.testing.assert_allclose(stimuli["rms_contrast"], 0.05, atol=1e-4)
        assert stimuli["mean"].std() < 1e-4
        assert stimuli["predicted_response"].idxmax() in ("mei", "best_gabor")
    for name in USUAL_PROCEDURES:
        images = np.load(finished.results / "stimuli" / f"{name}.npy", allow_pickle=False)
        table = pd.read_csv(finished.results / "stimuli" / f"{name}.csv")
        assert images.shape[-2:] == (30, 48), name
        assert len(images) == len(selected), name
        assert table["neuron_id"].astype(str).drop_duplicates().tolist() == selected, name
        assert (finished.results / "stimuli" / f"{name}.png").stat().st_size, name
    gabors = pd.read_csv(finished.results / "stimuli" / "best_gabors.csv", dtype={"neuron_id": str})
    assert gabors["neuron_id"].tolist() == selected
    shown = np.load(finished.results / "stimuli" / "best_gabors.npy", allow_pickle=False)
    for image, (_, row) in zip(shown, gabors.iterrows(), strict=True):
        folder = finished.results / "neurons" / row["neuron_id"]
        np.testing.assert_array_equal(np.load(folder / "best_gabor.npy"), image)
        own = pd.read_csv(folder / "best_gabor.csv").iloc[0]
        pd.testing.assert_series_equal(
            own, row.drop("neuron_id").astype(float), check_names=False, check_index_type=False
        )
    loop = pd.read_csv(finished.results / "validation" / "closed_loop.csv")
    assert {"walker_mei", "notebook_mei", "linear_rf"} < set(loop["stimulus"])
    assert (loop["fraction_of_optimum"] <= 1 + 1e-6).all()
    assert len(pd.read_csv(finished.results / "summary.csv")) == len(selected)
    experiments = finished.results / "experiments"
    summary = pd.read_csv(experiments / "summary.csv", dtype={"neuron_id": str})
    assert summary["neuron_id"].tolist() == selected
    assert set(pd.read_csv(experiments / "tuning.csv")["neuron_id"].astype(str)) == set(selected)
    for name in STANDARD:
        assert (experiments / f"{name}.svg").stat().st_size, name


def test_snakemake_packs_its_own_report(finished, tmp_path):
    """It contains the figures and the page, by category, and needs no network."""
    packed = tmp_path / "report.zip"
    done = finished.snakemake("--report", str(packed), *SMALL)
    assert done.returncode == 0, done.stdout[-3000:]
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        (page,) = (n for n in names if n.endswith("/report.html") and "data" not in n)
        text = archive.read(page).decode()
    own = [name for name in names if name.endswith(".svg")]
    assert len(own) >= 5, names
    assert sum(name.endswith("report.html") for name in names) == 2  # Snakemake's and ours
    assert "closed_loop" in text


@pytest.mark.parametrize(
    ("change", "made_again", "left_alone"),
    [
        (
            {"stimuli": {"fade_steps": 11}},
            {"regularised_natural", "closed_loop", "report"},
            {"stimuli", "natural", "notebook_mei", "fit_models"},
        ),
        (
            {"mei": {"steps": 21}},
            {"population_mei", "stimuli", "comparison", "closed_loop"},
            {"fit_models"},
        ),
        (
            {"gabor": {"refine_steps": 11}},
            {"gabor_search"},  # a checkpoint: the rest is planned afterwards
            {"fit_models", "natural"},
        ),
        # another order, without what is not shown to the neurons: nothing to do
        (
            {"stimuli": {"make": ["walker_mei", "transparent", *SHOWN]}},
            {"report"},
            {"closed_loop", "walker_mei"},
        ),
        ({"comparison": {"mask_threshold": 1.4}}, {"comparison"}, {"fit_models", "tables"}),
        ({"report": {"title": "x"}}, {"report"}, {"comparison", "summary", "closed_loop"}),
        ({"experiments": {"contrast": 0.7}}, {"experiments", "report"}, {"stimuli"}),
        # a checkpoint follows: the rest is planned afterwards
        ({"model": {"folds": 4}}, {"fit_models", "fitted_neurons"}, {"tables", "selection"}),
        ({"session": {"window_s": [0.0, 0.2]}}, {"tables", "selection"}, {"simulate"}),
        ({"session": {"quality": {"isi_violations_max": 0.4}}}, {"tables"}, {"simulate"}),
        ({"selection": {"oracle_min": 0.11}}, {"selection"}, {"fit_models", "tables"}),
        ({"mei": {"steps": 20}}, set(), {"all", "report"}),  # the current value
    ],
)
def test_a_changed_value_reruns_what_depends_on_it(finished, change, made_again, left_alone):
    finished.configure("change.yaml", change)
    done = finished.snakemake("--dry-run", *SMALL, "change.yaml")
    planned = set(jobs(done.stdout))
    assert made_again <= planned, done.stdout[-2000:]
    assert not left_alone & planned, done.stdout[-2000:]


def test_a_deleted_file_is_made_again(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    victim = project.results / "neurons" / neurons(project)[0] / "mei.png"
    before = victim.read_bytes()
    victim.unlink()
    planned = jobs(project.snakemake("--dry-run", *SMALL).stdout)
    assert (planned["stimuli"], planned["report"]) == (1, 1)
    target = victim.relative_to(project.folder)
    done = project.snakemake("--cores", "2", *SMALL, "--", str(target))
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout) == {"stimuli": 1, "total": 1}
    assert victim.read_bytes() == before


def test_waiting_jobs_are_checked_when_one_has_ended(finished, tmp_path):
    """Not every second and once more for every ended job, as by default in Snakemake."""
    project = finished.copy(tmp_path / "project")
    drawing = ("--until", "comparison", "--forcerun", "comparison")
    again = (*drawing, "--cores", "1", "--verbose", *SMALL)
    done = project.snakemake(*again)
    assert done.returncode == 0, done.stdout[-3000:]
    ended = len(re.findall("^Finished jobid", done.stdout, re.MULTILINE))
    assert ended >= len(neurons(finished))
    assert len(re.findall("^Ready jobs: ", done.stdout, re.MULTILINE)) <= ended
    # of two jobs the second waits
    two = [f"results/demo/neurons/{neuron}/comparison.csv" for neuron in neurons(finished)[:2]]
    limited = project.snakemake(*again, "--max-jobs-per-timespan", "1/6s", "--", *two)
    assert limited.returncode == 0, limited.stdout[-3000:]
    assert "Job rate limit reached" in limited.stdout


def test_a_file_of_one_neurons_model_is_made_on_request(finished):
    """No other job is run for it; the file equals the content of the archive."""
    chosen = neurons(finished)[0]
    target = f"results/demo/neurons/{chosen}/model.pt"
    done = finished.snakemake("--cores", "1", *SMALL, "--", target)
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout) == {"extract_neuron": 1, "total": 1}
    with zipfile.ZipFile(finished.results / "models" / "models.zip") as archive:
        for name in ("model.pt", "fold_models.pt"):
            path = finished.results / "neurons" / chosen / name
            assert path.read_bytes() == archive.read(f"{chosen}/{name}")
            document = torch.load(path, weights_only=True)
            path.unlink()
    assert "Nothing to be done" in finished.snakemake("--dry-run", *SMALL).stdout
    assert len(document["models"]) == 3  # folds


def test_a_single_neuron_is_a_target(finished, tmp_path):
    single = finished.copy(tmp_path / "copy", ".snakemake")
    chosen, *others = neurons(finished)
    shutil.rmtree(single.results / "neurons")
    target = f"results/demo/neurons/{chosen}/comparison.csv"
    done = single.snakemake("--cores", "2", *SMALL, "--rerun-triggers", "mtime", "--", target)
    assert done.returncode == 0, done.stdout[-3000:]
    assert [p.name for p in (single.results / "neurons").iterdir()] == [chosen]
    assert others


def test_gabors_follow_the_selection_and_the_configuration(finished, tmp_path):
    """A neuron added later gets its Gabor and the others stay; another search changes all."""
    project = finished.copy(tmp_path / "copy")
    table = pd.read_csv(project.results / "selection" / "neurons.csv", dtype={"neuron_id": str})
    new = table.loc[~table["selected"], "neuron_id"].iloc[0]
    old = neurons(project)[0]
    targets = [f"results/demo/neurons/{neuron}/comparison.csv" for neuron in (old, new)]

    def run(document):
        project.configure("more.yaml", document)
        done = project.snakemake("--cores", "2", *SMALL, "more.yaml", "--", *targets)
        assert done.returncode == 0, done.stdout[-3000:]
        name = project.results / "stimuli" / "best_gabors.csv"
        rows = pd.read_csv(name, dtype={"neuron_id": str}).set_index("neuron_id")
        for neuron in (old, new):
            own = pd.read_csv(project.results / "neurons" / neuron / "best_gabor.csv").iloc[0]
            wanted = rows.loc[neuron, "predicted_response"]
            assert own["predicted_response"] == pytest.approx(wanted, rel=1e-5)
        return (project.results / "neurons" / old / "mei.npy").stat().st_mtime_ns

    before = (project.results / "neurons" / old / "mei.npy").stat().st_mtime_ns
    added = {"selection": {"include": [new]}}
    assert run(added) == before
    assert run(added | {"gabor": {"refine_steps": 11}}) > before


OWN = """
from torch import nn


class Top(nn.Module):
    def forward(self, images):
        return 1 + images[:, 0, :8].mean((1, 2)) - images[:, 0, 8:].mean((1, 2))


def build(neuron, geometry):
    return Top().eval()
"""


def test_a_custom_module_replaces_the_model(finished, tmp_path):
    """Its MEI is its preferred pattern, light above and dark below; no model is fitted again."""
    project = finished.copy(tmp_path / "copy", ".snakemake")
    (project.folder / "mymodels.py").write_text(OWN)
    project.configure("own.yaml", {"model": {"custom": "mymodels:build"}})
    chosen = neurons(finished)[0]
    home = project.results / "neurons" / chosen
    shutil.rmtree(home)
    target = f"results/demo/neurons/{chosen}/comparison.csv"
    done = project.snakemake(
        "--cores", "2", *SMALL, "own.yaml", "--rerun-triggers", "mtime", "--", target
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "fit_models" not in jobs(done.stdout)
    mei = np.load(home / "mei.npy")
    assert mei[:8].mean() > mei[8:].mean() + 0.05
    scores = pd.read_csv(home / "scores.csv").set_index("model")
    assert scores.loc["model", "folds"] == 0
    assert scores.loc["mixture", "folds"] == 3
    # a broken module is refused before any work, a wrong one with the neuron's name
    project.configure("own.yaml", {"model": {"custom": "nowhere:build"}})
    done = project.snakemake("--dry-run", *SMALL, "own.yaml", "--", target)
    assert done.returncode != 0
    assert "model.custom: module 'nowhere' is neither" in done.stdout


def test_an_unselected_neuron_is_refused_with_the_reason(finished):
    table = pd.read_csv(finished.results / "selection" / "neurons.csv")
    unselected = table.loc[~table["selected"], "neuron_id"].astype(str).iloc[0]
    for neuron, message in (
        (unselected, f"neuron {unselected} is not selected"),
        ("12345", "neuron '12345' is not in this session"),
    ):
        target = f"results/demo/neurons/{neuron}/comparison.csv"
        done = finished.snakemake("--cores", "2", *SMALL, "--", target)
        assert done.returncode != 0
        assert f"meiflow: error: {message}" in done.stdout


def test_untuned_units_are_not_selected(finished):
    truth = pd.read_csv(finished.results / "session" / "truth.csv").set_index("neuron_id")
    table = pd.read_csv(finished.results / "selection" / "neurons.csv")
    kinds = truth.loc[table.loc[table["selected"], "neuron_id"], "kind"]
    assert "untuned" not in set(kinds)
