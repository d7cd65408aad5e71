"""Read and write result files: tables, arrays, pictures, text."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.io.checksums import verify_checksum
from meiflow.io.paths import require_file
from meiflow.io.writing import atomic

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_LONGEST_HEADER = 1_000_000
_ID_TYPES = {"neuron_id": "str", "trial_id": "category"}
_INVISIBLE = " \t\r\n\v\f\u00a0\u200b\ufeff"


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write `table` without its index: UTF-8, eight significant digits, decimal points."""
    with atomic(path) as temporary:
        temporary.write_bytes(csv_bytes(table))


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Content of the file that `write_csv` writes for `table`."""
    text = table.to_csv(index=False, float_format="%.8g", lineterminator="\n")
    return text.encode()


def read_csv(path: str | Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV and check that it contains `columns`.

    Raises
    ------
    MeiflowError
        If the file is missing, empty, damaged, not a CSV, or lacks a column.
    """
    import pandas as pd

    require_file(path)
    verify_checksum(path)
    try:
        # opened here, because pandas would download URLs and unpack archives
        with open(path, "rb") as handle, warnings.catch_warnings():
            # rows longer than the header, which pandas would shift or truncate
            warnings.simplefilter("error", pd.errors.ParserWarning)
            _check_text(path, handle, columns)
            # ids are names: 007 stays 007, and a neuron may be named NA; only empty cells are
            # missing
            table = pd.read_csv(
                handle,
                encoding="utf-8-sig",
                dtype=_id_types(path),
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                skip_blank_lines=False,  # blank lines count as rows in messages
                index_col=False,
                low_memory=False,
            )
    except OSError as error:
        raise MeiflowError(f"{path}: cannot be read ({error.strerror})") from None
    except pd.errors.ParserWarning:
        raise MeiflowError(
            f"{path}: a row has more cells than the header; quote texts that contain a comma, and "
            "write decimals with a point"
        ) from None
    except (ValueError, OverflowError) as error:  # parsing and decoding errors are ValueErrors
        raise MeiflowError(
            f"{path}: not a readable CSV file ({error}); expected comma-separated UTF-8 text"
        ) from None
    if len(table.columns) > 1 and table.iloc[:, 0].isna().any():
        table = table[
            ~table.isna().all(axis=1)
        ].copy()  # drop blank lines; the other rows keep their numbers
    table.columns = [_column_name(c) for c in table.columns]
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise MeiflowError(
            f"{path}: missing column {shorten(missing)}; found {_quoted(table.columns)}; "
            f"required: {', '.join(columns)}{_header_hint(missing, list(table.columns))}"
        )
    for column in columns:
        if f"{column}.1" in table.columns or (table.columns == column).sum() > 1:
            raise MeiflowError(f"{path}: duplicate column {column}; keep one")
    return table


def _column_name(name: object) -> str:
    """A column name without blanks, tabs and invisible characters at its ends."""
    return str(name).strip(_INVISIBLE)


def _quoted(columns: Iterable[str]) -> str:
    """Column names, quoted where they contain something that would not be seen."""
    return shorten(c if re.fullmatch(r"[\w.-]+", c) else repr(c) for c in columns)


def _header_hint(missing: list[str], found: list[str]) -> str:
    first = found[0] if found else ""
    for mark, name in _SEPARATORS.items():
        if mark in first:
            return f"; it is separated by {name}: use commas"
    by_plain = {re.sub(r"[^a-z0-9]", "", c.lower()): c for c in found}
    for column in missing:
        other = by_plain.get(column.replace("_", ""))
        if other is not None:
            return f"; rename {other!r} to {column}"
    if not any(c in found for c in missing) and found and all(map(_is_number, found)):
        return "; the first line has numbers: add a line with the column names"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _id_types(path: str | Path) -> dict[str, str]:
    """Types of the columns that contain ids, by their names as written in the header."""
    with open(path, encoding="utf-8-sig", newline="") as handle:
        try:
            names = next(csv.reader(handle, skipinitialspace=True), [])
        except csv.Error as error:
            raise ValueError(error) from None
    return {n: _ID_TYPES[_column_name(n)] for n in names if _column_name(n) in _ID_TYPES}


def _check_text(path: str | Path, handle: BinaryIO, columns: tuple[str, ...]) -> None:
    first = handle.readline(_LONGEST_HEADER + 1)
    start = first.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").strip(_INVISIBLE + '"')
    if start.lower().startswith(("sep=", "#")):
        what = f"{path}: the first line is {start[:60]!r}; "
        if start.startswith("#") and any(column in start for column in columns):
            raise MeiflowError(f"{what}remove the # before the column names")
        raise MeiflowError(f"{what}remove it, so that the file starts with the column names")
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise MeiflowError(
            f"{path}: not a readable CSV file (it contains NUL bytes, because it is UTF-16); save "
            "it as CSV in UTF-8"
        )
    if len(first) > _LONGEST_HEADER:
        raise MeiflowError(
            f"{path}: not a readable CSV file (the first line is longer than {_LONGEST_HEADER:,} "
            "bytes); expected a line with the column names, then one line per row"
        )
    handle.seek(0)
    if any(b"\0" in chunk for chunk in iter(lambda: handle.read(1 << 24), b"")):
        # pandas would truncate the cell there, which could change an id
        raise MeiflowError(
            f"{path}: not a readable CSV file (it contains NUL bytes); expected comma-separated "
            "UTF-8 text"
        )
    handle.seek(0)


def write_array(array: ArrayLike, path: str | Path) -> None:
    """Write an array as ``.npy``: uint8 as it is, others as float32."""
    # via memory, because NumPy's writer does not report a full disk
    content, values = BytesIO(), np.asarray(array)
    kind = np.uint8 if values.dtype == np.uint8 else np.float32
    np.save(content, values.astype(kind, copy=False), allow_pickle=False)
    with atomic(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_array(path: str | Path) -> NDArray:
    """Read an ``.npy`` file; pickled objects are rejected.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged or not a plain array.
    """
    # mapped first, so that a header announcing too much data allocates no memory
    return np.array(map_array(path))


def map_array(path: str | Path) -> NDArray:
    """An ``.npy`` file, of which parts are read when they are used; see `read_array`."""
    require_file(path)
    verify_checksum(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(array, np.ndarray):
            return array
        array.close()
    except Exception as error:  # damaged headers fail in many ways
        raise MeiflowError(f"{path}: not a readable .npy array ({error})") from None
    raise MeiflowError(f"{path}: this is an .npz archive; expected an .npy array")


def write_arrays(arrays: Mapping[str, ArrayLike], path: str | Path) -> None:
    """Write named arrays as a compressed ``.npz`` archive."""
    with atomic(path) as temporary:
        np.savez_compressed(
            temporary, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()}
        )


def read_arrays(path: str | Path) -> dict[str, NDArray]:
    """Read all arrays of an ``.npz`` archive; pickled objects are rejected."""
    require_file(path)
    verify_checksum(path)
    try:
        archive = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(archive, np.ndarray):
            with archive:
                arrays = {k: archive[k] for k in archive.files}
            odd = [k for k, array in arrays.items() if not isinstance(array, np.ndarray)]
            if odd:
                raise ValueError(f"{shorten(odd, 3)} is not an array")
            return arrays
    except Exception as error:  # including damaged archives
        raise MeiflowError(f"{path}: not a readable .npz archive ({error})") from None
    raise MeiflowError(f"{path}: this is an .npy array; expected an .npz archive")


def write_picture(image: ArrayLike, path: str | Path, scale: int = 4) -> None:
    """Write a luminance image (H, W) in [0, 1] as 8-bit grey PNG, magnified `scale` times."""
    from PIL import Image

    pixels = np.rint(255 * np.clip(np.asarray(image), 0, 1)).astype(np.uint8)
    with atomic(path) as temporary:
        Image.fromarray(np.kron(pixels, np.ones((scale, scale), np.uint8))).save(temporary)


def write_text(text: str, path: str | Path) -> None:
    """Write UTF-8 text."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
