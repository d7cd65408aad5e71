"""Optimal movies of spatio-temporal models, from noise."""

from __future__ import annotations

import torch

from meiflow.models.device import chosen_device
from meiflow.stimuli.mei import climb
from meiflow.stimuli.objectives import Objective, ResponseModel
from meiflow.stimuli.optimiser import Optimised
from meiflow.stimuli.postprocessors import MeanContrast, TemporalLowPass
from meiflow.stimuli.preconditioning import power_law

_KERNEL_SIGMAS = 6


def most_exciting_movie(
    model: ResponseModel,
    shape: tuple[int, int, int, int],
    mean: float = 0.5,
    contrast: float = 0.1,
    objective: Objective | None = None,
    restarts: int = 4,
    steps: int = 200,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 0.5,
    temporal_sigma: float = 0.0,
    seed: int = 0,
    label: str = "",
) -> Optimised:
    """Maximise an objective over movies at fixed mean and contrast.

    The artificial optimum of flyvis and openretina: from noise, with all frames free. Here the mean
    and RMS contrast of the whole movie are fixed, whereas flyvis penalises the distance to grey and
    openretina fixes a norm.

    Parameters
    ----------
    model : callable
        Movies (batch, channels, time, height, width) in [0, 1] to responses (batch, [time,]
        [neurons]).
    shape : (channels, time, height, width)
    objective : Objective, optional
        By default the mean response; ``Increase(3, Last())`` is neuron 3 in the last frame.
    exponent : float
        Exponent of the gradient smoothing of each frame, with frequencies in cycles per pixel.
    temporal_sigma : float
        Sigma in frames of the temporal low-pass applied at each step; 0 for none.
    seed : int

    Returns
    -------
    Optimised
        One movie per restart; ``best`` is the index of the best one.

    Examples
    --------
    >>> def onset(movies):
    ...     light = movies.mean((1, 3, 4))
    ...     return light[:, -1] - light[:, -2]
    >>> found = most_exciting_movie(onset, (1, 6, 8, 8), steps=20, restarts=1)
    >>> movie = found.stimuli[found.best][0]
    >>> movie.shape, bool(movie[-1].mean() > movie[-2].mean())
    (torch.Size([6, 8, 8]), True)
    """
    generator = torch.Generator().manual_seed(seed)
    held = MeanContrast(mean, contrast)
    noise = torch.randn((restarts, *shape), generator=generator).to(chosen_device())
    smooth = power_law(shape[-2:], exponent, keep_mean=True)
    low_pass: tuple[TemporalLowPass, ...] = ()
    if temporal_sigma > 0:
        size = 2 * round(_KERNEL_SIGMAS / 2 * temporal_sigma) + 1
        low_pass = (TemporalLowPass(temporal_sigma, size),)
    return climb(
        model, noise, smooth, held, objective, step_size, steps, low_pass, seed=seed, label=label
    )
