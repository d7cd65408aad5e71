"""The device on which tensors are computed, chosen in this one place.

Models, the starts of gradient ascents and the data of fits are placed on it. A model moves the
stimuli to its own device and its responses back to theirs, so that arrays and whatever is small may
stay on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

from meiflow.errors import MeiflowError

_CPU = torch.device("cpu")
_IN_USE = [_CPU]  # not a context variable, because the threads of a fit share it


def chosen_device() -> torch.device:
    """The device of this process; the CPU, unless within `computing_on`."""
    return _IN_USE[-1]


def device_named(name: str) -> torch.device:
    """The device of a setting: ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    MeiflowError
        For ``cuda`` if PyTorch finds no GPU.

    Examples
    --------
    >>> device_named("cpu")
    device(type='cpu')
    """
    found = name != "cpu" and torch.cuda.is_available()
    if name == "cuda" and not found:
        built = torch.version.cuda is not None
        why = "finds no GPU" if built else "is a build for the CPU alone"
        raise MeiflowError(
            f"device: cuda, but PyTorch {torch.__version__} {why}; use auto or cpu, or run on a "
            f"machine with a GPU{'' if built else ' and a CUDA build of PyTorch'}"
        )
    return torch.device("cuda") if found else _CPU


@contextmanager
def computing_on(name: str) -> Iterator[None]:
    """Compute on a device, and then on the one before.

    Parameters
    ----------
    name : str
        ``auto``: a GPU if PyTorch finds one, otherwise the CPU; ``cpu``; ``cuda``.

    Raises
    ------
    MeiflowError
        As `device_named`.

    Examples
    --------
    >>> with computing_on("cpu"):
    ...     chosen_device()
    device(type='cpu')
    """
    _IN_USE.append(device_named(name))
    try:
        yield
    finally:
        _IN_USE.pop()


def device_of(module: nn.Module) -> torch.device:
    """The device of a module; the CPU if it has neither parameters nor buffers.

    Examples
    --------
    >>> device_of(nn.Linear(2, 1))
    device(type='cpu')
    """
    first = next(chain(module.parameters(), module.buffers()), None)
    return _CPU if first is None else first.device
