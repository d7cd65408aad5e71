"""Other stimuli of the session, used as additional training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import StimulusParameters
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.session.presented import grating_images
from meiflow.tables.counts import Trials


@dataclass(frozen=True)
class AuxiliaryStimuli:
    """Stimuli used for fitting but never scored.

    Parameters
    ----------
    images : ndarray, shape (stimuli, height, width)
        Luminance in [0, 1].
    means : ndarray, shape (stimuli, neurons)
        Mean counts per presentation.
    weights : ndarray, shape (stimuli,)
        Number of trials divided by the mean number of trials of the images.
    kinds : tuple of str
        Name of each stimulus, such as ``static_gratings``; empty if it does not matter.
    """

    images: NDArray[np.float32]
    means: NDArray[np.float64]
    weights: NDArray[np.float64]
    kinds: tuple[str, ...] = ()

    @classmethod
    def nothing(cls, geometry: Geometry, neurons: int) -> AuxiliaryStimuli:
        """An empty set of stimuli."""
        empty = np.empty((0, *geometry.shape), np.float32)
        return cls(empty, np.empty((0, neurons)), np.empty(0))

    def of(self, columns: list[int]) -> AuxiliaryStimuli:
        """The same stimuli for some of the neurons."""
        return AuxiliaryStimuli(self.images, self.means[:, columns], self.weights, self.kinds)

    def without(self, kind: str) -> AuxiliaryStimuli:
        """The stimuli of all other kinds."""
        kept = np.array([own != kind for own in self.kinds], bool)
        kinds = tuple(own for own in self.kinds if own != kind)
        return AuxiliaryStimuli(self.images[kept], self.means[kept], self.weights[kept], kinds)


def gather_auxiliary(
    kinds: Sequence[str],
    geometry: Geometry,
    shown: StimulusParameters,
    trials: Trials,
    gratings: pd.DataFrame | None,
    neurons: list[str],
) -> AuxiliaryStimuli:
    """Collect additional stimuli of a session.

    Parameters
    ----------
    kinds : sequence of str
        ``blanks``: grey screens between images; ``static_gratings``, rendered in degrees. Others,
        such as ``scenes``, are the images themselves and are skipped.
    shown : StimulusParameters
        Parameters of the recorded gratings.
    trials : Trials
        Trials of images and blanks.
    gratings : DataFrame or None
        One row per grating, with parameters, ``repeats`` and the mean counts of `neurons`; None if
        they were not shown.
    neurons : list of str
        Requested neurons.
    """
    found = AuxiliaryStimuli.nothing(geometry, len(neurons))
    for kind in kinds:
        if kind == "blanks":
            part = _blank(geometry, trials, neurons)
        elif kind != "static_gratings" or gratings is None:
            continue
        else:
            part = AuxiliaryStimuli(
                grating_images(geometry, gratings, shown),
                gratings[neurons].to_numpy(float),
                gratings["repeats"].to_numpy(float),
            )
        found = AuxiliaryStimuli(
            np.concatenate([found.images, part.images]),
            np.concatenate([found.means, part.means]),
            np.concatenate([found.weights, part.weights]),
            (*found.kinds, *[kind] * len(part.images)),
        )
    per_image = np.unique(trials.image_ids[trials.image_ids >= 0], return_counts=True)[1].mean()
    return AuxiliaryStimuli(found.images, found.means, found.weights / per_image, found.kinds)


def _blank(geometry: Geometry, trials: Trials, neurons: list[str]) -> AuxiliaryStimuli:
    grey_trials = trials.image_ids < 0
    if not grey_trials.any():
        return AuxiliaryStimuli.nothing(geometry, len(neurons))
    columns = [list(trials.neuron_ids).index(neuron) for neuron in neurons]
    means = trials.counts[grey_trials][:, columns].mean(axis=0)
    grey = np.full((1, *geometry.shape), GREY, np.float32)
    return AuxiliaryStimuli(grey, means[None], np.array([float(grey_trials.sum())]))
