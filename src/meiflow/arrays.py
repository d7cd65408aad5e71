"""Write a formula once, for NumPy arrays and torch tensors alike."""

from __future__ import annotations

import sys
from typing import Any


def namespace(*arrays: Any) -> Any:
    """``torch`` if any of `arrays` is a tensor, else ``numpy``; torch is never imported."""
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(a, torch.Tensor) for a in arrays):
        return torch
    import numpy

    return numpy
