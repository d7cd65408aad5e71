"""Support for formulas that work on both NumPy arrays and torch tensors."""

from __future__ import annotations

import sys
from typing import Any


def namespace(*arrays: Any) -> Any:
    """``torch`` if any of `arrays` is a tensor, otherwise ``numpy``; never imports torch."""
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(a, torch.Tensor) for a in arrays):
        return torch
    import numpy

    return numpy
