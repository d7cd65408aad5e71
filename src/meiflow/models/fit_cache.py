"""Finished parts of a long fit, so that a killed run can be resumed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from meiflow.errors import MeiflowError
from meiflow.models.documents import read_document, write_document
from meiflow.models.jobs import Fits, Jobs


class FitCache:
    """A folder of fits, named by a hash of everything they depend on.

    Parameters
    ----------
    folder : Path
    inputs : ndarray or str
        Inputs shared by all fits in addition to their jobs: images, configuration, version.
    """

    def __init__(self, folder: Path, *inputs: np.ndarray | str) -> None:
        self._folder = folder
        self._stamp = hashlib.blake2b(digest_size=16)
        for value in inputs:
            self._stamp.update(value.encode() if isinstance(value, str) else value.tobytes())

    def keeping(self, name: str, fit: Callable[[Jobs], Fits]) -> Callable[[Jobs], Fits]:
        """Wrap `fit` such that stored results are read and new ones are stored."""

        def fit_or_read(jobs: Jobs) -> Fits:
            digest = self._stamp.copy()
            digest.update(name.encode())
            for field in fields(jobs):
                digest.update(np.ascontiguousarray(getattr(jobs, field.name)).tobytes())
            path = self._folder / f"{name}-{digest.hexdigest()}.pt"
            if path.exists():
                try:
                    found = read_document(path)
                    return Fits(found["predictions"].numpy(), found["states"])
                except (MeiflowError, KeyError):
                    path.unlink()
            fits = fit(jobs)
            document = {"predictions": torch.as_tensor(fits.predictions), "states": fits.states}
            write_document(document, path)
            return fits

        return fit_or_read

    def clear(self) -> None:
        """Remove all parts, once the final result is written."""
        shutil.rmtree(self._folder, ignore_errors=True)
