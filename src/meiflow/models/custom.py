"""Custom torch modules that replace our models."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.soundness import check_repeatable

_HINT = "it must map images (batch, 1, height, width) to responses (batch,)"


def check_module(module: Any, geometry: Geometry, name: str) -> nn.Module:
    """Check that a module can replace our models.

    Parameters
    ----------
    module : object
        Module or ``torch.export.ExportedProgram``, which is tested with one to three random images.
    geometry : Geometry
        Geometry of the images.
    name : str
        Name of the module, used in messages.

    Raises
    ------
    MeiflowError
        If it is not a module, is in training mode, is not on the CPU, fails, returns values of a
        wrong shape or not finite, is not differentiable, or answers differently the second time or
        in a batch.

    Examples
    --------
    >>> screen = Geometry(6, 8)
    >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    >>> try:
    ...     check_module(linear, screen, "linear")
    ... except MeiflowError as error:
    ...     print(str(error)[:31])
    linear: is in training mode, in
    >>> check_module(linear.eval(), screen, "linear") is linear
    True
    """
    module = evaluation_module(module, name)
    require_cpu(module, name)
    check_responses(module, geometry, name)
    return module


def require_cpu(module: nn.Module, name: str) -> None:
    """Check that all tensors of a module are on the CPU."""
    tensors = [*module.parameters(), *module.buffers()]
    elsewhere = {str(t.device) for t in tensors if t.device.type != "cpu"}
    if elsewhere:
        raise MeiflowError(f"{name}: is on {', '.join(elsewhere)}; return it with .cpu()")


def evaluation_module(module: Any, name: str, hint: str = _HINT) -> nn.Module:
    """The module, or that of an exported program, if it is in evaluation mode; see `check_module`.

    An ``ExportedProgram`` keeps the mode in which it was exported.
    """
    if isinstance(module, torch.export.ExportedProgram):
        return module.module()
    if not isinstance(module, nn.Module):
        raise MeiflowError(f"{name}: is a {type(module).__name__}, not a torch.nn.Module; {hint}")
    if any(part.training for part in module.modules()):
        raise MeiflowError(
            f"{name}: is in training mode, in which responses are not reproducible; call .eval()"
        )
    return module


def check_responses(
    module: nn.Module, geometry: Geometry, name: str, device: torch.device | str = "cpu"
) -> None:
    """Check the responses of a module to images; see `check_module`."""
    generator = torch.Generator().manual_seed(0)
    images = torch.empty(0)
    responses: Any = None
    for number in (3, 1, 2):
        images = torch.rand(number, 1, *geometry.shape, generator=generator).to(device)
        images.requires_grad_(True)
        try:
            responses = module(images)
        except Exception as error:  # user code may raise anything
            raise MeiflowError(
                f"{name}: fails on images of shape {tuple(images.shape)}: "
                f"{type(error).__name__}: {error}; {_HINT}"
            ) from None
        if not isinstance(responses, Tensor) or responses.numel() != number:
            tensor = isinstance(responses, Tensor)
            got = tuple(responses.shape) if tensor else type(responses).__name__
            raise MeiflowError(f"{name}: returns {got} for {number} images; {_HINT}")
    if not bool(torch.isfinite(responses).all()):
        raise MeiflowError(f"{name}: returns responses that are not finite")
    if not responses.requires_grad:
        raise MeiflowError(
            f"{name}: not differentiable with respect to the images; avoid no_grad, detach and "
            "conversions to numpy"
        )
    (gradient,) = torch.autograd.grad(responses.sum(), images, allow_unused=True)
    if gradient is None or not bool(torch.isfinite(gradient).all()):
        raise MeiflowError(f"{name}: has no finite gradient with respect to the images")
    probe = torch.rand(3, 1, *geometry.shape, generator=generator).to(device)
    check_repeatable(module, module, probe, name)


def load_custom(spec: str, neuron: str, geometry: Geometry) -> nn.Module:
    """Call a user's function and check what it returns.

    Parameters
    ----------
    spec : str
        ``module:function``; the module may also be in the current folder. The function is called
        with the neuron's id and the `Geometry` of the images.
    neuron : str
    geometry : Geometry
    """
    name = f"model.custom {spec} (neuron {neuron})"
    module = call_function(spec, name, neuron, geometry, what="(neuron, geometry)")
    return check_module(module, geometry, name)


def call_function(spec: str, name: str, *arguments: Any, what: str) -> Any:
    """Import ``module:function``, possibly from the current folder, and call it.

    Parameters
    ----------
    name, what : str
        Descriptions of the function and its arguments, used in messages.

    Raises
    ------
    MeiflowError
        If this fails in any way.
    """
    function = load_function(spec, name, what)
    try:
        return function(*arguments)
    except Exception as error:  # user code may raise anything
        raise _not_callable(name, error, what) from None


def load_function(spec: str, name: str, what: str) -> Callable[..., Any]:
    """Import ``module:function``; it and what it imports later may be in the current folder.

    Raises
    ------
    MeiflowError
        If there is no such function.
    """
    module_name, _, function_name = spec.partition(":")
    try:
        with _current_folder():
            function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # user code may raise anything
        raise _not_callable(name, error, what) from None
    if not callable(function):
        raise _not_callable(name, TypeError(f"{function_name} is not callable"), what)

    def call(*arguments: Any) -> Any:
        with _current_folder():
            return function(*arguments)

    return call


@contextmanager
def _current_folder() -> Iterator[None]:
    """Let modules be imported from the current folder."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _not_callable(name: str, error: Exception, what: str) -> MeiflowError:
    return MeiflowError(
        f"{name}: {type(error).__name__}: {error}; give a module:function that Python can "
        f"import and call with {what}"
    )


class EvaluationOnly(nn.Module):
    """A wrapper that leaves the mode of its module as it is; exported programs have none."""

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        self.training = False
        return self


class CustomMember(EvaluationOnly):
    """A custom module with the interface of our base models."""

    def __init__(self, state: dict[str, Any], geometry: Geometry) -> None:
        super().__init__()
        self.shape = geometry.shape
        self.module = load_custom(state["spec"], state["neuron"], geometry)

    def forward(self, contrast: Tensor) -> Tensor:
        """Responses (batch,) to contrast, i.e. luminance minus grey (batch, pixels)."""
        responses: Tensor = self.module((contrast + GREY).reshape(-1, 1, *self.shape))
        return responses.reshape(len(contrast))
