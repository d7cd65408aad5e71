"""Two-photon recordings of mouse V1 as a session of real-valued responses: tables and a run.

    python -m benchmarks.two_photon EXPERIMENT.npz SCENES FOLDER [--lag 1]

EXPERIMENT.npz has ``frame`` (trials,), the image of every trial in order of time (-1: blank),
``max_dff`` (cells, trials), the peak of dF/F during each presentation, and ``cell_specimen_id``.
SCENES holds the pictures ns_000.png to ns_117.png of the Allen natural scenes. Neither is part of
the repository. FOLDER gets ``trials.csv`` and ``config.yaml``; run them with

    snakemake --cores 2 --configfile FOLDER/config.yaml

Calcium is slow: the response to an image is measured during the next presentation (``--lag 1``,
250 to 500 ms after the onset). During the image's own presentation (``--lag 0``), two experiments
of layer 5 follow the luminance of the screen instantaneously, as if light of the monitor reached
the detector; the column ``trust_reason`` says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from meiflow.images.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG


def trial_table(experiment: Path, lag: int) -> pd.DataFrame:
    """One row per trial and cell: the response in the window `lag` trials after the image."""
    with np.load(experiment) as recorded:
        shown, response = recorded["frame"], recorded["max_dff"].T
        cells = recorded["cell_specimen_id"].astype(str)
    shown, response = shown[: len(shown) - lag], response[lag:]
    trials, n_cells = np.arange(len(shown)), len(cells)
    return pd.DataFrame(
        {
            "trial_id": np.repeat(trials, n_cells),
            "neuron_id": np.tile(cells, len(trials)),
            "response": response.ravel(),
            "image_id": np.repeat(shown.astype(int), n_cells),
        }
    )


def write_session(experiment: Path, scenes: Path, folder: Path, lag: int) -> Path:
    """Write the trials and a configuration; return the path of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    trials, config = folder / "trials.csv", folder / "config.yaml"
    trial_table(experiment, lag).to_csv(trials, index=False)
    session = {
        "source": "tables",
        "id": f"{experiment.stem}_lag_{lag}",
        "trials": trials.name,
        "images": str(scenes.resolve()),
        "response": "real",
        "response_unit": "dF/F",
    }
    angle = {"width_deg": ALLEN_WIDTH_DEG, "height_deg": ALLEN_HEIGHT_DEG}
    config.write_text(yaml.safe_dump({"session": session, "image": angle}, sort_keys=False))
    return config


def main() -> None:
    """Convert one experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("experiment", "scenes", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--lag", type=int, default=1)
    given = parser.parse_args()
    print(write_session(given.experiment, given.scenes, given.folder, given.lag))


if __name__ == "__main__":
    main()
