"""What a stimulus pack contains, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meiflow.errors import MeiflowError, closest
from meiflow.pack.monitor import Gamma, Monitor
from meiflow.pack.stimuli import BLANK, OTHER, SCRAMBLED

# Those of the workflow, then the controls.
CHOICES = (
    *("mei", "recorded_gabor", "best_gabor", "best_natural", "windowed_natural"),
    *(OTHER, SCRAMBLED),
)
DEFAULT = ("mei", "best_gabor", "best_natural", OTHER, SCRAMBLED)


@dataclass(frozen=True)
class Design:
    """What to show, and how.

    Parameters
    ----------
    monitor : Monitor
    gamma : Gamma
    neurons : tuple of str
        By default those whose MEI is trusted.
    every : bool
        Whether to take all fitted neurons instead.
    stimuli : tuple of str
        From `CHOICES`, with ``mei``; a blank is always added.
    extra : mapping of str to path
        Further stimuli by name: ``.npy`` (neurons, height, width) in the order of the neurons.
    contrasts : tuple of float
        RMS contrasts; by default half of and the same as that of the MEIs.
    background : float or None
        Luminance of the blank and around the images; by default the mean of the stimuli.
    centre, shift : tuple of float or None
        New position of the MEI of every neuron, or displacement of all images, in degrees.
    blocks : int
        Number of presentations of each stimulus.
    duration_s, gap_s : float
        Duration of a presentation, and of the background after it.
    seed : int
    """

    monitor: Monitor
    gamma: Gamma
    neurons: tuple[str, ...] = ()
    every: bool = False
    stimuli: tuple[str, ...] = DEFAULT
    extra: Mapping[str, Path] = field(default_factory=dict)
    contrasts: tuple[float, ...] = ()
    background: float | None = None
    centre: tuple[float, float] | None = None
    shift: tuple[float, float] | None = None
    blocks: int = 20
    duration_s: float = 0.25
    gap_s: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if self.neurons and self.every:
            raise MeiflowError("--neuron and --all: give only one of them")
        if self.centre is not None and self.shift is not None:
            raise MeiflowError("--centre and --shift: give only one of them")
        unknown = [name for name in self.stimuli if name not in CHOICES]
        if unknown:
            raise MeiflowError(
                f"--stimulus {unknown[0]!r}: unknown{closest(unknown[0], CHOICES)}; allowed: "
                f"{', '.join(CHOICES)}"
            )
        for name, values in (("centre", self.centre), ("shift", self.shift)):
            if values is not None and not np.all(np.abs(values) <= 90):
                raise MeiflowError(f"--{name}: expected two angles from -90 to 90 degrees")
        if self.background is not None and not 0 < self.background < 1:
            raise MeiflowError(
                f"--background {self.background:g}: expected a luminance between 0 (black) and 1 "
                "(white)"
            )
        wrong = [c for c in self.contrasts if not 0 < c < 0.5]
        if wrong:
            raise MeiflowError(f"--contrast {wrong[0]:g}: expected an RMS contrast from 0 to 0.5")
        if len(set(self.contrasts)) < len(self.contrasts):
            raise MeiflowError("--contrast: the same contrast is given twice")
        taken = [name for name in self.extra if name in (*CHOICES, BLANK)]
        if taken:
            raise MeiflowError(f"--extra {taken[0]}: this name is taken; choose another")
