"""The images that a source contains, without reading all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.io.files import map_array
from meiflow.session.images import frame_files


def available_images(source: str | Path) -> tuple[NDArray[np.int64], str]:
    """Ids of all images of a folder or stack, and a description.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.zeros((3, 6, 8), np.uint8))
    ...     ids, text = available_images(f"{folder}/a.npy")
    >>> ids.tolist(), text
    ([0, 1, 2], '3 of 6 x 8 pixels (uint8)')
    """
    path = Path(source)
    if path.is_dir():
        from PIL import Image

        files = frame_files(path)
        try:
            with Image.open(files[min(files)]) as picture:
                width, height, mode = *picture.size, picture.mode
        except OSError as error:
            raise MeiflowError(
                f"session.images: {files[min(files)]} is not a readable picture ({error})"
            ) from None
        text = f"{len(files)} pictures of {height} x {width} pixels (mode {mode})"
        return np.array(sorted(files)), text
    stack = map_array(path)
    size = " x ".join(map(str, stack.shape[1:]))
    return np.arange(len(stack)), f"{len(stack)} of {size} pixels ({stack.dtype})"
