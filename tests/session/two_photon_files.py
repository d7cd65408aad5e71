"""Two-photon experiments of the Allen Brain Observatory, as files in NWB 1 and NWB 2.

NWB 2 follows the public code that wrote dandiset 000728 (catalystneuro/visual-coding-to-nwb-v2),
including its faults; no released file was at hand.
"""

from datetime import UTC, datetime

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.base import ImageReferences, Images
from pynwb.epoch import TimeIntervals
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries
from pynwb.ophys import (
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    PlaneSegmentation,
    RoiResponseSeries,
)

RATE = 30.0
PIPELINE = "processing/brain_observatory_pipeline"
NAMES = ("orientation", "spatial_frequency", "phase")
LONG_NAMES = ("orientation_in_degrees", "spatial_frequency_in_cycles_per_degree", "phase")


MOVIE = "natural_movie_one"
MOVIE_FRAMES, PASSES, FIRST = 16, 5, 1400  # of the movie, and the imaging frame of the first


def add_movie(file, rng, name=MOVIE, short=0):
    """Add passes of a movie to an NWB 1 file, each frame during one imaging frame.

    ``short`` frames are missing at the end of the second pass.
    """
    frame = np.tile(np.arange(MOVIE_FRAMES), PASSES)
    keep = np.ones(len(frame), bool)
    keep[2 * MOVIE_FRAMES - short : 2 * MOVIE_FRAMES] = False
    first = FIRST + np.arange(len(frame))
    shown = file.create_group(f"stimulus/presentation/{name}_stimulus")
    shown["data"] = frame[keep]
    shown["frame_duration"] = np.stack([first, first + 1], 1)[keep]
    stack = rng.integers(0, 256, (MOVIE_FRAMES, 10, 20), np.uint8)
    file[f"stimulus/templates/{name}_image_stack/data"] = stack


def write_nwb_1(path, rng, scenes=True, **movie):
    """Write the groups that AllenSDK reads, of four cells, one of which has a missing value.

    Presentations are stored out of order, as in no released file. Without ``scenes``, it is a
    session of movies only; ``movie`` is for `add_movie`.
    """
    cells, frames = np.array([517474020, 517474022, 517474030, 517474041]), 2400
    shown_scenes = rng.permutation(np.repeat(np.arange(-1, 6), 10))
    start = 100 + 8 * np.arange(70)  # 7 or 8 frames of 1/30 s
    turn = rng.permutation(np.tile([0.0, 30.0, 60.0, 90.0, np.nan], 8))
    gratings = np.column_stack([turn, np.where(np.isnan(turn), np.nan, 0.04), 0 * turn])
    dff = rng.normal(size=(4, frames)).astype(np.float32)
    dff[3, 50] = np.nan
    order = rng.permutation(70)
    with h5py.File(path, "w") as file:
        traces = file.create_group(f"{PIPELINE}/DfOverF/imaging_plane_1")
        traces["data"], traces["timestamps"] = dff, 12.0 + np.arange(frames) / RATE
        file[f"{PIPELINE}/ImageSegmentation/cell_specimen_ids"] = cells
        shown = file.create_group("stimulus/presentation/natural_scenes_stimulus")
        shown["data"] = shown_scenes[order]
        shown["frame_duration"] = np.stack([start, start + 7], 1)[order].astype(float)
        shown = file.create_group("stimulus/presentation/static_gratings_stimulus")
        shown["data"] = gratings
        shown["features"] = np.array([b"orientation", b"spatial_frequency", b"phase"])
        first = 1000 + 8 * np.arange(40)
        shown["frame_duration"] = np.stack([first, first + 7], 1).astype(float)
        images = rng.integers(0, 256, (12, 18, 24)).astype(np.float32)  # as released
        file["stimulus/templates/natural_scenes_image_stack/data"] = images
        if movie:
            add_movie(file, rng, **movie)
        if not scenes:
            for name in ("natural_scenes", "static_gratings"):
                del file[f"stimulus/presentation/{name}_stimulus"]
    return path


def empty():
    start = datetime(2016, 2, 4, tzinfo=UTC)
    file = NWBFile(session_description="-", identifier="2", session_start_time=start)
    device = file.create_device(name="Microscope")
    channel = OpticalChannel(name="channel", description="-", emission_lambda=520.0)
    plane = file.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=channel,
        description="-",
        device=device,
        excitation_lambda=910.0,
        indicator="GCaMP6f",
        location="VISp",
    )
    return file, plane


def written(file, path):
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def add_traces(file, plane, source, first, events):
    """Cells are rows of a table that has another order; traces are (frames, cells)."""
    pipeline = source[PIPELINE]
    cells = pipeline["ImageSegmentation/cell_specimen_ids"][()]
    dff, time_s = (pipeline[f"DfOverF/imaging_plane_1/{n}"][()] for n in ("data", "timestamps"))
    table = PlaneSegmentation(name="PlaneSegmentation", description="-", imaging_plane=plane)
    column = "cell_specimen_id" if first else "global_roi_id"
    table.add_column(name=column, description="-")
    for row, cell in enumerate(cells[::-1]):
        entry = {column: cell, "pixel_mask": [(row, row, 1.0)]}
        table.add_roi(id=int(row if first else cell), **entry)
    module = file.create_processing_module(name="ophys", description="-")
    module.add(ImageSegmentation(name="ImageSegmentation", plane_segmentations=table))
    rows = table.create_roi_table_region(region=[3, 2, 1, 0], description="-")

    def series(name, data, timestamps):
        return RoiResponseSeries(name=name, data=data, rois=rows, unit="a", timestamps=timestamps)

    corrected = series("Corrected", dff.T, time_s)
    fluorescence = Fluorescence(name="Fluorescence")
    module.add(fluorescence)
    fluorescence.add_roi_response_series(corrected)
    found = [series("DfOverF", dff.T, corrected)]
    if events is not None:
        found.append(series("DfOverFEvents", events.T, corrected))
    dff_over_f = DfOverF(name="DfOVerF" if first else "DfOverF")
    module.add(dff_over_f)
    dff_over_f.add_roi_response_series(found)


def add_scenes(file, source, first, ordered, onsets):
    shown = source["stimulus/presentation/natural_scenes_stimulus/data"]
    scenes = source["stimulus/templates/natural_scenes_image_stack/data"][()].astype(np.uint8)
    name = "picture{}" if ordered else "NaturalScene{}"
    numbers = range(len(scenes))[:: -1 if ordered else 1]
    images = [
        GrayscaleImage(name=name.format(n), data=scene)
        for n, scene in zip(numbers, scenes, strict=True)
    ]
    order = ImageReferences(name="order_of_images", data=images) if ordered else None
    template = Images(name="natural_scenes_template", images=images, order_of_images=order)
    file.add_stimulus_template(template)
    # HDF5 clips -1 at 0; numpy wraps it.
    data = shown[()].astype("uint32") if first else np.array(shown, dtype="uint32")
    file.add_stimulus(
        IndexSeries(
            name="natural_scenes_stimulus",
            data=data,
            unit="N/A",
            indexed_images=template,
            timestamps=onsets,
        )
    )


def add_gratings(file, source, first, truncated, onsets):
    values = source["stimulus/presentation/static_gratings_stimulus/data"][()]
    table = TimeIntervals(name="static_gratings", description="-")
    names = NAMES if first else LONG_NAMES
    for name in (*names, "is_blank_sweep"):
        table.add_column(name=name, description="-")
    for onset, row in zip(onsets[: 3 if truncated else None], values, strict=False):
        parameters = dict(zip(names, row, strict=True), is_blank_sweep=bool(np.isnan(row[0])))
        table.add_interval(start_time=onset, stop_time=onset + 0.25, **parameters)
    (file.add_acquisition if first else file.add_stimulus)(table)


def add_movie_2(file, source, onsets):
    """Add the movie; as a plain series, because pynwb no longer writes indices of series."""
    stack = source[f"stimulus/templates/{MOVIE}_image_stack/data"][()]
    template = ImageSeries(name=MOVIE, data=stack, unit="n.a.", starting_time=np.nan, rate=np.nan)
    file.add_stimulus_template(template)
    data = source[f"stimulus/presentation/{MOVIE}_stimulus/data"][()].astype("uint32")
    name = f"{MOVIE}_stimulus"
    file.add_stimulus(TimeSeries(name=name, data=data, unit="n.a.", timestamps=onsets))


def onsets_of(source, stimulus):
    """Times in the middle of the imaging frames in which presentations begin."""
    frames = source[f"stimulus/presentation/{stimulus}_stimulus/frame_duration"][:, 0]
    time_s = source[f"{PIPELINE}/DfOverF/imaging_plane_1/timestamps"][()]
    return time_s[frames.astype(int)] + 0.4 / RATE


def write_nwb_2(path, experiment, first=False, truncated=False, ordered=False, events=None):
    """Write an experiment in NWB 1 as NWB 2, in the released layout or that of the first version.

    Parameters
    ----------
    truncated : bool
        Whether static gratings have only three rows, as in all released files.
    ordered : bool
        Whether the order of the images is stored, and differs from that of their names.
    """
    file, plane = empty()
    with h5py.File(experiment) as source:
        add_traces(file, plane, source, first, events)
        add_scenes(file, source, first, ordered, onsets_of(source, "natural_scenes"))
        add_gratings(file, source, first, truncated, onsets_of(source, "static_gratings"))
        if f"stimulus/presentation/{MOVIE}_stimulus" in source:
            add_movie_2(file, source, onsets_of(source, MOVIE))
    return written(file, path)
