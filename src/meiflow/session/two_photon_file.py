"""Files of two-photon experiments of the Allen Brain Observatory, read without AllenSDK.

NWB 1 is what AllenSDK's ``BrainObservatoryCache`` downloads; its stimulus tables are in imaging
frames and equal those of ``BrainObservatoryNwbDataSet``. NWB 2 is dandiset 000728. Its layout was
taken from the public code that wrote these files (catalystneuro/visual-coding-to-nwb-v2), in its
last and its first version; stimulus tables are in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.session.nwb_checks import explained, require_self_contained
from meiflow.session.two_photon import (
    INDEXED,
    MOVIES,
    PARAMETRIC,
    TwoPhotonExperiment,
    numbered_passes,
)

_PIPELINE, _OPHYS = "processing/brain_observatory_pipeline", "processing/ophys"
_SHOWN = "stimulus/presentation"
_SCENES = "stimulus/templates/natural_scenes_image_stack/data"
# Names in NWB 2, those of the released files first.
_PICTURES = "stimulus/templates/natural_scenes_template"
_DFF = ("DfOverF/DfOverF", "DfOVerF/DfOverF")
_EVENTS = ("DfOverF/DfOverFEvents",)
_CELLS = ("cell_specimen_id", "global_roi_id", "id")
_PLACES, _ENDS = (_SHOWN, "intervals", "acquisition"), ("", "_stimulus")
_PARAMETERS = {
    "orientation_in_degrees": "orientation",
    "spatial_frequency_in_cycles_per_degree": "spatial_frequency",
    "temporal_frequency_in_hz": "temporal_frequency",
}
_READ = (*_PARAMETERS.values(), "phase")
_SCENE_S, _ROUNDING = 0.25, 1e-6
# Templates of movies: NWB 1, NWB 2, and what the first version of NWB 2 calls the third movie.
_TEMPLATES = (
    "stimulus/templates/{}_image_stack/data",
    "stimulus/templates/{}/data",
    "stimulus/templates/natural_movie_two_three/data",
)
_AT_ONCE = 64  # frames
_BLANKS = (-1, 2**32 - 1)  # the latter is -1 as an unsigned integer
_TRUNCATED, _MERGED = 3, 1.5


def read_two_photon(path: str | Path) -> TwoPhotonExperiment:
    """Read an experiment file in NWB 1 or NWB 2; its layout decides.

    Raises
    ------
    MeiflowError
        If the file cannot be opened, or lacks a data set; what it lacks is named.
    """
    import h5py

    require_self_contained(Path(path))
    with explained(Path(path)), h5py.File(path, "r") as file:
        found = _read_nwb_1(file, path) if _PIPELINE in file else _read_nwb_2(file, path)
    expected = (len(found.cells), len(found.time_s))
    for name, traces in (("DfOverF", found.dff), ("DfOverFEvents", found.events)):
        if traces is not None and traces.shape != expected:
            raise MeiflowError(
                f"{path}: {name} has shape {traces.shape}; expected {expected}, for "
                f"{expected[0]} cells and {expected[1]} imaging frames"
            )
    return found


def is_two_photon(path: str | Path) -> bool:
    """Whether a file has traces of cells and no units, as a two-photon experiment."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _PIPELINE in file or (_OPHYS in file and "units" not in file)
    except (OSError, RuntimeError, ValueError):
        return False


def _read_nwb_1(file: Any, path: str | Path) -> TwoPhotonExperiment:
    traces = _group(file, f"{_PIPELINE}/DfOverF/imaging_plane_1", path)
    dff, time_s = traces["data"][()], traces["timestamps"][()]
    cells = _group(file, f"{_PIPELINE}/ImageSegmentation/cell_specimen_ids", path)[()]
    shown = _group(file, _SHOWN, path)
    stimuli, notes = {}, []
    for name in (*INDEXED, *PARAMETRIC, *MOVIES):
        group = shown.get(name, shown.get(f"{name}_stimulus"))
        if group is not None:
            table, note = _complete(_table(group, name, path), name)
            stimuli.update({name: table} if len(table) else {})
            notes += note
    scenes = _grey_levels(file[_SCENES][()], path) if _SCENES in file else None
    return TwoPhotonExperiment(
        cells.astype(np.int64), time_s, dff, stimuli, scenes, None, _names(shown), tuple(notes)
    )


def _names(group: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name.removesuffix("_stimulus") for name in group}))


def _group(file: Any, name: str, path: str | Path) -> Any:
    if name not in file:
        raise MeiflowError(
            f"{path}: {name} is missing; expected a two-photon experiment of the Allen Brain "
            f"Observatory (NWB 1, or NWB 2 of dandiset 000728), but the file {_content(file)}"
        )
    return file[name]


def _content(file: Any) -> str:
    """What another kind of file is, for messages."""
    if "units" in file:
        return "has units (spikes): give it as session.nwb"
    movies = [name for name in file.get("acquisition", ()) if name.endswith("TwoPhotonSeries")]
    if movies:
        return (
            f"has the movie of the microscope ({movies[0]}) without traces: take the file of the "
            "same session that ends in _behavior+image+ophys.nwb"
        )
    return f"has {shorten(file.get(_OPHYS, file), 6)}"


def _grey_levels(
    images: NDArray, path: str | Path, what: str = "natural scenes"
) -> NDArray[np.uint8]:
    """Grey levels as uint8, which some files store as floats."""
    with np.errstate(invalid="ignore"):
        whole = images.astype(np.uint8)
    if images.ndim != 3 or (whole != images).any():
        raise MeiflowError(
            f"{path}: {what}: shape {images.shape} and values from {images.min():g} "
            f"to {images.max():g}; expected (images, height, width) of whole numbers in 0..255"
        )
    return whole


def _table(group: Any, name: str, path: str | Path) -> pd.DataFrame:
    values, frames = group["data"][()], group["frame_duration"][()]
    if name in (*INDEXED, *MOVIES):
        table = pd.DataFrame({"frame": values.astype(np.int64)})
    else:
        features = [f.decode() if isinstance(f, bytes) else str(f) for f in group["features"][()]]
        table = pd.DataFrame(values, columns=features)
    if frames.shape != (len(table), 2):
        raise MeiflowError(
            f"{path}: frame_duration of {name} has shape {frames.shape} for {len(table)} "
            "presentations; expected (presentations, 2)"
        )
    table["start"], table["end"] = frames.T.astype(np.int64)
    return table.sort_values(["start", "end"]).reset_index(drop=True)


def _read_nwb_2(file: Any, path: str | Path) -> TwoPhotonExperiment:
    ophys = file.get(_OPHYS, {})
    dff = _first(ophys, _DFF)
    series = _group(file, f"{_OPHYS}/{_DFF[0]}", path) if dff is None else dff
    time_s, rois = _times(series), series["rois"]
    segmented = file[rois.attrs["table"]]
    cells = _first(segmented, _CELLS)[()][rois[()]]
    stimuli, notes = {}, []
    for name in (*INDEXED, *PARAMETRIC, *MOVIES):
        group = _first(file, [f"{place}/{name}{end}" for place in _PLACES for end in _ENDS])
        if group is not None:
            table, note = _sound(_timed(group, name, time_s, path), name)
            stimuli.update({name: table} if len(table) else {})
            notes += note
    events = _first(ophys, _EVENTS)
    return TwoPhotonExperiment(
        cells.astype(np.int64),
        time_s,
        series["data"][()].T,
        stimuli,
        _pictures(file, path),
        None if events is None else events["data"][()].T,
        tuple(sorted({*_names(file.get(_SHOWN, ())), *stimuli})),
        tuple(notes),
    )


def _first(group: Any, names: Iterable[str]) -> Any:
    return next((group[name] for name in names if name in group), None)


def _times(series: Any) -> NDArray[np.float64]:
    """Times of a series, stored one by one or as a start and a rate."""
    if "timestamps" in series:
        return series["timestamps"][()]
    start = series["starting_time"]
    return start[()] + np.arange(len(series["data"])) / start.attrs["rate"]


def _timed(group: Any, name: str, time_s: NDArray, path: str | Path) -> pd.DataFrame:
    """Presentations within the recording, whose times are converted to imaging frames.

    ``start`` is the imaging frame during which the presentation began, as in AllenSDK's
    alignment, and ``end`` the last one that began before its end. Natural scenes have no end in
    the file; they were shown for 250 ms. Frames of movies end where the next one begins.
    """
    if name in (*INDEXED, *MOVIES):
        table = pd.DataFrame({"frame": group["data"][()].astype(np.int64)})
        table.loc[table["frame"].isin(_BLANKS), "frame"] = -1
        onset = _times(group)
        length = _SCENE_S if name in INDEXED else np.median(np.diff(onset)) if len(onset) > 1 else 0
        stop = onset + length
    else:
        columns = {_PARAMETERS.get(column, column): column for column in group}
        table = pd.DataFrame({n: group[columns[n]][()] for n in _READ if n in columns})
        onset, stop = group["start_time"][()], group["stop_time"][()]
    if onset.shape != (len(table),):
        raise MeiflowError(f"{path}: {name} has {len(onset)} times for {len(table)} presentations")
    table["start"] = np.searchsorted(time_s, onset + _ROUNDING, side="right") - 1
    table["end"] = np.searchsorted(time_s, stop - _ROUNDING, side="left") - 1
    during = (onset >= time_s[0] - _ROUNDING) & (onset <= time_s[-1])
    return table[during].sort_values(["start", "end"]).reset_index(drop=True)


def _sound(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Presentations that are complete and stored correctly, and a note on those that are not.

    The code that wrote dandiset 000728 converts image numbers to unsigned integers, by which HDF5
    turns blanks (-1) into image 0, and cuts all tables of static gratings after three rows (its
    issue 49).
    """
    if name == "static_gratings" and len(table) == _TRUNCATED:
        text = "static_gratings has only 3 rows, a known fault of dandiset 000728, and is left out"
        return table[:0], [text]
    if name in INDEXED:
        counts = table["frame"].value_counts()
        usual = counts.drop(index=0, errors="ignore").median()
        if -1 not in counts and counts.get(0, 0) >= _MERGED * usual:
            seen = f"image 0 ({counts[0]} presentations, other images {usual:g})"
            kept = table[table["frame"] != 0].reset_index(drop=True)
            return kept, [f"{seen} seems to include the blanks, as in dandiset 000728: left out"]
    return _complete(table, name)


def _complete(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Presentations of a movie in whole passes, and a note on the others; other tables as given."""
    if name not in MOVIES:
        return table, []
    kept, left_out = numbered_passes(table)
    return kept, [f"{name}: left out {left_out} incomplete passes"] if left_out else []


def _pictures(file: Any, path: str | Path) -> NDArray[np.uint8] | None:
    """Natural scenes in the order of their numbers, which is not that of the file."""
    group = file.get(_PICTURES)
    if group is None:
        return None
    if "order_of_images" in group:
        pictures = [file[reference] for reference in group["order_of_images"][()]]
    else:
        numbers = {int(re.findall(r"\d+$", name)[0]): name for name in group}
        pictures = [group[numbers[number]] for number in sorted(numbers)]
    return _grey_levels(np.stack([picture[()] for picture in pictures]), path)


def read_movie(path: str | Path, name: str) -> NDArray[np.uint8] | None:
    """Frames of a natural movie (frames, height, width) in an experiment file, if it has them.

    Raises
    ------
    MeiflowError
        If they are not grey levels from 0 to 255.
    """
    import h5py

    with explained(Path(path)), h5py.File(path, "r") as file:
        names = _TEMPLATES if name == MOVIES[-1] else _TEMPLATES[:2]
        stack = _first(file, [template.format(name) for template in names])
        if stack is None:
            return None
        parts = range(0, len(stack), _AT_ONCE)
        return np.concatenate([_grey_levels(stack[n : n + _AT_ONCE], path, name) for n in parts])
