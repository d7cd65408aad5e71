"""Binned activity during the natural scenes, for the rastermap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.tables.counts import Trials, count_spikes

BIN_S = 0.1


@dataclass(frozen=True)
class Raster:
    """Spike counts in consecutive bins, each within a single stimulus block.

    Parameters
    ----------
    counts : ndarray, shape (bins, neurons)
        Whole numbers, or the real-valued responses of trials.
    start_s : ndarray, shape (bins,)
        Start of each bin in seconds; the trial number if times are not known.
    block : ndarray of int, shape (bins,)
        Stimulus block, starting at 0.
    bin_s : float
        Length of a bin in seconds; NaN if bins are trials.
    neuron_ids : ndarray of str
    """

    counts: NDArray
    start_s: NDArray[np.float64]
    block: NDArray[np.int64]
    bin_s: float
    neuron_ids: NDArray

    @classmethod
    def of_blocks(
        cls, spike_times: list[NDArray], scenes: pd.DataFrame, neuron_ids: list[str]
    ) -> Raster:
        """Count spikes in bins of 0.1 s within each block of `scenes`."""
        starts, blocks = [], []
        for number, (_, shown) in enumerate(scenes.groupby("block", sort=True)):
            first, last = shown["start_time"].min(), shown["stop_time"].max()
            n_bins = int((last - first) / BIN_S + 1e-6)
            starts.append(first + BIN_S * np.arange(n_bins))
            blocks.append(np.full(n_bins, number))
        start = np.concatenate(starts)
        counts = count_spikes(spike_times, start, start + BIN_S)
        return cls(counts, start, np.concatenate(blocks), BIN_S, np.array(neuron_ids))

    @classmethod
    def of_trials(cls, trials: Trials) -> Raster:
        """Use one bin per trial, in table order."""
        n = len(trials.trial_ids)
        names = np.array(trials.neuron_ids)
        return cls(trials.counts, np.arange(float(n)), np.zeros(n, np.int64), np.nan, names)

    def arrays(self) -> dict[str, NDArray]:
        """The arrays of raster.npz, by name."""
        whole = np.issubdtype(self.counts.dtype, np.integer)
        narrow = np.min_scalar_type(int(self.counts.max(initial=0))) if whole else np.float32
        return asdict(self) | {"counts": self.counts.astype(narrow)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], origin: str) -> Raster:
        """Build from the output of `arrays`; `origin` is the file name used in messages.

        Raises
        ------
        MeiflowError
            If an array is missing.
        """
        try:
            counts = arrays["counts"]
            return cls(
                counts.astype(float if counts.dtype.kind == "f" else np.int64),
                arrays["start_s"],
                arrays["block"],
                float(arrays["bin_s"]),
                arrays["neuron_ids"],
            )
        except KeyError as error:
            raise MeiflowError(f"{origin}: missing array {error}; rebuild the tables") from None
