"""What must work after ``pip install meiflow``; run by the Python of any environment.

``python smoke.py library``: from arrays to an MEI. ``python smoke.py workflow FOLDER``: a project
laid out there by ``meiflow init``, its dry run, and its first stage.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

SETTINGS = """
session:
  source: tables
  id: own
  trials: trials.csv
  images: images.npy
image: {height: 12, width: 20, width_deg: 100.0, height_deg: 60.0}
"""


def library() -> None:
    import meiflow as mf
    from meiflow.images.patterns import gabor

    rng = np.random.default_rng(3)
    screen = mf.Geometry(12, 20, 100.0, 60.0)
    images = rng.uniform(0, 1, (60, *screen.shape))
    field = gabor(screen, 10.0, 5.0, 40.0, 30.0, 0.0, 12.0)
    rates = np.maximum(3 + 4 * ((images - 0.5) * field).sum((1, 2)), 0)
    counts = rng.poisson(rates, (8, 60)).astype(float)[..., None]
    fast = {
        "wavelengths_deg": [30.0, 45.0],
        "stride": 3,
        "folds": 3,
        "base_models": ["gabor_energy"],
    }
    pop = mf.fit(images, counts, screen, neurons=["cell"], **fast)
    mei = mf.mei(pop["cell"], contrast=0.05, steps=20, restarts=2)
    likeness = np.corrcoef(np.ravel(mei), field.ravel())[0, 1]
    assert likeness > 0.9, likeness
    print(f"{mf.__file__}: MEI and receptive field correlate with r > 0.9")


def workflow(folder: Path) -> None:
    run = [sys.executable, "-P", "-m"]
    subprocess.run([*run, "meiflow", "init", str(folder)], check=True)
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.uniform(0, 1, (6, 12, 20)))
    rows = [f"{t},u1,{n},{t % 6}" for t, n in enumerate(rng.poisson(3.0, 24))]
    header = "trial_id,neuron_id,spike_count,image_id"
    (folder / "trials.csv").write_text("\n".join([header, *rows, ""]))
    (folder / "own.yaml").write_text(SETTINGS)
    snakemake = [*run, "snakemake", "--cores", "1", "--configfile", "own.yaml"]
    dry = subprocess.run(
        [*snakemake, "-n"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    assert "fit_models" in dry.stdout, dry.stdout
    table = "results/own/tables/trials.csv"
    subprocess.run([*snakemake, "--", table], cwd=folder, check=True)
    assert (folder / table).stat().st_size > 100
    print(f"{folder / table}: written by the installed workflow")


if __name__ == "__main__":
    workflow(Path(sys.argv[2])) if sys.argv[1] == "workflow" else library()
