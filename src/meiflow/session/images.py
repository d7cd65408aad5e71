"""Load frame images by number, never by directory order, and resize them by area."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import map_array, read_array
from meiflow.io.paths import fault_of
from meiflow.progress import logger

PICTURE_SUFFIXES = (".png", ".tif", ".tiff")
PHOTO_SUFFIXES = (*PICTURE_SUFFIXES, ".jpg", ".jpeg")
# Files of a folder input that can be read.
IMAGE_SUFFIXES = (*PHOTO_SUFFIXES, ".npy")
_CHUNK = 500
_MOST_COMPARED = 64
_FORMATS = ("PNG", "TIFF", "JPEG")  # no format that runs an interpreter, such as EPS
_PHOTOMETRIC = 262
_TRANSPARENT = "is partly transparent; flatten it onto the background that was shown"


def resize(images: NDArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a stack by area averaging, which avoids aliasing.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
    shape : tuple of int
        New (height, width).

    Returns
    -------
    ndarray of float32, shape (n, height, width)
        Exact area means: each new pixel is the mean over the old area that it covers.

    Examples
    --------
    >>> resize(np.arange(16.0).reshape(1, 4, 4), (2, 2))
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]], dtype=float32)
    """
    rows, columns = (
        area_weights(old, new, 0, old, old)
        for old, new in zip(images.shape[1:], shape, strict=True)
    )
    return np.stack([rows @ image @ columns.T for image in images]).astype(np.float32)


def area_weights(old: int, new: int, low: float, high: float, length: float) -> NDArray[np.float64]:
    """Share of each old pixel in the area of each new one, along one axis.

    Parameters
    ----------
    old, new : int
        Number of pixels; the old ones cover 0 to `length`.
    low, high : float
        Range covered by the new ones.
    length : float

    Returns
    -------
    ndarray, shape (new, old)
        Rows sum to 1, or to less where new pixels extend beyond the old ones.
    """
    edges = np.linspace(low, high, new + 1) * (old / length)
    start = np.maximum(edges[:-1, None], np.arange(old)[None, :])
    stop = np.minimum(edges[1:, None], np.arange(1, old + 1)[None, :])
    return np.asarray(np.clip(stop - start, 0, None) / np.diff(edges)[:, None])


def frame_files(folder: Path) -> dict[int, Path]:
    """Picture files in `folder` by the number in their names (the last run of digits).

    Raises
    ------
    MeiflowError
        If a picture has no number, if two have the same one, or if there are no pictures.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
            continue
        digits = re.findall(r"\d+", path.stem)
        if not digits:
            raise MeiflowError(
                f"session.images: there is no frame number in the name of {path}; name pictures by "
                "their image id, such as 12.png"
            )
        number = int(digits[-1])
        if number in found:
            raise MeiflowError(
                f"session.images: {found[number].name} and {path.name} in {folder} are both frame "
                f"{number}; remove one"
            )
        found[number] = path
    if not found:
        raise MeiflowError(
            f"session.images: {folder} contains no {', '.join(PICTURE_SUFFIXES)} file"
        )
    return found


def _read_picture(path: Path, key: str = "session.images") -> NDArray[np.float64]:
    """Luminance of a picture, turned as its EXIF orientation says, as viewers show it."""
    from PIL import Image, ImageOps

    fault = fault_of(path)
    if fault is not None:
        raise MeiflowError(f"{key}: {path} {fault}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.format == "PNG":
                    picture.verify()  # its checksums; decoding alone does not detect damage
            # a handle, because Pillow scrambles turned TIFF files that it maps into memory (13.0)
            with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as picture:
                _require_plain(picture, f"{key}: {path}")
                upright = ImageOps.exif_transpose(picture)
                if upright.mode.startswith("I;16"):
                    return np.asarray(upright, dtype=float) / 65535
                if upright.mode == "F":
                    return _as_luminance(np.asarray(upright)[None], path, key)[0]
                return np.asarray(upright.convert("L"), dtype=float) / 255
    except MeiflowError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise MeiflowError(
            f"{key}: {path} has more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels; reduce its size"
        ) from None
    except Exception as error:  # damaged pictures fail in many ways
        raise MeiflowError(
            f"{key}: {path} is not a readable picture ({error}); expected PNG, TIFF or JPEG"
        ) from None


def _require_plain(picture: Any, name: str) -> None:
    """Reject pictures whose pixel values are not directly luminance."""
    if picture.mode == "I":
        raise MeiflowError(
            f"{name} contains signed or 32-bit integers; expected unsigned 8 or 16 bits per pixel"
        )
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":  # a photo with previews
        raise MeiflowError(
            f"{name} contains {picture.n_frames} pictures; save each in a separate file"
        )
    inverted = picture.format == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC) == 0
    if inverted and picture.mode not in ("1", "L"):  # these are inverted when read
        raise MeiflowError(f"{name} encodes white as 0; save it with black as 0")
    if picture.has_transparency_data:
        if picture.mode.startswith("I;16"):
            raise MeiflowError(f"{name} {_TRANSPARENT}")
        if np.asarray(picture.convert("RGBA").getchannel("A")).min() < 255:
            raise MeiflowError(f"{name} {_TRANSPARENT}")


def load_images(
    source: str | Path, shape: tuple[int, int], wanted: list[int] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Load frame images as luminance in [0, 1], resized and sorted by number.

    Parameters
    ----------
    source : path
        Folder of pictures, or an ``.npy`` stack (frames, height, width) of uint8, uint16
        or floats in [0, 1], with frame numbers 0, 1, 2 ...
    shape : tuple of int
        (height, width) of the result.
    wanted : list of int, optional
        Required frame numbers; other frames are ignored.

    Returns
    -------
    numbers : ndarray, shape (n,)
        Frame numbers, increasing.
    images : ndarray of float32, shape (n, height, width)

    Raises
    ------
    MeiflowError
        If the source is missing or unreadable, or lacks a required frame.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/scenes.npy", np.full((3, 60, 96), 128, np.uint8))
    ...     numbers, images = load_images(f"{folder}/scenes.npy", (30, 48), wanted=[2, 0])
    >>> numbers, images.shape, round(float(images.max()), 3)
    (array([0, 2]), (2, 30, 48), 0.502)
    """
    path = Path(source)
    if path.is_dir():
        files = frame_files(path)
        numbers = sorted(files)
    elif path.suffix == ".npy":
        stack = _as_luminance(_read_stack(path, "session.images"), path)
        numbers = list(range(len(stack)))
    else:
        raise MeiflowError(
            f"session.images: {path} is neither a folder of pictures nor a .npy stack"
        )
    if wanted is not None:
        missing = sorted(set(wanted) - set(numbers))
        if missing:
            from_one = 0 in numbers and missing == [len(numbers)] and 0 not in wanted
            raise MeiflowError(
                f"session.images: {path} lacks frame {shorten(missing)}, which occurs in the "
                "trials; add the pictures or remove those trials"
                + (", or subtract 1 if the ids count from 1 (images from 0)" if from_one else "")
            )
        numbers = sorted(wanted)
    if path.is_dir():
        images: list[NDArray] = []
        sizes: dict[tuple[int, ...], str] = {}
        for number in numbers:
            pixels = _read_picture(files[number])
            sizes.setdefault(pixels.shape, files[number].name)
            if len(sizes) > 1:
                (one, first), (two, second) = sizes.items()
                raise MeiflowError(
                    f"session.images: {path / first} has {one[1]} x {one[0]} pixels but "
                    f"{second} has {two[1]} x {two[0]}; all pictures must have the same size"
                )
            images.append(resize(pixels[None], shape)[0])
        return np.array(numbers), np.stack(images)
    return np.array(numbers), resize(stack[numbers], shape)


def given_images(source: str | Path) -> tuple[list[int], NDArray]:
    """Numbers of all images of a source, and the first ones as they are given.

    Parameters
    ----------
    source : path
        As in `load_images`, which has read it.

    Returns
    -------
    numbers : list of int
    first : ndarray, shape (n, height, width)
        Up to 64 consecutive images of a stack, or a single picture of a folder.
    """
    path = Path(source)
    if path.is_dir():
        files = frame_files(path)
        return sorted(files), _read_picture(files[min(files)])[None]
    stack = map_array(path)
    return list(range(len(stack))), np.array(stack[:_MOST_COMPARED])


def _read_stack(path: Path, key: str) -> NDArray:
    stack = read_array(path)
    if stack.ndim != 3 or 0 in stack.shape:
        raise MeiflowError(
            f"{key}: {path} has shape {stack.shape}; expected (frames, height, width)"
        )
    return stack


def _as_luminance(stack: NDArray, path: Path, key: str = "session.images") -> NDArray[np.float64]:
    stack = stack.astype(stack.dtype.newbyteorder("="), copy=False)
    if stack.dtype == np.uint16 and stack.max() <= 255:
        logger.info(
            f"{key}: {path} has 16-bit pixels, but none above 255; if these are 8-bit "
            "pixels, save them as uint8"
        )
    if stack.dtype in (np.uint8, np.uint16):
        return stack / float(np.iinfo(stack.dtype).max)
    if stack.dtype.kind != "f":
        raise MeiflowError(
            f"{key}: {path} contains {stack.dtype}; expected uint8, uint16, or floats in 0..1"
        )
    if not np.isfinite(stack).all():
        raise MeiflowError(f"{key}: {path} contains values that are not finite")
    if stack.min() < 0 or stack.max() > 1:
        raise MeiflowError(
            f"{key}: {path} contains luminance outside 0..1 "
            f"(from {stack.min():.4g} to {stack.max():.4g}); rescale it"
        )
    return stack.astype(float)


def load_image_set(
    source: str | Path, shape: tuple[int, int], key: str
) -> tuple[list[str], NDArray[np.float32]]:
    """Load any set of natural images as luminance in [0, 1], each resized separately.

    Parameters
    ----------
    source : path
        Folder of pictures with any names and sizes (PNG, TIFF, JPEG), or an ``.npy`` stack
        (images, height, width) as in `load_images`.
    shape : tuple of int
        (height, width) of the result.
    key : str
        Configuration key, used in messages.

    Returns
    -------
    names : list of str
        File names, or indices in the stack, starting at 0.
    images : ndarray of float32, shape (n, height, width)
    """
    path = Path(source)
    if path.is_dir():
        suffixes = PHOTO_SUFFIXES
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
        files = [p for p in files if not p.name.startswith(".")]
        if not files:
            raise MeiflowError(f"{key}: {path} contains no {', '.join(suffixes)} file")
        pictures = (_read_picture(file, key) for file in files)
        images = np.stack([resize(pixels[None], shape)[0] for pixels in pictures])
        return [file.name for file in files], images
    if path.suffix != ".npy":
        raise MeiflowError(f"{key}: {path} is neither a folder of pictures nor a .npy stack")
    stack = _read_stack(path, key)
    images = np.empty((len(stack), *shape), np.float32)
    for i in range(
        0, len(stack), _CHUNK
    ):  # in chunks, because a large set does not fit into memory in double precision
        images[i : i + _CHUNK] = resize(_as_luminance(stack[i : i + _CHUNK], path, key), shape)
    return [str(i) for i in range(len(stack))], images
