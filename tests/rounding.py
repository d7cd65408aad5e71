"""Slightly perturbed sums, products and functions, as on another processor.

``python -m pytest -p tests.rounding src/meiflow`` runs the doctests that way; one that fails prints
digits that only some processors give. Elementwise arithmetic is exact and is not perturbed.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from numpy._core import _methods  # module of sum, mean, var and std of every array
from torch.utils._python_dispatch import TorchDispatchMode

_TORCH = {
    *("sum", "mean", "std", "var", "linalg_vector_norm", "cumsum", "mm", "bmm", "addmm", "dot"),
    *("convolution", "_fft_r2c", "_fft_c2r", "_fft_c2c", "exp", "log", "sin", "cos", "tanh"),
    *("sigmoid", "softplus", "_softmax", "logsumexp", "upsample_bilinear2d"),
}
_RNG = np.random.default_rng(0)


def _off(value: Any) -> Any:
    """Change each floating-point number (or part of one) by two units in the last place."""
    if isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex()):
        real = torch.view_as_real(value) if value.is_complex() else value
        sign = torch.as_tensor(_RNG.choice([-2.0, 2.0], real.shape), dtype=real.dtype)
        real = real + real * sign * torch.finfo(real.dtype).eps
        return torch.view_as_complex(real.contiguous()) if value.is_complex() else real
    if isinstance(value, np.ndarray | np.inexact) and value.dtype.kind == "f":
        sign = _RNG.choice([-2.0, 2.0], value.shape).astype(value.dtype)
        return value + value * sign * np.finfo(value.dtype).eps
    return value


class _Off(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return _off(result) if func.overloadpacket.__name__ in _TORCH else result


def _wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return result if kwargs.get("out") is not None else _off(result)

    return wrapper


for _name in ("_sum", "_mean", "_var", "_std"):
    setattr(_methods, _name, _wrapped(getattr(_methods, _name)))
for _name in ("exp", "log", "sin", "cos", "arctan2", "hypot", "einsum", "dot", "corrcoef"):
    setattr(np, _name, _wrapped(getattr(np, _name)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    with _Off():
        assert np.ones(4).mean() != 1, "NumPy's sums are not where they were"
        assert torch.ones(4).mean() != 1
        return (yield)
