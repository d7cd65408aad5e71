"""Spike times around every image presentation, for rasters and PSTHs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError

BEFORE_S = 0.1
AFTER_S = 0.5
TICK_S = 1e-4  # time resolution of stored spikes; 16 bits cover 3 s


@dataclass(frozen=True)
class ImageSpikes:
    """Spikes of every neuron in (-0.1, 0.5] s around the onset of every presentation.

    Parameters
    ----------
    ticks : ndarray of int16, shape (spikes,)
        Time after onset in units of 0.1 ms, sorted by neuron, presentation and time.
    counts : ndarray of int, shape (neurons, presentations)
        Number of spikes of each neuron in each presentation.
    neuron_ids : ndarray of str, shape (neurons,)
    image_ids : ndarray of int, shape (presentations,)
        Image shown in each trial; -1 is the blank.
    """

    ticks: NDArray[np.int16]
    counts: NDArray[np.int64]
    neuron_ids: NDArray
    image_ids: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        spike_times: list[NDArray],
        onsets: ArrayLike,
        image_ids: ArrayLike,
        neuron_ids: list[str],
    ) -> ImageSpikes:
        """Extract the spikes around each onset.

        Parameters
        ----------
        spike_times : list of ndarray
            Sorted spike times in seconds, one array per neuron.
        onsets : array_like, shape (presentations,)
            Onsets in seconds, in any order; windows may overlap.
        image_ids : array_like of int, shape (presentations,)
        neuron_ids : list of str
        """
        onset = np.asarray(onsets, dtype=float)
        edges = np.stack([onset - BEFORE_S, onset + AFTER_S])
        ticks, counts = [np.empty(0, np.int16)], []
        for times in spike_times:
            first, last = np.searchsorted(times, edges, side="right")
            n = last - first
            which = np.repeat(np.arange(len(onset)), n)
            place = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
            away = np.asarray(times)[place] - onset[which]
            ticks.append(np.rint(away / TICK_S).astype(np.int16))
            counts.append(n)
        return cls(
            np.concatenate(ticks),
            np.array(counts).reshape(len(spike_times), len(onset)),
            np.array(neuron_ids, dtype=str),
            np.asarray(image_ids, dtype=np.int64),
        )

    def of_neuron(self, neuron: str, image: int) -> list[NDArray[np.float64]]:
        """Spike times of a neuron in seconds after onset, one array per trial of the image.

        Raises
        ------
        MeiflowError
            If there are no spikes of this neuron.
        """
        rows = np.flatnonzero(self.neuron_ids == neuron)
        if not len(rows):
            raise MeiflowError(f"neuron {neuron!r} has no spike times; rebuild the tables")
        start = int(self.counts[: rows[0]].sum())
        ends = start + np.cumsum(self.counts[rows[0]])
        starts = ends - self.counts[rows[0]]
        return [
            self.ticks[starts[trial] : ends[trial]].astype(np.float64) * TICK_S
            for trial in np.flatnonzero(self.image_ids == image)
        ]

    def arrays(self) -> dict[str, ArrayLike]:
        """The arrays of image_spikes.npz: ticks, counts, ids and the window."""
        narrow = np.min_scalar_type(int(self.counts.max(initial=0)))
        return {
            "ticks": self.ticks,
            "counts": self.counts.astype(narrow),
            "neuron_ids": self.neuron_ids,
            "image_ids": self.image_ids,
            "tick_s": TICK_S,
            "before_s": BEFORE_S,
            "after_s": AFTER_S,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], origin: str) -> ImageSpikes:
        """Build from the output of `arrays`; `origin` is the file name used in messages.

        Raises
        ------
        MeiflowError
            If an array is missing or the arrays are inconsistent.
        """
        lacks = {"ticks", "counts", "neuron_ids", "image_ids", "tick_s"} - set(arrays)
        if lacks or float(arrays["tick_s"]) != TICK_S:
            what = (
                f"lacks {', '.join(sorted(lacks))}" if lacks else "has a different time resolution"
            )
            raise MeiflowError(f"{origin}: {what}; rebuild the tables")
        spikes = cls(
            arrays["ticks"],
            arrays["counts"].astype(np.int64),
            arrays["neuron_ids"],
            arrays["image_ids"],
        )
        shape = (len(spikes.neuron_ids), len(spikes.image_ids))
        if spikes.counts.shape != shape or spikes.counts.sum() != len(spikes.ticks):
            raise MeiflowError(f"{origin}: inconsistent arrays; rebuild the tables")
        return spikes
