"""The most exciting image of a model in one call, with checks of the model and default starts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from meiflow.errors import MeiflowError, shorten
from meiflow.images.geometry import Geometry
from meiflow.images.labelled import labelled
from meiflow.images.luminance import GREY, luminance
from meiflow.images.projection import require_reachable
from meiflow.models.custom import check_responses, evaluation_module
from meiflow.models.fitted import FittedPopulation
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.models.threads import one_torch_thread
from meiflow.stimuli.mei import PopulationMEIs, agreeing, most_exciting_of_each, noise_starts

if TYPE_CHECKING:
    import xarray as xr

_BATCH = 240  # images in one batch of a population
_OF_A_NEURON = ("response", "restarts_agreeing")
_log = logging.getLogger(__name__)


def mei(
    model: nn.Module | FittedPopulation,
    *,
    contrast: float = 0.05,
    mean: float | None = None,
    screen: Geometry | None = None,
    neuron: int | None = None,
    starts: ArrayLike | None = None,
    restarts: int = 12,
    steps: int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    smoothing_exponent: float = 1.0,
    seed: int = 0,
) -> xr.DataArray:
    """The most exciting image (MEI) of a model, or of every neuron of a population.

    Gradient ascent at fixed mean luminance and RMS contrast from several noise images; the best
    result is returned. See `meiflow.stimuli.most_exciting` for the method and for other
    objectives.

    Parameters
    ----------
    model : Module or FittedPopulation
        Any differentiable torch module that maps images (batch, 1, height, width) or (batch,
        height, width), luminance in [0, 1], to responses (batch,) or (batch, neurons), in
        evaluation mode. The MEIs of a population are made in batches.
    contrast : float
        RMS contrast, the standard deviation of the pixels.
    mean : float, optional
        Mean luminance. Default: that of the images used by `meiflow.fit`; 0.5 for other models.
    screen : Geometry, optional
        Size of the images in pixels and degrees; default ``model.geometry``.
    neuron : int, optional
        Output to maximise, if the module has several.
    starts : array_like, shape (starts, height, width), optional
        Images to start from instead of noise.
    restarts : int
        Number of noise images to start from.
    steps : int
        Number of steps of gradient ascent.
    step_size : tuple of float
        First and last step, in units of `contrast`.
    smoothing_exponent : float
        The spectra of gradient and noise are multiplied by ``1 / f**exponent``.
    seed : int
        Seed of the noise.

    Returns
    -------
    DataArray, shape (y, x) or (neuron, y, x)
        Luminance in [0, 1], with the azimuth ``x`` and elevation ``y`` of the pixels in degrees
        as coordinates. Attributes: ``mean``, ``rms_contrast``, ``restarts``, ``seed``, the
        predicted ``response``, and ``restarts_agreeing``, the fraction of starts whose result is
        within 5 % of the best response. For a population, the last two are coordinates along
        ``neuron``, and the image is NaN if a neuron's model does not respond to any start.

    Raises
    ------
    MeiflowError
        If the model does not meet these requirements, does not respond to any start, or no image
        has this mean and contrast.

    Examples
    --------
    The MEI of a rectified linear neuron is its own filter:

    >>> import meiflow as mf
    >>> from meiflow.images.patterns import gabor
    >>> screen = mf.Geometry(30, 48)
    >>> field = torch.as_tensor(gabor(screen, 10.0, 5.0, 25.0, 30.0, 0.0, 9.0)).float()
    >>> class Neuron(nn.Module):
    ...     def forward(self, images):
    ...         return ((images - 0.5) * field).sum((-2, -1)).relu()
    >>> image = mf.mei(Neuron().eval(), screen=screen, contrast=0.05)
    >>> image.sizes
    Frozen({'y': 30, 'x': 48})
    >>> round(float(image.mean()), 3), round(float(image.std()), 3)
    (0.5, 0.05)
    >>> bool(np.corrcoef(image.values.ravel(), field.ravel())[0, 1] > 0.99)
    True
    >>> round(image.attrs["restarts_agreeing"], 3)
    1.0
    """
    geometry = _screen(model, screen)
    if mean is None:
        name = "mean" if isinstance(model, FittedPopulation) else "mean_luminance"
        known: Any = getattr(model, name, None)
        mean = GREY if known is None else float(known)
    require_reachable(mean, contrast, "contrast")
    if restarts < 1 or steps < 1:
        raise MeiflowError(f"restarts and steps: at least 1 each, got {restarts} and {steps}")
    attributes: dict[str, Any] = {"mean": mean, "rms_contrast": contrast}
    if starts is None:
        begin = noise_starts(restarts, geometry, smoothing_exponent, mean, contrast, seed)
        attributes["seed"] = seed
    else:
        begin = torch.as_tensor(luminance(starts, geometry))
    attributes["restarts"] = len(begin)

    ascend = partial(
        _ascended,
        starts=begin,
        geometry=geometry,
        mean=mean,
        contrast=contrast,
        stop=steps,
        step_size=step_size,
        exponent=smoothing_exponent,
    )
    if isinstance(model, FittedPopulation):
        if neuron is not None:
            raise MeiflowError("neuron: not for a population; choose a neuron with population[id]")
        with one_torch_thread():
            return _meis_of_population(model, ascend, len(begin), attributes)
    name = type(model).__name__
    output = _Output(model, geometry, neuron, name)
    with one_torch_thread() if isinstance(model, NeuronModel) else nullcontext():
        found = ascend(output, 1, starts=begin.to(output.device))
    if _flat(found)[0]:
        raise MeiflowError(
            f"{name}: zero gradient at all {len(begin)} starts, even at high contrast; check that "
            "the model is trained and expects luminance in 0..1"
        )
    image = _best(found, [name], geometry, attributes)[0]
    image.attrs |= {key: image[key].item() for key in _OF_A_NEURON}
    return image.drop_vars(("neuron", *_OF_A_NEURON))


def _screen(model: Any, screen: Geometry | None) -> Geometry:
    own = getattr(model, "geometry", None)
    if not isinstance(own, Geometry):
        own = screen
    if own is None:
        raise MeiflowError(
            "screen: the image size of the model is unknown; pass screen=Geometry(height, width, "
            "width_deg, height_deg)"
        )
    if screen is not None and screen != own:
        raise MeiflowError(f"screen: {screen}, but the model expects {own}")
    return own


class _Output(nn.Module):
    """One output of a user's module: responses (batch,) to images (batch, height, width).

    Images are passed with a channel axis, or without one if the module only works without.
    """

    def __init__(self, module: Any, geometry: Geometry, neuron: int | None, name: str) -> None:
        module = evaluation_module(module, name)
        super().__init__()
        self.module, self.neuron = module, neuron
        self.training = False  # of this wrapper alone
        tensors = [*module.parameters(), *module.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
        self.channel = self._takes_channel(geometry, name)
        check_responses(self, geometry, name, self.device)

    def forward(self, images: Tensor) -> Tensor:
        """Responses (batch,)."""
        values: Any = self._call(images, self.channel)
        if not isinstance(values, Tensor):
            return values  # check_responses reports its type
        column = 0 if self.neuron is None else self.neuron
        return (values[:, column] if values.ndim == 2 else values).to(images.dtype)

    def _call(self, images: Tensor, channel: bool) -> Any:
        shape = images.shape[-2:]
        cast = images.reshape(-1, *([1] if channel else []), *shape).to(self.dtype)
        return self.module(cast)

    def _takes_channel(self, geometry: Geometry, name: str) -> bool:
        grey = torch.full((2, *geometry.shape), GREY, device=self.device)
        outputs = {}
        for channel in (True, False):
            try:
                with torch.no_grad():
                    values = self._call(grey, channel)
            except Exception:  # check_responses reports it for the form that is used
                continue
            if isinstance(values, Tensor) and values.ndim in (1, 2) and len(values) == 2:
                outputs[channel] = 1 if values.ndim == 1 else values.shape[1]
        for channel, number in outputs.items():
            if number == 1 if self.neuron is None else 0 <= self.neuron < number:
                return channel
        for number in outputs.values():
            if self.neuron is None:
                raise MeiflowError(f"{name}: has {number} outputs; choose one, e.g. neuron=0")
            raise MeiflowError(
                f"neuron: {self.neuron} is out of range; {name} has {number} "
                "outputs, numbered from 0"
            )
        return True


def _ascended(responder: nn.Module, neurons: int, **how: Any) -> PopulationMEIs:
    try:
        return most_exciting_of_each(responder, neurons, **how)
    except ValueError as error:
        raise MeiflowError(f"mei: {error}") from None


def _flat(found: PopulationMEIs) -> NDArray[np.bool_]:
    """Whether each neuron's response (neurons,) is constant from all starts."""
    return np.asarray((np.ptp(found.objective, axis=0) == 0).all(axis=1))


def _meis_of_population(
    population: FittedPopulation,
    ascend: Callable[[nn.Module, int], PopulationMEIs],
    starts: int,
    attributes: dict[str, Any],
) -> xr.DataArray:
    import xarray as xr

    size = max(1, _BATCH // starts)
    parts = []
    for first in range(0, len(population), size):
        names = population.neurons[first : first + size]
        found = ascend(PairedModel([population[name] for name in names]).eval(), len(names))
        flat = _flat(found)
        if flat.any():
            named = shorten(name for name, is_flat in zip(names, flat, strict=True) if is_flat)
            _log.warning("no MEI for %s: the model does not respond to any start", named)
        images = _best(found, names, population.geometry, attributes)
        parts.append(images.where(xr.DataArray(~flat, dims="neuron")))
    return xr.concat(parts, "neuron")


def _best(
    found: PopulationMEIs, names: list[str], geometry: Geometry, attributes: dict[str, Any]
) -> xr.DataArray:
    """The best image of each neuron (neuron, y, x), with `_OF_A_NEURON` as coordinates."""
    best = found.scores.argmax(1)
    rows = np.arange(len(best))
    array = labelled(found.images[rows, best], geometry, "luminance", neuron=names)
    values = found.scores[rows, best], agreeing(found.scores).mean(1)
    pairs = zip(_OF_A_NEURON, values, strict=True)
    array = array.assign_coords({key: ("neuron", value) for key, value in pairs})
    return array.assign_attrs(attributes)
