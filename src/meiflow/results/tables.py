"""Readers of the tables of a session: trials, responses, images, conditions, spikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.checksums import verify_checksum
from meiflow.io.files import read_array, read_arrays, read_csv
from meiflow.response_type import COUNTS, ResponseType
from meiflow.results.layout import Layout
from meiflow.tables.conditions import STEMS, Conditions
from meiflow.tables.counts import Responses, Trials, trial_columns, trials_from_table
from meiflow.tables.image_spikes import ImageSpikes
from meiflow.tables.raster import Raster
from meiflow.tables.stack import StackInfo


def read_trials(layout: Layout) -> Trials:
    r"""Read trials.csv.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     layout = Layout(folder)
    ...     layout.trials.parent.mkdir()
    ...     rows = "trial_id,neuron_id,spike_count,image_id\n0,a,2,7\n1,a,0,-1\n"
    ...     _ = layout.trials.write_text(rows)
    ...     trials = read_trials(layout)
    >>> trials.counts.ravel(), trials.of_images().image_ids
    (array([2, 0]), array([7]))
    """
    response = _response_type(layout)
    table = read_csv(layout.trials, trial_columns(response))
    return trials_from_table(table, str(layout.trials), response)


def _response_type(layout: Layout) -> ResponseType:
    """What trials.csv contains, by its header."""
    try:
        with open(layout.trials, encoding="utf-8") as handle:
            names = handle.readline().rstrip().split(",")
    except (OSError, UnicodeDecodeError):
        return COUNTS  # reading the table says why
    return read_stack_info(layout).response if ResponseType(True).column in names else COUNTS


def read_stack_info(layout: Layout, geometry: Geometry | None = None) -> StackInfo:
    """Read images.json: ids, geometry, mean luminance and contrast of the image stack.

    Parameters
    ----------
    layout : Layout
    geometry : Geometry, optional
        Expected geometry.

    Raises
    ------
    MeiflowError
        If the file is missing or damaged, or if the images have a different geometry.
    """
    path = layout.image_info
    verify_checksum(path)
    try:
        info = StackInfo.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise MeiflowError(f"{path}: missing or unreadable; rebuild the tables") from None
    if geometry is not None:
        info.require(geometry, path.parent)
    return info


def read_stack(
    layout: Layout, geometry: Geometry | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read image ids (images,) and images (images, height, width) with luminance in [0, 1].

    Raises
    ------
    MeiflowError
        As `read_stack_info`, and if images.npy is missing or damaged.
    """
    images = read_array(layout.images)
    info = read_stack_info(layout, geometry)
    shape = (len(info.image_ids), *info.geometry.shape)
    if images.shape != shape:
        raise MeiflowError(
            f"{layout.images.parent}: images.npy has shape {images.shape} but images.json "
            f"describes {shape[0]} images of {shape[1]} x {shape[2]} pixels; rebuild the tables"
        )
    return info.image_ids, images


def read_responses(layout: Layout, geometry: Geometry | None = None) -> Responses:
    """Read responses.csv and the image stack; see `read_stack`."""
    table = read_csv(layout.responses, ("image_id",))
    image_ids, images = read_stack(layout, geometry)
    if table["image_id"].tolist() != image_ids.tolist():
        raise MeiflowError(
            f"{layout.images.parent}: the {len(images)} images in images.npy do not match the "
            f"{len(table)} rows in responses.csv; rebuild the tables"
        )
    neurons = [c for c in table.columns if c != "image_id"]
    info = read_stack_info(layout)
    means = table[neurons].to_numpy(float)
    tests = np.isin(image_ids, info.tests) if info.tests else None
    return Responses(image_ids, images, neurons, means, info.movies, info.response, tests)


def condition_trials(layout: Layout, stimulus: str) -> Path:
    """Path of the trials of a parametric stimulus, such as gabors or static_gratings."""
    [path] = layout.named(f"{STEMS[stimulus]}_trials")
    return path


def read_conditions(layout: Layout, stimulus: str) -> Conditions:
    """Read the trials of a parametric stimulus, such as gabors or static_gratings."""
    keys = PARAMETRIC[stimulus]
    table = read_csv(condition_trials(layout, stimulus), ("trial_id", "condition_id", *keys))
    neurons = [c for c in table.columns if c not in ("trial_id", "condition_id", *keys)]
    shown = table[keys].set_axis(table["trial_id"].to_numpy(), axis=0)
    counts = table[neurons].to_numpy()
    whole = counts.dtype.kind != "f" or (counts == counts.round()).all()
    return Conditions.of(shown, counts.astype(np.int64) if whole else counts, neurons)


def read_raster(layout: Layout) -> Raster:
    """Read raster.npz.

    Raises
    ------
    MeiflowError
        If the file is missing or damaged, or lacks an array.
    """
    return Raster.from_arrays(read_arrays(layout.raster), str(layout.raster))


def read_image_spikes(layout: Layout) -> ImageSpikes:
    """Read image_spikes.npz.

    Raises
    ------
    MeiflowError
        If the file is missing or damaged, or its arrays are inconsistent.
    """
    return ImageSpikes.from_arrays(read_arrays(layout.image_spikes), str(layout.image_spikes))


def window_length(window_s: tuple[float, float | None], layout: Layout) -> float:
    """Length of the counting window in seconds, averaged if presentations differ."""
    bin_s = read_stack_info(layout).bin_s
    if bin_s is not None:
        return bin_s
    if window_s[1] is not None:
        return window_s[1] - window_s[0]
    shown = read_csv(layout.presentations, ("start_s", "stop_s"))
    return float((shown["stop_s"] - shown["start_s"]).mean()) - window_s[0]
