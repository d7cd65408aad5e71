"""Turn the released Gabor counts of session 798911424 into a trial CSV and an image stack.

The data are not part of the project: run
``python tests/allen_gabors.py FOLDER_OF_THE_DATA OUTPUT_FOLDER`` to create the inputs of
``session.source: tables`` by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import grating_patch

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "visam_gabors_798911424"
KEYS = ["x_position", "y_position", "orientation"]


def visam_units(folder: Path) -> pd.Index:
    """Ids of the VISam units that pass AllenSDK's default quality filters."""
    units = pd.read_csv(folder / "units.csv.gz", index_col="ecephys_unit_id", low_memory=False)
    keep = (
        (units["ecephys_structure_acronym"] == "VISam")
        & (units["isi_violations"] <= 0.5)
        & (units["amplitude_cutoff"] <= 0.1)
        & (units["presence_ratio"] >= 0.95)
    )
    return units.index[keep]


def convert(
    folder: Path, output: Path, geometry: Geometry, chosen: Sequence[int] | None = None
) -> None:
    """Write trials.csv and images.npy, where image_id is the Gabor condition, and gabors.csv.

    Of the VISam units, or of the chosen ones.
    """
    presentations = pd.read_csv(folder / "gabor_presentations.csv")
    archive = np.load(folder / "gabor_spike_counts.npz", allow_pickle=False)
    ids = presentations["stimulus_presentation_id"].to_numpy()
    np.testing.assert_array_equal(archive["stimulus_presentation_ids"], ids)
    conditions = presentations[KEYS].drop_duplicates().sort_values(KEYS).reset_index(drop=True)
    lookup = conditions.assign(image_id=np.arange(len(conditions)))
    image_ids = presentations[KEYS].merge(lookup, on=KEYS, how="left")["image_id"].to_numpy()
    units = visam_units(folder) if chosen is None else pd.Index(chosen)
    rows = pd.Index(archive["unit_ids"]).get_indexer(units)
    counts = next(archive[k] for k in archive.files if archive[k].ndim == 2)[rows]
    output.mkdir(parents=True, exist_ok=True)
    trials = pd.DataFrame(
        {
            "trial_id": np.tile(ids, len(units)),
            "neuron_id": np.repeat(units.to_numpy(), len(ids)),
            "spike_count": counts.ravel(),
        }
    )
    trials.assign(image_id=np.tile(image_ids, len(units))).to_csv(
        output / "trials.csv", index=False
    )
    shown = {key: np.tile(presentations[key], len(units)) for key in KEYS}
    trials.assign(**shown).to_csv(output / "gabors.csv", index=False)
    patches = grating_patch(
        geometry,
        conditions["x_position"],
        conditions["y_position"],
        1 / 0.08,
        conditions["orientation"],
        0.0,
        20.0,
    )
    np.save(output / "images.npy", (0.5 + 0.4 * patches).astype(np.float32))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), Geometry(60, 96))
