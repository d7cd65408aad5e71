"""Files of numbers, tensors and lists, from which no code is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from meiflow.errors import MeiflowError


def read_document(path: str | Path) -> dict[str, Any]:
    """Read a file of numbers, tensors and lists; nothing in it is executed."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise MeiflowError(f"{path}: no such model file") from None
    except Exception as error:  # damaged archives fail in many ways
        raise damaged(path, error) from None


def damaged(path: str | Path, error: Exception) -> MeiflowError:
    """The error to raise for a file that cannot be read."""
    return MeiflowError(
        f"{path}: not a meiflow model, or damaged ({type(error).__name__}); "
        "delete it and run the workflow again"
    )
