"""The same session in other layouts: newer Allen files, another laboratory's, and NWB-Zarr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np

ELECTRODES = "general/extracellular_ephys/electrodes"
TEXT = h5py.string_dtype()


def add(table: h5py.Group, name: str, values: Any, index: Any = None) -> None:
    """Add a column as pynwb writes it."""
    values = np.asarray(values)
    text = values.dtype.kind in "OU"
    table.create_dataset(name, data=values.astype(object) if text else values,
                         dtype=TEXT if text else None)  # fmt: skip
    kind = {"namespace": "hdmf-common", "neurodata_type": "VectorData", "description": name}
    kind["object_id"] = str(uuid4())
    table[name].attrs.update(kind)
    if index is not None:
        table.create_dataset(f"{name}_index", data=index)
    table.attrs["colnames"] = np.array([*table.attrs["colnames"], name], dtype=object)


def drop(table: h5py.Group, *names: str) -> None:
    for name in names:
        del table[name]
    kept = [n for n in table.attrs["colnames"] if n not in names]
    table.attrs["colnames"] = np.array(kept, dtype=object)


def rename(table: h5py.Group, **names: str) -> None:
    for old, new in names.items():
        table.move(old, new)
    renamed = [names.get(n, n) for n in table.attrs["colnames"]]
    table.attrs["colnames"] = np.array(renamed, dtype=object)


def newer(path: Path) -> Path:
    """Turn an Allen file into the layout of newer OpenScope and AIND files."""
    with h5py.File(path, "r+") as file:
        units, electrodes = file["units"], file[ELECTRODES]
        groups = electrodes["group_name"][:]
        row = {channel: i for i, channel in enumerate(electrodes["id"][:])}
        peaks = [row[channel] for channel in units["peak_channel_id"][:]]
        own = [np.flatnonzero(groups == groups[peak]) for peak in peaks]
        add(units, "electrodes", np.concatenate(own), np.cumsum([len(rows) for rows in own]))
        extremum = [int(np.searchsorted(rows, peak)) for rows, peak in zip(own, peaks, strict=True)]
        add(units, "extremum_channel_index", extremum)
        good = units["quality"].asstr()[:] == "good"
        add(units, "decoder_label", np.where(good, "sua", "noise"))
        add(units, "default_qc", np.where(good, "pass", "fail"))
        rename(units, isi_violations="isi_violations_ratio")
        drop(units, "peak_channel_id", "quality", "local_index", "cluster_id")
        rename(electrodes, probe_vertical_position="rel_y", probe_horizontal_position="rel_x")
        drop(electrodes, "probe_id", "valid_data")
        for table in file["intervals"].values():
            rename(table, stimulus_name="stim_name")
            names = {"orientation": "Orientation", "x_position": "X", "y_position": "Y"}
            rename(table, **{old: new for old, new in names.items() if old in table})
    return path


LABS_COLUMNS = {
    "units": {"area": "region", "quality": "verdict"},
    "presentations": {"stimulus_name": "what", "frame": "picture", "start_time": "on"},
    "stimuli": {"natural_scenes": "my pictures"},
}


def labs(path: Path) -> Path:
    """Turn an Allen file into one of a laboratory: its own names, one table, no electrodes."""
    with h5py.File(path, "r+") as file:
        units, electrodes = file["units"], file[ELECTRODES]
        row = {channel: i for i, channel in enumerate(electrodes["id"][:])}
        areas = electrodes["location"].asstr()[:]
        add(units, "region", [areas[row[c]] for c in units["peak_channel_id"][:]])
        rename(units, quality="verdict")
        drop(units, "peak_channel_id", "local_index", "cluster_id", "snr", "firing_rate")
        del file[ELECTRODES]
        intervals = file["intervals"]
        for name in list(intervals):
            if name != "natural_scenes_presentations":
                del intervals[name]
        trials = intervals["natural_scenes_presentations"]
        drop(trials, "stimulus_index", "stimulus_block")
        rename(trials, stimulus_name="what", frame="picture", start_time="on")
        trials["what"][...] = "my pictures"
        intervals.move("natural_scenes_presentations", "trials")
    return path


_REFERENCES = {
    "zarr_format": 2, "shape": [1], "chunks": [1], "order": "C", "compressor": None,
    "dtype": [["idx_start", "<i4"], ["count", "<i4"], ["timeseries", "|O"]],
    "fill_value": "gAVLAC4=", "filters": [{"id": "pickle", "protocol": 5}],
}  # fmt: skip


def zarr_copy(path: Path, folder: Path) -> Path:
    """A copy as hdmf-zarr writes it, in which references are pickled."""
    import zarr

    root = zarr.open_group(str(folder), mode="w")
    with h5py.File(path) as file:
        _copy(file, root)
    zarr.consolidate_metadata(root.store)
    return folder


def _copy(source: h5py.Group, target: Any) -> None:
    _copy_attributes(source, target)
    links = []
    for name, item in source.items():
        link = source.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            links.append({"name": name, "path": link.path, "source": "."})
        elif isinstance(item, h5py.Group):
            _copy(item, target.create_group(name))
        elif item.dtype.kind == "V":  # as hdmf-zarr describes them; zarr cannot open them
            target.store[f"{target.path}/{name}/.zarray"] = json.dumps(_REFERENCES).encode()
        else:
            _copy_attributes(item, _copy_array(target, name, item))
    if links:
        target.attrs["zarr_link"] = links


def _copy_attributes(source: Any, target: Any) -> None:
    for key, value in source.attrs.items():
        if not isinstance(value, h5py.Reference):
            target.attrs[key] = value.tolist() if hasattr(value, "tolist") else value


def _copy_array(target: Any, name: str, item: h5py.Dataset) -> Any:
    import numcodecs

    if h5py.check_string_dtype(item.dtype) is not None:
        values, codec = np.atleast_1d(np.asarray(item.asstr()[()], object)), numcodecs.VLenUTF8()
    elif item.dtype.kind == "O":
        values, codec = np.array([str(v) for v in item[()]], object), numcodecs.Pickle()
    else:
        return target.create_dataset(name, data=np.atleast_1d(item[()]))
    return target.create_dataset(name, data=values, dtype=object, object_codec=codec, fill_value=0)
