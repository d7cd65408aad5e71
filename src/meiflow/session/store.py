"""The tree of an NWB file, read with h5py or, for NWB-Zarr, with zarr.

Only plain values are read: references between objects, which the two formats store differently, are
not needed, and pickled objects are never opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.session.nwb_checks import ZARR, require_no_links, require_self_contained, unreadable
from meiflow.session.ranges import RangeFile, is_remote
from meiflow.session.transfer import exclusive

_PIPELINE = "processing/brain_observatory_pipeline"  # of two-photon files in NWB 1


class Node:
    """A group of an NWB file.

    Parameters
    ----------
    raw : h5py.Group or zarr.Group
    root : h5py.Group or zarr.Group
        The root of the file.
    name : str
        Path in the file, used in messages.
    path : path
        The file, used in messages.
    """

    def __init__(self, raw: Any, root: Any, name: str, path: Path) -> None:
        self.raw, self.root, self.name, self.path = raw, root, name, path

    @property
    def _is_zarr(self) -> bool:
        return hasattr(self.raw, "store")

    @cached_property
    def _links(self) -> dict[str, str]:
        """Targets of the links of NWB-Zarr, all within the file."""
        links = self.raw.attrs.get("zarr_link", ()) if self._is_zarr else ()
        return {str(link["name"]): str(link["path"]) for link in links}

    def names(self) -> list[str]:
        """Names of everything in the group, in alphabetical order."""
        return sorted({*self.raw.keys(), *self._links})

    def _find(self, name: str) -> Any:
        first, _, rest = name.partition("/")
        if first in self._links:
            found = self.root.get(self._links[first].strip("/"))
        else:
            found = self.raw.get(first)
        if not rest or found is None:
            return found
        return Node(found, self.root, f"{self.name}/{first}", self.path)._find(rest)

    def group(self, name: str) -> Node | None:
        """The group `name`, or None if there is none."""
        found = self._find(name)
        if found is None or not hasattr(found, "keys"):
            return None
        return Node(found, self.root, f"{self.name}/{name}".strip("/"), self.path)

    def groups(self) -> Iterator[tuple[str, Node]]:
        """All groups in this group, with their names."""
        for name in self.names():
            group = self.group(name)
            if group is not None:
                yield name, group

    def table(self, name: str) -> Table | None:
        """The table `name`, or None if there is none."""
        group = self.group(name)
        if group is None:
            return None
        return Table(group.raw, self.root, group.name, self.path)

    def data(self, name: str) -> Any:
        """The array `name`, which is not read yet, or None."""
        found = self._find(name)
        return None if found is None or hasattr(found, "keys") else found

    def values(self, name: str) -> NDArray | None:
        """All values of the array `name`, text as str; None if there is no such array."""
        found = self.data(name)
        return None if found is None else plain(found[...])

    def attribute(self, name: str) -> Any:
        """An attribute, text as str; None if there is no such attribute."""
        value = self.raw.attrs.get(name)
        return value.decode() if isinstance(value, bytes) else value

    def text(self, name: str) -> str | None:
        """The single text stored as `name`."""
        value = self.values(name)
        return None if value is None or value.size != 1 else str(value.reshape(-1)[0])


class Table(Node):
    """A table of an NWB file (``DynamicTable``), of which columns are read one by one."""

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns without the ids."""
        names = self.attribute("colnames")
        if names is None:
            return [n for n in self.names() if n != "id" and not n.endswith("_index")]
        return [n.decode() if isinstance(n, bytes) else str(n) for n in names]

    @cached_property
    def ids(self) -> NDArray:
        """The ids of the rows."""
        ids = self.values("id")
        if ids is None:
            raise self.error("has no ids of its rows")
        return ids

    def __len__(self) -> int:
        return len(self.ids)

    def error(self, fault: str) -> MeiflowError:
        """The error for a fault of this table."""
        return MeiflowError(f"session.nwb: {self.name} in {self.path} {fault}")

    def is_ragged(self, name: str) -> bool:
        """Whether a column has any number of values in a row."""
        return self.data(f"{name}_index") is not None

    def require_columns(self) -> None:
        """Check that every column that the table lists is there.

        Raises
        ------
        MeiflowError
            With the name of the missing column.
        """
        for name in self.columns:
            # zarr cannot open every array; h5py finds links without a target
            if name not in self.raw or (not self._is_zarr and self.raw.get(name) is None):
                raise self.error(
                    f"lists a column {name!r} that is missing; the file is damaged or was not "
                    "written completely"
                )

    def column(self, name: str) -> NDArray | None:
        """One value per row, or None if there is no such column.

        Columns of several values per row, and of references, count as missing.

        Raises
        ------
        MeiflowError
            If the number of values is not that of the rows.
        """
        found = self.data(name)
        if found is None or name not in self.columns or self.is_ragged(name):
            return None
        if len(found.shape) != 1 or found.dtype.kind not in "biufOSUT" or _is_reference(found):
            return None
        if found.shape[0] != len(self):
            raise self.error(f"has {len(self)} rows but {found.shape[0]} values of {name}")
        return plain(found[...])

    def ends(self, name: str) -> NDArray[np.int64]:
        """End of each row in a ragged column.

        Raises
        ------
        MeiflowError
            If the column or its index is missing, or if they do not match.
        """
        index, target = self.data(f"{name}_index"), self.data(name)
        for part, found in ((name, target), (f"{name}_index", index)):
            if found is None:
                raise self.error(f"has no column {part}; it is incomplete, or of another layout")
        if index.shape != (len(self),):
            raise self.error(f"has {len(self)} rows but {index.shape[0]} values of {name}_index")
        ends = np.asarray(index[...]).astype(np.int64)
        if (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] != target.shape[0]):
            raise self.error(f"has a {name}_index that does not match its {target.shape[0]} {name}")
        return ends

    def pieces(self, name: str, rows: Iterable[int]) -> list[NDArray]:
        """Values of a ragged column in some rows; nothing else is read."""
        ends, target = self.ends(name), self.data(name)
        starts = np.append(0, ends[:-1])
        return [plain(target[int(starts[row]) : int(ends[row])]) for row in rows]


def plain(values: Any) -> NDArray:
    """An array whose text consists of str.

    Examples
    --------
    >>> plain(np.array([b"VISp", b"VISam"])).tolist(), plain([1.5]).tolist()
    (['VISp', 'VISam'], [1.5])
    """
    array = np.asarray(values)
    if array.dtype.kind not in "SOT":
        return array
    texts = [v.decode() if isinstance(v, bytes) else v for v in array.reshape(-1).tolist()]
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found.reshape(array.shape)


def _is_reference(data: Any) -> bool:
    """Whether an array of objects contains anything but text."""
    if data.dtype.kind != "O":
        return False
    filters = getattr(data, "filters", None)
    if filters is None or isinstance(filters, str):  # HDF5
        import h5py

        return h5py.check_string_dtype(data.dtype) is None
    return any(getattr(f, "codec_id", "") == "pickle" for f in filters)


def is_zarr(path: Path) -> bool:
    """Whether a path is an NWB-Zarr folder.

    Examples
    --------
    >>> is_zarr(Path("/")), is_zarr(Path("/none.nwb"))
    (False, False)
    """
    return path.is_dir() and any((path / name).is_file() for name in ZARR)


@contextmanager
def open_store(path: Path) -> Iterator[Node]:
    """Open an NWB file and yield its root.

    Parameters
    ----------
    path : path
        HDF5 file, NWB-Zarr folder, or folder of a file that is read by ranges; see
        `meiflow.session.ranges`.

    Raises
    ------
    MeiflowError
        If it is not a readable NWB 2 file, or refers to other files.
    """
    with _opened(path) as raw:
        root = Node(raw, raw, "", path)
        _require_nwb(root)
        yield root


def _opened(path: Path) -> AbstractContextManager[Any]:
    if is_remote(path):
        return _ranges(path)
    return _zarr(path) if is_zarr(path) else _hdf5(path)


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    import h5py

    require_self_contained(path)
    try:
        file = h5py.File(path, "r")
    except Exception as error:  # h5py raises many types for damaged files
        raise unreadable(path, "NWB (HDF5)", str(error)) from None
    with file:
        yield file


@contextmanager
def _ranges(path: Path) -> Iterator[Any]:
    import h5py

    with RangeFile(path) as source, exclusive(path):
        try:
            file = h5py.File(source, "r")
        except MeiflowError:
            raise
        except Exception as error:  # as above
            raise unreadable(path, "NWB (HDF5)", str(error)) from None
        with file:
            require_no_links(file, path)
            yield file


@contextmanager
def _zarr(path: Path) -> Iterator[Any]:
    try:
        import zarr
    except ImportError:
        raise MeiflowError(
            f"session.nwb: {path} is NWB-Zarr, which needs the package zarr; install it (pip "
            "install 'zarr<3' 'numcodecs<0.16'), or use the HDF5 file of the same session"
        ) from None
    try:
        group = zarr.open_group(str(path), mode="r")
    except Exception as error:  # as above
        raise unreadable(path, "NWB (Zarr)", str(error)) from None
    yield group


def _require_nwb(root: Node) -> None:
    kind, space = root.attribute("neurodata_type"), root.attribute("namespace")
    version = str(root.attribute("nwb_version") or root.text("nwb_version") or "")
    if version.startswith(("1", "NWB-1")) or root.group(_PIPELINE) is not None:
        raise MeiflowError(
            f"session.nwb: {root.path} is of NWB version {version[:20] or 1}; version 2 is needed: "
            "use session.source tables, which meiflow convert makes of Allen's two-photon "
            "experiments"
        )
    if (kind, space) != ("NWBFile", "core"):
        what = f"of type {kind}, namespace {space}" if kind else "of no type"
        raise MeiflowError(
            f"session.nwb: {root.path} is not a readable NWB file (its root is {what}; it contains "
            f"{shorten(root.names()) or 'nothing'}); give a file in NWB 2, or count the spikes and "
            "use session.source tables"
        )
    for name in ("identifier", "session_start_time"):
        if root.data(name) is None:
            raise MeiflowError(
                f"session.nwb: {root.path} has no {name}, which every NWB file has; it may be "
                "damaged or not written completely"
            )
