r"""Drifting gratings and drifting Gabors as further stimuli to which models are fitted.

Spikes are counted during a presentation in which the phase of a sinusoid passes through whole
cycles. The phase at its onset is not known (session files have one and the same number for all
presentations), so that a model of images predicts the mean of its responses over all phases.
Readouts that are linear in their channels have this mean at the mean of the channels over the
phases. Only such base models learn from drifting stimuli.

At phase :math:`p`, the contrast is :math:`a \cos p + b \sin p` with the contrasts :math:`a` at 0
and :math:`b` at 90 degrees, and so is the output of every linear filter. Two images are therefore
sufficient for all phases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd

_BATCH = 64  # images


@dataclass(frozen=True)
class DriftingStimuli:
    """Stimuli of one kind, with the mean counts of whole presentations.

    Parameters
    ----------
    kind : str
        Name of the stimulus, such as ``gabors``.
    pairs : ndarray, shape (stimuli, 2, height, width)
        Contrast (luminance minus grey) at the phases 0 and 90 degrees.
    phases : ndarray, shape (phases,)
        Phases in degrees, each shown for the same time; a single one for stimuli that do not move.
    means : ndarray, shape (stimuli, neurons)
        Mean counts per presentation.
    weights : ndarray, shape (stimuli,)
        Number of trials divided by the mean number of trials of the scenes; at most 1.
    same_window : bool
        Whether spikes were counted for as long as those of the scenes. Otherwise counts are divided
        by the ratio of the mean counts of all neurons, and real-valued responses stay as they are.

    Examples
    --------
    >>> from meiflow.images import patterns
    >>> from meiflow.images.geometry import Geometry
    >>> screen, phases = Geometry(12, 20), np.array([0.0, 90.0])
    >>> pair = 0.4 * patterns.grating(screen, 30.0, 0.0, phases)[None]
    >>> drifting = DriftingStimuli("drifting_gratings", pair, np.array([60.0]),
    ...                            np.ones((1, 2)), np.ones(1), False)
    >>> same = 0.4 * patterns.grating(screen, 30.0, 0.0, 60.0)
    >>> bool(np.allclose(drifting.frames(slice(0, 1))[0, 0], same, atol=1e-6))
    True
    """

    kind: str
    pairs: NDArray[np.float32]
    phases: NDArray[np.float64]
    means: NDArray[np.float64]
    weights: NDArray[np.float64]
    same_window: bool

    def __len__(self) -> int:
        return len(self.pairs)

    def in_units(self, units: NDArray) -> DriftingStimuli:
        """The same stimuli with responses in other units, shape (neurons,)."""
        return replace(self, means=self.means / units)

    def shuffled(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Responses of every neuron permuted across stimuli, for the shuffled control."""
        return np.asarray(rng.permuted(self.means, axis=0))

    def frames(self, part: slice) -> NDArray[np.float32]:
        """Contrast of some stimuli at every phase, (stimuli, phases, height, width)."""
        turn = np.deg2rad(self.phases)
        mixed = np.tensordot(
            self.pairs[part], np.stack([np.cos(turn), np.sin(turn)]), axes=([1], [0])
        )
        return np.moveaxis(mixed, -1, 1).astype(np.float32)

    def features_at(
        self, front_end: FrontEnd, geometry: Geometry, x: float, y: float
    ) -> NDArray[np.float64]:
        """Channels (stimuli, n_channels) at a position in degrees, averaged over phases."""
        filters = front_end.filters(geometry, x, y)
        a, b = self.pairs.reshape(len(self), 2, -1).astype(float).swapaxes(0, 1)
        flat = {name: stack.reshape(len(stack), -1).T for name, stack in filters.items()}
        linear = {name: (a @ flat[name], b @ flat[name]) for name in ("even", "odd", "centre")}
        power = [product @ flat["pool"] for product in (a * a, b * b, a * b)]
        total = np.zeros((len(self), front_end.n_channels))
        for phase in np.deg2rad(self.phases):
            c, s = np.cos(phase), np.sin(phase)
            even, odd, centre = (c * first + s * second for first, second in linear.values())
            local = c * c * power[0] + s * s * power[1] + 2 * c * s * power[2]
            total += front_end.channels(even, odd, centre, local)
        return total / len(self.phases)

    def averaged_maps(self, maps: nn.Module) -> NDArray[np.float32]:
        """Feature maps (stimuli, positions, channels), averaged over phases."""
        at_once = max(1, _BATCH // len(self.phases))
        found = []
        with torch.no_grad():
            for first in range(0, len(self), at_once):
                frames = torch.as_tensor(self.frames(slice(first, first + at_once)))
                each = maps(frames.flatten(2).flatten(0, 1)).unflatten(0, frames.shape[:2])
                found.append(each.mean(1))
        return np.asarray(torch.cat(found).numpy())
