"""A wrong configuration or input stops with one clear message and a status other than 0."""

from __future__ import annotations

import pandas as pd
import pytest

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"session": {"aera": "VISp"}}, "unknown key session.aera (did you mean 'area'?)"),
        ({"mei": {"steps": "many"}}, "mei.steps: Input should be a valid integer, got 'many'"),
        ({"session": {"area": "VISx"}}, "session.area: 'VISx' is not simulated"),
        (
            {"session": {"source": "tables", "trials": "none.csv", "images": "."}},
            "session.trials: none.csv does not exist",
        ),
        (
            {"session": {"source": "nwb", "nwb": "bad.nwb", "images": "."}},
            "session.nwb: bad.nwb is not a readable NWB (HDF5) file",
        ),
    ],
)
def test_wrong_configuration_stops_before_any_work(project, document, message):
    (project.folder / "bad.nwb").write_text("not HDF5")
    project.configure("wrong.yaml", document)
    done = project.snakemake("--cores", "1", "--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "results").exists()


def test_area_without_units_stops_at_the_tables(project):
    """Only the recording can tell that no unit is left."""
    project.configure("strict.yaml", {"session": {"quality": {"isi_violations_max": 1e-9}}})
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml", "strict.yaml")
    assert done.returncode != 0
    assert "meiflow: error: session.area: no unit of VISam" in done.stdout
    assert not (project.results / "tables" / "trials.csv").exists()


def test_selection_that_leaves_nobody(project):
    project.configure("nobody.yaml", {"selection": {"oracle_min": 0.999}})
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml", "nobody.yaml")
    assert done.returncode != 0
    assert "meiflow: error: selection: no neuron is left" in done.stdout
    assert not (project.results / "selection" / "neurons.csv").exists()


def test_own_tables_run_to_the_end_without_gabors(project, own_data):
    """Source tables: a trial CSV and an image stack; no recorded Gabor, all else is there."""
    done = project.snakemake("--cores", "2", "--configfile", "small.yaml", "own.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    results = project.folder / "results" / "own"
    table = pd.read_csv(results / "selection" / "neurons.csv")
    for neuron in table.loc[table["selected"], "neuron_id"]:
        rows = pd.read_csv(results / "neurons" / neuron / "comparison.csv")["stimulus"].tolist()
        assert "recorded_gabor" not in rows
        assert "best_gabor" in rows
        assert not (results / "neurons" / neuron / "gabor.npy").exists()
    assert not (results / "validation").exists()
    assert not (results / "tables" / "gabor_responses.csv").exists()
    assert "Simulated session." not in (results / "report.html").read_text()


@pytest.fixture
def own_data(project):
    """Trials of three neurons, two of them tuned, and their images."""
    import numpy as np

    from meiflow.geometry import Geometry
    from meiflow.session.dead_leaves import dead_leaves
    from meiflow.session.images import resize
    from meiflow.stimuli.patterns import gabor

    rng = np.random.default_rng(0)
    grid = Geometry(30, 48)
    frames = np.stack([dead_leaves((60, 78), np.random.default_rng(i)) for i in range(40)])
    np.save(project.folder / "images.npy", frames)
    small = resize(frames / 255.0, grid.shape)
    shapes = gabor(grid, np.array([0.0, 15.0]), 5.0, 18.0, np.array([30.0, 120.0]), 0.0, 7.0)
    drive = np.maximum(np.tensordot(small - 0.5, shapes, axes=([1, 2], [1, 2])), 0)
    rates = np.column_stack([2 * drive / drive.mean(0), np.full(40, 2.0)])
    shown = rng.permutation(np.repeat(np.arange(40), 10))
    counts = rng.poisson(rates[shown])
    pd.DataFrame(
        {
            "trial_id": np.repeat(np.arange(400), 3),
            "neuron_id": np.tile(["left", "right", "noise"], 400),
            "spike_count": counts.ravel(),
            "image_id": np.repeat(shown, 3),
        }
    ).to_csv(project.folder / "trials.csv", index=False)
    project.configure(
        "own.yaml",
        {
            "session": {
                "source": "tables",
                "id": "own",
                "trials": "trials.csv",
                "images": "images.npy",
            },
            "selection": {"variance_quantile": None},
        },
    )
    return frames
