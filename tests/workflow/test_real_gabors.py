"""The whole chain on real spikes: VISam units, 3645 Gabor trials (session 798911424).

The images are the 243 Gabor conditions rendered in degrees. The data are not part of the project:
without them these tests are skipped.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meiflow.images.geometry import Geometry
from tests.allen_gabors import DATA, KEYS, convert, visam_units

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.thorough,
    pytest.mark.skipif(not DATA.is_dir(), reason="the recorded counts are not here"),
]


def test_conversion_keeps_the_counts(tmp_path):
    convert(DATA, tmp_path, Geometry(60, 96))
    trials = pd.read_csv(tmp_path / "trials.csv")
    assert len(visam_units(DATA)) == 135
    assert len(trials) == 135 * 3645
    unit = trials[trials["neuron_id"] == 951097947].set_index("trial_id")["spike_count"]
    assert (unit.min(), unit.max()) == (0, 8)
    assert sorted(unit.nlargest(3).index) == [156, 1647, 3236]
    repeats = trials[trials["neuron_id"] == 951097947]["image_id"].value_counts()
    assert len(repeats) == 243
    assert set(repeats) == {15}
    # Allen's rate of the same units over the same presentations
    units = pd.read_csv(DATA / "units.csv.gz", index_col="ecephys_unit_id", low_memory=False)
    ours = trials.groupby("neuron_id")["spike_count"].mean() / 0.249
    released = units.loc[ours.index, "firing_rate_rf"]
    assert np.corrcoef(ours, released)[0, 1] > 0.99999
    presentations = pd.read_csv(DATA / "gabor_presentations.csv")
    assert presentations[KEYS].drop_duplicates().shape[0] == 243


# What the notebook printed for one unit, and would have printed with the intended rows.
UNIT = 951097947
# Units in the chain: enough to distinguish those with signal.
UNITS = 45
MEASURED = ["luminance", "std", "contrast", "symmetry_1", "symmetry_2"]
PUBLISHED = {
    "notebook_gabor": (0.40972048, 0.03668658, 0.13230467, 0.99925528, 0.99757165),
    "notebook_gabor_by_id": (0.37133418, 0.03014575, 0.10871435, 0.98763852, 0.99634505),
}


def test_chain_runs_to_the_end(project):
    """The full chain and the notebook's preset on the real counts, for the best neurons."""
    real_inputs = project.folder / "real"
    every = visam_units(DATA)
    some = sorted({UNIT, *every[:: len(every) // UNITS]})
    convert(DATA, real_inputs, Geometry(60, 96), some)
    project.configure(
        "real.yaml",
        {
            "session": {
                "source": "tables",
                "id": "visam_gabors",
                "trials": str(real_inputs / "trials.csv"),
                "gabors": str(real_inputs / "gabors.csv"),
                "images": str(real_inputs / "images.npy"),
                "window_s": [0.0, 0.249],
            },
            "image": {"width_deg": 121.24, "height_deg": 94.8},
            "selection": {
                "oracle_p_max": 0.001,
                "quantile_above": {},
                "top_k": 5,
                "include": [str(UNIT)],
            },
            "stimuli": {"published_steps": 20},
            "experiments": {"make": ["orientation"]},
            # all units are fitted: fewer candidates, starts and steps keep the test short
            "model": {
                "stride": 4,
                "wavelengths_deg": [8.0, 12.5, 20.0],
                "orientations": 4,
                "folds": 3,
                "learning_curve": [],
                "ln": {"widths_deg": [8.0], "penalties": [0.001, 0.01]},
                "gabor_energy": {"starts": 1, "steps": 60},
            },
            "mei": {"restarts": 3},
            "gabor": {"spacing": 1.5, "orientations": 4},
        },
    )
    done = project.snakemake(
        "--cores", "2", "--configfile", "workflow/presets/notebook.yaml", "real.yaml"
    )
    assert done.returncode == 0, done.stdout[-3000:]
    results = project.folder / "results" / "visam_gabors"
    table = pd.read_csv(results / "selection" / "neurons.csv")
    assert len(table) == len(some)
    significant = (table["oracle_p"] <= 0.001).sum()
    # a recording with signal in far more units than by chance (0.001 of them)
    assert 5 <= significant < len(some)
    assert 5 <= table["selected"].sum() <= 6
    scores = pd.read_csv(results / "models" / "cross_validation.csv")
    chosen = scores[scores["neuron_id"].isin(table.loc[table["selected"], "neuron_id"])]
    mean = chosen.groupby("model")["cc_norm"].mean()
    assert mean["model"] > 0.5
    assert abs(mean["model_shuffled"]) < 0.2
    assert mean["model"] > mean["pixel_ridge"]
    assert (results / "report.html").stat().st_size > 100_000
    measured = pd.read_csv(results / "neurons" / str(UNIT) / "notebook.csv")
    measured = measured[measured["measured"] == "notebook"].set_index("stimulus")
    for stimulus, numbers in PUBLISHED.items():
        found = measured.loc[stimulus, MEASURED].to_numpy(float)
        np.testing.assert_allclose(found, numbers, rtol=0, atol=1e-6)
    # the models are fitted to these Gabors; this only tests that the tables agree
    recorded = pd.read_csv(results / "validation" / "recorded.csv")
    position = recorded[(recorded["curve"] == "position") & recorded["tuned"]]
    assert len(position) >= 5
    assert position["cc_abs"].mean() > 0.7
    gabor = pd.read_csv(results / "neurons" / str(UNIT) / "gabor.csv").iloc[0]
    assert 0 < gabor["recorded_sem"] < gabor["recorded_count"]
