"""Experiments: a function from parameters to stimuli, and the parameter values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from meiflow.stimuli.objectives import Objective, Reducer, ResponseModel

Stimuli = NDArray[np.floating]
Respond = Callable[[Stimuli], ArrayLike]
RESERVED = ("neuron_id", "experiment", "response")
_ROUNDING = 1e-6  # rounding error of single precision


@dataclass(frozen=True)
class Experiment:
    """A function from parameters to stimuli, and the values of each parameter.

    Parameters
    ----------
    name : str
        Name made of letters, digits and underscores.
    render : callable
        Called with one array of length n per axis, by name. It returns n stimuli: luminance images
        (n, height, width), images (n, channels, height, width), or movies (n, channels, frames,
        height, width).
    axes : mapping of str to sequence
        Values of each parameter by name, numbers or texts. All combinations are shown.

    Raises
    ------
    ValueError
        If a name or an axis is invalid.

    Examples
    --------
    >>> from meiflow.images.geometry import Geometry
    >>> from meiflow.images.patterns import disc
    >>> screen = Geometry(60, 96)
    >>> spots = Experiment(
    ...     "spots",
    ...     lambda diameter_deg: 0.5 + 0.4 * disc(screen, 0, 0, diameter_deg),
    ...     {"diameter_deg": [5, 10, 20]},
    ... )
    >>> run(spots, lambda images: images.mean((1, 2))).round(3)
       diameter_deg  response
    0             5     0.501
    1            10     0.503
    2            20     0.511
    """

    name: str
    render: Callable[..., Any]
    axes: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"invalid experiment name {self.name!r}; use letters, digits and _")
        if not callable(self.render):
            raise ValueError(
                f"{self.name}: render must be a function, got {type(self.render).__name__}"
            )
        if not isinstance(self.axes, Mapping) or not self.axes:
            raise ValueError(
                f"{self.name}: axes must be a dict that maps parameter names to values"
            )
        for name, values in self.axes.items():
            if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
                raise ValueError(
                    f"{self.name}: invalid axis name {name!r}; use letters, digits and _, and not "
                    f"{', '.join(RESERVED)}"
                )
            array = np.asarray(values)
            if array.ndim != 1 or not len(array) or array.dtype.kind not in "biufUO":
                raise ValueError(
                    f"{self.name}: axis {name} has shape {array.shape}; expected a non-empty list "
                    "of numbers or texts"
                )

    def conditions(self) -> pd.DataFrame:
        """All combinations of the values, one row each; the last axis changes fastest."""
        axes = {name: np.asarray(values) for name, values in self.axes.items()}
        grids = np.meshgrid(*[np.arange(len(v)) for v in axes.values()], indexing="ij")
        pairs = zip(axes.items(), grids, strict=True)
        return pd.DataFrame({name: values[grid.ravel()] for (name, values), grid in pairs})


def run(
    experiment: Experiment,
    respond: Respond,
    reduce: Reducer | None = None,
    *,
    limits: tuple[float, float] | None = (0.0, 1.0),
    batch: int = 256,
) -> pd.DataFrame:
    """Run an experiment and record the responses.

    Parameters
    ----------
    experiment : Experiment
    respond : callable
        Function from stimuli (n, ...) to responses (n,), or (n, time) with `reduce`; for instance
        ``NeuronModel.predict``. Use `responder` to create one from a torch module.
    reduce : callable, optional
        Reduction over time: ``Mean()``, ``SliceMean(start, length)`` or ``Last()`` from
        `meiflow.stimuli`.
    limits : (float, float) or None
        Allowed range of the stimuli, which are never clipped.
    batch : int
        Number of stimuli rendered and shown at once.

    Returns
    -------
    DataFrame
        A column per axis and ``response``, one row per condition.

    Raises
    ------
    ValueError
        If stimuli or responses have a wrong shape, are not finite, or are out of range.

    Examples
    --------
    >>> axes = {"level": [0.2, 0.8], "side": ["left", "right"]}
    >>> def halves(level, side):
    ...     images = np.full((len(level), 4, 6), 0.5)
    ...     for image, value, name in zip(images, level, side, strict=True):
    ...         image[:, slice(0, 3) if name == "left" else slice(3, 6)] = value
    ...     return images
    >>> run(Experiment("halves", halves, axes), lambda images: images[:, :, :3].mean((1, 2)))
       level   side  response
    0    0.2   left       0.2
    1    0.2  right       0.5
    2    0.8   left       0.8
    3    0.8  right       0.5
    """
    table = experiment.conditions()
    parts = []
    for start in range(0, len(table), batch):
        part = table.iloc[start : start + batch]
        values = {str(name): part[name].to_numpy() for name in part}
        stimuli = _checked(experiment, np.asarray(experiment.render(**values)), len(part), limits)
        parts.append(_responses(experiment, respond(stimuli), len(part), reduce))
    return table.assign(response=np.concatenate(parts))


def _checked(
    experiment: Experiment, stimuli: NDArray, n: int, limits: tuple[float, float] | None
) -> Stimuli:
    if stimuli.dtype.kind not in "biuf" or stimuli.ndim not in (3, 4, 5) or len(stimuli) != n:
        raise ValueError(
            f"{experiment.name}: render returned {stimuli.dtype} of shape {stimuli.shape} for {n} "
            "conditions; expected (n, [channels, [frames,]] height, width)"
        )
    if not np.isfinite(stimuli).all():
        raise ValueError(f"{experiment.name}: render returned stimuli that are not finite")
    if limits is not None:
        low, high = float(stimuli.min()), float(stimuli.max())
        if low < limits[0] - _ROUNDING or high > limits[1] + _ROUNDING:
            raise ValueError(
                f"{experiment.name}: stimuli range from {low:.4g} to {high:.4g}; luminance must be "
                f"in {limits[0]:g} to {limits[1]:g}, because stimuli are not clipped"
            )
    return np.require(stimuli, requirements="W")  # broadcast arrays cannot be converted to tensors


def _responses(
    experiment: Experiment, given: ArrayLike, n: int, reduce: Reducer | None
) -> NDArray[np.float64]:
    responses = np.asarray(given, dtype=float)
    if reduce is not None:
        import torch

        from meiflow.stimuli.objectives import per_neuron

        responses = per_neuron(torch.as_tensor(responses)[..., None], reduce)[:, 0].numpy()
    if responses.shape != (n,):
        raise ValueError(
            f"{experiment.name}: responses to {n} stimuli have shape {responses.shape}; expected "
            "(n,), or (n, time) and a reducer"
        )
    if not np.isfinite(responses).all():
        raise ValueError(f"{experiment.name}: the model returned responses that are not finite")
    return responses


def responder(model: ResponseModel, objective: Objective | None = None) -> Respond:
    """Convert a torch model to a function of arrays, without gradients.

    Parameters
    ----------
    model : callable
        Map from stimuli to responses (batch, [time,] neurons), run in evaluation mode.
    objective : callable, optional
        Choice of neurons and reduction over time, e.g. ``Increase(neuron, Last())``; by default the
        mean of all.

    Examples
    --------
    >>> import torch
    >>> respond = responder(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU()))
    >>> respond(np.full((3, 4, 5), 0.5, np.float32)).round(3)
    array([0.5, 0.5, 0.5])
    """
    import torch

    from meiflow.stimuli.objectives import IncreaseObjective, evaluated

    chosen = objective if objective is not None else IncreaseObjective()

    def respond(stimuli: Stimuli) -> ArrayLike:
        with evaluated(model), torch.no_grad():
            x = torch.as_tensor(stimuli, dtype=torch.float32)
            return np.asarray(chosen(model(x), x).numpy(), dtype=float)

    return respond
