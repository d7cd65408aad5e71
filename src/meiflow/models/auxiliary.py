"""Other stimuli of the session, used as additional training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import StimulusParameters
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.session.presented import (
    drifting_images,
    gabor_images,
    gabor_phases,
    grating_images,
)
from meiflow.session.schedule import DRIFT_PHASES
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

    def without(self, kinds: Sequence[str]) -> AuxiliaryStimuli:
        """The stimuli of all other kinds."""
        kept = np.array([own not in kinds for own in self.kinds], bool)
        left = tuple(own for own in self.kinds if own not in kinds)
        return AuxiliaryStimuli(self.images[kept], self.means[kept], self.weights[kept], left)


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


def gather_drifting(
    tables: Mapping[str, pd.DataFrame],
    geometry: Geometry,
    shown: StimulusParameters,
    scene_repeats: float,
    neurons: list[str],
) -> list[DriftingStimuli]:
    """Gabors and drifting gratings of a session, as stimuli to which models are fitted.

    A model of single images predicts the same for a grating that moves in the opposite direction or
    at another speed, so that these conditions are averaged.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        For ``gabors`` and ``drifting_gratings``, one row per condition, with parameters,
        ``repeats`` and the mean counts of `neurons`.
    shown : StimulusParameters
        Parameters of the stimuli.
    scene_repeats : float
        Mean number of trials of a scene.
    neurons : list of str
        Requested neurons.

    Examples
    --------
    >>> table = pd.DataFrame({"orientation": [0.0, 90.0, 180.0], "temporal_frequency": 2.0})
    >>> table = table.assign(repeats=15, a=[3.0, 0.0, 5.0])
    >>> shown = {"drifting_gratings": table}
    >>> [found] = gather_drifting(shown, Geometry(12, 20), StimulusParameters(), 50.0, ["a"])
    >>> found.means.ravel(), found.weights
    (array([4., 0.]), array([0.6, 0.3]))
    """
    found = []
    for kind, conditions in tables.items():
        table, phases = conditions, np.array(DRIFT_PHASES)
        if kind == "gabors":
            phases = gabor_phases(shown)
            draw = partial(gabor_images, geometry, table, shown)
        else:
            axis = (table["orientation"] % 180).rename("orientation")
            grouped = table.drop(columns="orientation").groupby(axis)
            means, repeats = grouped[neurons].mean(), grouped["repeats"].sum()
            table = means.assign(repeats=repeats).reset_index()
            draw = partial(drifting_images, geometry, table["orientation"].to_numpy(float), shown)
        pairs = np.stack([draw(phase) for phase in (0.0, 90.0)], axis=1) - np.float32(GREY)
        weights = np.minimum(table["repeats"].to_numpy(float) / scene_repeats, 1)
        means = table[neurons].to_numpy(float)
        same = kind == "gabors"
        found.append(DriftingStimuli(kind, pairs, phases, means, weights, same))
    return found


def _blank(geometry: Geometry, trials: Trials, neurons: list[str]) -> AuxiliaryStimuli:
    grey_trials = trials.image_ids < 0
    if not grey_trials.any():
        return AuxiliaryStimuli.nothing(geometry, len(neurons))
    columns = [list(trials.neuron_ids).index(neuron) for neuron in neurons]
    means = trials.counts[grey_trials][:, columns].mean(axis=0)
    grey = np.full((1, *geometry.shape), GREY, np.float32)
    return AuxiliaryStimuli(grey, means[None], np.array([float(grey_trials.sum())]))
