"""Files of numbers, tensors and lists, from which no code is run."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from meiflow.errors import MeiflowError, out_of_memory
from meiflow.io.files import atomic
from meiflow.io.paths import fault_of
from meiflow.io.sums import verify


def read_document(path: str | Path) -> dict[str, Any]:
    """Read a file of numbers, tensors and lists; nothing in it is executed."""
    fault = fault_of(path)
    if fault is not None:
        raise MeiflowError(f"{path}: {fault.replace('does not exist', 'no such model file')}")
    verify(path)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # damaged archives fail in many ways
        if out_of_memory(error):
            raise
        raise damaged(path, error) from None


def write_document(document: dict[str, Any], path: str | Path) -> None:
    """Write a file for `read_document`."""
    # By way of memory: where the disk is full, torch's own writer aborts.
    content = document_bytes(document)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def document_bytes(document: dict[str, Any]) -> bytes:
    """What `write_document` writes; of the same document the same bytes, if PyTorch is the same."""
    content = BytesIO()
    torch.save(document, content)
    return content.getvalue()


def damaged(path: str | Path, error: Exception) -> MeiflowError:
    """The error to raise for a file that cannot be read."""
    return MeiflowError(
        f"{path}: not a meiflow model, or damaged ({type(error).__name__}); "
        "delete it and run the workflow again"
    )
