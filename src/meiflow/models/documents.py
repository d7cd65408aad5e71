"""Files of numbers, tensors and lists, which cannot contain code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from meiflow.errors import MeiflowError, out_of_memory
from meiflow.io.checksums import verify_checksum
from meiflow.io.paths import path_error
from meiflow.io.writing import atomic


def read_document(path: str | Path) -> dict[str, Any]:
    """Read a file of numbers, tensors and lists without executing anything in it."""
    fault = path_error(path)
    if fault is not None:
        raise MeiflowError(f"{path}: {fault.replace('does not exist', 'no such model file')}")
    verify_checksum(path)
    return parse_document(Path(path).read_bytes(), path)


def parse_document(content: bytes, path: str | Path) -> dict[str, Any]:
    """Parse the output of `document_bytes`; `path` is used in messages."""
    try:
        return dict(torch.load(BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:  # damaged archives fail in many ways
        if out_of_memory(error):
            raise
        raise damaged(path, error) from None


def write_document(document: dict[str, Any], path: str | Path) -> None:
    """Write a file, to be read by `read_document`."""
    # via memory, because torch's writer aborts if the disk is full
    content = document_bytes(document)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def document_bytes(document: dict[str, Any]) -> bytes:
    """Content of a file: the same bytes for equal documents and the same version of PyTorch.

    >>> import torch
    >>> shared = torch.zeros(4)
    >>> once = document_bytes({"a": shared[:2], "b": shared[:2]})
    >>> once == document_bytes({"a": torch.zeros(2), "b": torch.zeros(2)})
    True
    """
    content = BytesIO()
    torch.save(_unshared(document), content)
    return content.getvalue()


def _unshared(value: Any) -> Any:
    """A copy that shares no tensors or containers: what is shared is pickled differently.

    A fit that is resumed from a file shares less than one that was never interrupted.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().clone(memory_format=torch.contiguous_format)
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, Mapping):
        return {_unshared(key): _unshared(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_unshared(item) for item in value)
    return value


class DamagedError(MeiflowError):
    """A file that is not a document, or is damaged."""


def damaged(path: str | Path, error: Exception) -> DamagedError:
    """Error for a file that cannot be read."""
    return DamagedError(
        f"{path}: not a meiflow model, or damaged ({type(error).__name__}); "
        "delete it and run the workflow again"
    )
