"""The image stack of the results, with the geometry that it was resized to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.checksums import verify_checksum
from meiflow.io.files import read_array, write_array, write_text


def _described(geometry: Geometry) -> dict[str, float]:
    return {
        "height": geometry.height,
        "width": geometry.width,
        "width_deg": geometry.width_deg,
        "height_deg": geometry.height_deg,
        "deg_per_pixel_x": geometry.dx,
        "deg_per_pixel_y": geometry.dy,
    }


def write_stack(images: NDArray, image_ids: NDArray, geometry: Geometry, folder: Path) -> None:
    """Write images.npy (images, height, width) and images.json: its ids and its geometry."""
    about = _described(geometry) | {"image_ids": [int(i) for i in image_ids]}
    write_text(json.dumps(about, indent=1) + "\n", folder / "images.json")
    write_array(images, folder / "images.npy")


def read_stack(
    folder: str | Path, geometry: Geometry | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Image ids and images of a tables folder.

    Parameters
    ----------
    folder : path
    geometry : Geometry, optional
        What the caller takes the images for.

    Raises
    ------
    MeiflowError
        If a file is missing or damaged, or the images have another geometry.
    """
    folder = Path(folder)
    images = read_array(folder / "images.npy")
    path = folder / "images.json"
    verify_checksum(path)
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        image_ids = np.array(about["image_ids"], dtype=np.int64)
        found = {key: about[key] for key in ("height", "width", "width_deg", "height_deg")}
    except (OSError, ValueError, KeyError, TypeError):
        raise MeiflowError(f"{path}: missing or not readable; make the tables again") from None
    if images.shape != (len(image_ids), found["height"], found["width"]):
        raise MeiflowError(
            f"{folder}: images.npy has shape {images.shape} but images.json describes "
            f"{len(image_ids)} images of {found['height']} x {found['width']} pixels; make the "
            "tables again"
        )
    for key, value in found.items():
        if geometry is not None and value != getattr(geometry, key):
            raise MeiflowError(
                f"image.{key}: the images in {folder} were made with {value:g}, the configuration "
                f"says {getattr(geometry, key):g}; make the tables again or use their configuration"
            )
    return image_ids, images
