"""Recorded Gabor tuning compared with Allen's released table, on real counts.

    python -m benchmarks.recorded_tuning FOLDER

FOLDER holds gabor_presentations.csv (``session.get_stimulus_table('gabors')``),
gabor_spike_counts.npz (counts, unit_ids, stimulus_presentation_ids) and units.csv.gz (Allen's units
with their released metrics); it is not part of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.config.parametric import PARAMETRIC
from meiflow.tables.conditions import Conditions
from meiflow.tables.tuning import tuning_table
from meiflow.validation.recorded import agreement, tuning_curve

# AllenSDK adds these to the position on the screen.
AZIMUTH_0, ELEVATION_0 = 50, 10


def read(folder: Path) -> tuple[Conditions, pd.DataFrame]:
    """Counts of the VISam units that pass AllenSDK's filters, and Allen's table of these units."""
    units = pd.read_csv(folder / "units.csv.gz", index_col="ecephys_unit_id", low_memory=False)
    units = units[
        (units["ecephys_structure_acronym"] == "VISam")
        & (units["isi_violations"] <= 0.5)
        & (units["amplitude_cutoff"] <= 0.1)
        & (units["presence_ratio"] >= 0.95)
    ]
    archive = np.load(folder / "gabor_spike_counts.npz", allow_pickle=False)
    counts = archive["counts"][pd.Index(archive["unit_ids"]).get_indexer(units.index)].T
    shown = pd.read_csv(folder / "gabor_presentations.csv", index_col="stimulus_presentation_id")
    recorded = Conditions.of(
        shown[PARAMETRIC["gabors"]], counts.astype(int), [*map(str, units.index)]
    )
    return recorded, units


def main() -> None:
    """Print the comparison."""
    recorded, units = read(Path(sys.argv[1]))
    ours = tuning_table(recorded.neuron_ids, recorded.mean_table(), None)
    significant = (units["p_value_rf"] < 0.01).to_numpy()
    x = ours["rf_x_deg"].to_numpy() + AZIMUTH_0
    y = ours["rf_y_deg"].to_numpy() + ELEVATION_0
    theirs = units["azimuth_rf"].to_numpy(), units["elevation_rf"].to_numpy()
    rows = np.flatnonzero(significant)
    permuted = np.random.default_rng(0).permutation(rows)
    apart = np.hypot(x - theirs[0], y - theirs[1])[rows]
    shuffled = np.hypot(x[permuted] - theirs[0][rows], y[permuted] - theirs[1][rows])
    print(f"receptive-field centre, {len(rows)} of {len(units)} units with p_value_rf < 0.01:")
    print(
        f"  median distance {np.nanmedian(apart):.4f} deg, 95 % {np.nanquantile(apart, 0.95):.2f}"
    )
    print(f"  units permuted: {np.nanmedian(shuffled):.1f} deg")
    curve = tuning_curve(recorded, recorded.means, ("orientation",))
    tuned = np.array([one.tuned for one in agreement(curve, 0)])
    angles = curve.values["orientation"].to_numpy(float)
    preferred = angles[curve.recorded.argmax(axis=0)]
    for column, name in (("pref_ori_sg", "static"), ("pref_ori_dg", "drifting")):
        other = pd.to_numeric(units[column], errors="coerce").to_numpy(float)
        known = tuned & np.isfinite(other)
        differs = np.abs((preferred - other + 90) % 180 - 90)[known]
        mirrored = np.abs((preferred + other + 90) % 180 - 90)[known]
        print(
            f"preferred Gabor orientation (0, 45, 90) compared with Allen's for {name} gratings, "
            f"{known.sum()} tuned units: mean difference {differs.mean():.0f} deg, "
            f"{mirrored.mean():.0f} if mirrored, 45 by chance"
        )


if __name__ == "__main__":
    main()
