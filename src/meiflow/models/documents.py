"""Files of numbers, tensors and lists, from which no code is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from meiflow.errors import MeiflowError
from meiflow.paths import fault_of


def read_document(path: str | Path) -> dict[str, Any]:
    """Read a file of numbers, tensors and lists; nothing in it is executed."""
    fault = fault_of(path)
    if fault is not None:
        raise MeiflowError(f"{path}: {fault.replace('does not exist', 'no such model file')}")
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # damaged archives fail in many ways
        raise damaged(path, error) from None


def damaged(path: str | Path, error: Exception) -> MeiflowError:
    """The error to raise for a file that cannot be read."""
    return MeiflowError(
        f"{path}: not a meiflow model, or damaged ({type(error).__name__}); "
        "delete it and run the workflow again"
    )
