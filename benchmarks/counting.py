"""Counting spikes per trial: AllenSDK's way against ours, on one session file.

``python benchmarks/counting.py results/full/session/session.nwb`` opens the session once with
AllenSDK, counts all natural-scene presentations of the units of one area with
``presentationwise_spike_counts`` and with `meiflow.tables.counts.count_spikes`, checks that
they agree cell for cell, and prints the ratio of the times. Make the file with
``snakemake --cores 2 --configfile workflow/presets/full.yaml results/full/session/session.nwb``
(target first). Peak memory is that of this process, opening included.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from meiflow.config import Quality
from meiflow.session.recording import open_recording, read_session
from meiflow.tables.counts import count_spikes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nwb", type=Path)
    parser.add_argument("--area", default="VISam")
    arguments = parser.parse_args()

    start = time.perf_counter()
    recording = read_session(arguments.nwb, (arguments.area,), Quality())
    opened = time.perf_counter() - start
    onset = recording.scenes["start_time"].to_numpy()
    start = time.perf_counter()
    ours = count_spikes(recording.spike_times, onset, onset + 0.25)
    mine = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"ours: open and read {opened:.1f} s, count {mine:.3f} s, peak {memory:.2f} GB")

    with open_recording(arguments.nwb, Quality()) as session:
        _ = session.units, session.stimulus_presentations, session.spike_times
        ids, units = recording.scenes.index.to_numpy(), recording.units.index.to_numpy()
        start = time.perf_counter()
        theirs = session.presentationwise_spike_counts([0.0, 0.25], ids, units)
        binned = time.perf_counter() - start
        start = time.perf_counter()
        rows = session.presentationwise_spike_times(ids, units)
        listed = time.perf_counter() - start
    np.testing.assert_array_equal(ours, theirs.to_numpy()[:, 0, :].astype(int))
    print(
        f"{ours.shape[0]} presentations x {ours.shape[1]} units, {ours.sum()} spikes, equal cell "
        f"for cell ({len(rows)} rows listed)"
    )
    print(
        f"AllenSDK: presentationwise_spike_counts {binned:.2f} s = {binned / mine:.0f} x ours; "
        f"presentationwise_spike_times {listed:.2f} s = {listed / mine:.0f} x ours"
    )


if __name__ == "__main__":
    main()
