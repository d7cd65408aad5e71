"""Reading and writing result files: tables, arrays, pictures, text."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.sums import verify
from meiflow.writing import atomic


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write `table` without its index: UTF-8, eight significant digits, `.` decimals."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g", lineterminator="\n")


def read_csv(path: str | Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV and make sure that `columns` are there.

    Raises
    ------
    MeiflowError
        If the file is missing, empty, damaged, not a CSV, or lacks a column.
    """
    verify(path)
    try:
        # Ids are names: 007 stays 007, and a neuron may be called NA. Only an empty cell is
        # missing.
        table = pd.read_csv(
            path,
            encoding="utf-8-sig",
            dtype={"neuron_id": str, "trial_id": "category"},
            keep_default_na=False,
            na_values=[""],
            skipinitialspace=True,
            low_memory=False,
        )
    except FileNotFoundError:
        raise MeiflowError(f"{path}: no such file") from None
    except OSError as error:
        raise MeiflowError(f"{path}: cannot be read ({error.strerror})") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise MeiflowError(
            f"{path}: not a readable CSV file ({error}); expected comma-separated UTF-8 text"
        ) from None
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise MeiflowError(
            f"{path}: missing column {shorten(missing)}; found {shorten(table.columns)}; "
            f"needed: {', '.join(columns)}"
        )
    for column in columns:
        if f"{column}.1" in table.columns:
            raise MeiflowError(f"{path}: column {column} stands more than once; keep one")
    return table


def write_array(array: ArrayLike, path: str | Path) -> None:
    """Write an array as float32 ``.npy``."""
    # By way of memory: where the disk is full, NumPy's own writer does not say so.
    content = BytesIO()
    np.save(content, np.asarray(array, dtype=np.float32), allow_pickle=False)
    with atomic(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_array(path: str | Path) -> NDArray:
    """Read an ``.npy`` file; pickled objects are refused.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged or not a plain array.
    """
    verify(path)
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise MeiflowError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise MeiflowError(f"{path}: not a readable .npy array ({error})") from None
    if not isinstance(array, np.ndarray):
        raise MeiflowError(f"{path}: is an .npz archive; expected one .npy array")
    return array


def write_arrays(arrays: Mapping[str, ArrayLike], path: str | Path) -> None:
    """Write named arrays as one compressed ``.npz``."""
    with atomic(path) as temporary:
        np.savez_compressed(
            temporary, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()}
        )


def read_arrays(path: str | Path) -> dict[str, NDArray]:
    """Read every array of an ``.npz``; pickled objects are refused."""
    verify(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {k: archive[k] for k in archive.files}
    except FileNotFoundError:
        raise MeiflowError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise MeiflowError(f"{path}: not a readable .npz archive ({error})") from None


def write_picture(image: ArrayLike, path: str | Path, scale: int = 4) -> None:
    """Write a luminance image (H, W) in [0, 1] as 8-bit grey PNG, each pixel `scale` wide."""
    from PIL import Image

    pixels = np.rint(255 * np.clip(np.asarray(image), 0, 1)).astype(np.uint8)
    with atomic(path) as temporary:
        Image.fromarray(np.kron(pixels, np.ones((scale, scale), np.uint8))).save(temporary)


def write_text(text: str, path: str | Path) -> None:
    """Write UTF-8 text."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
