"""The files of a stimulus pack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meiflow.pack.design import Design
from meiflow.pack.monitor import Gamma
from meiflow.pack.order import blocked_order
from meiflow.pack.render import Rendered
from meiflow.results.pack import PackLayout

_ABOUT = {
    "mei": "the most exciting input (MEI) of the neuron",
    "recorded_gabor": "the best Gabor of the recorded session",
    "best_gabor": "the Gabor with the highest predicted response",
    "best_natural": "the natural image with the highest predicted response",
    "windowed_natural": "the same, seen through the mask of the MEI",
    "other_mei": "control: the MEI of another neuron, moved to the position of this one's",
    "scrambled_mei": "control: the MEI with random phases, in the mask of the MEI",
    "blank": "control: the grey of the background",
}


def presentations(table: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Every presentation in random order, with the times of a run without delays."""
    order = blocked_order(len(table), design.blocks, design.seed).ravel()
    n = len(order)
    frames = pd.DataFrame({"frame": np.arange(n), "block": np.arange(n) // len(table)})
    shown = table.iloc[order][["stimulus_id", "stimulus", "neuron_id", "contrast", "image_file"]]
    frames = pd.concat([frames, shown.reset_index(drop=True)], axis=1)
    return frames.assign(
        onset_s=np.arange(n) * (design.duration_s + design.gap_s),
        duration_s=design.duration_s,
        gap_s=design.gap_s,
        seed=design.seed,
    )


def psychopy_conditions(table: pd.DataFrame, design: Design) -> pd.DataFrame:
    kept = table[["image_file", "stimulus_id", "stimulus", "neuron_id", "contrast"]]
    return kept.assign(duration_s=design.duration_s, gap_s=design.gap_s)


def level_table(gamma: Gamma) -> pd.DataFrame:
    table = pd.DataFrame({"level": np.arange(len(gamma.luminance)), "luminance": gamma.luminance})
    if gamma.black is not None and gamma.white is not None:
        table["measured"] = gamma.black + gamma.luminance * (gamma.white - gamma.black)
    return table


def write_pictures(files: PackLayout, table: pd.DataFrame, drawn: list[Rendered]) -> None:
    from PIL import Image

    files.picture(0).parent.mkdir(parents=True)
    for stimulus, shown in zip(table["stimulus_id"], drawn, strict=True):
        Image.fromarray(shown.levels).save(files.picture(int(stimulus)))


def write_nwb(
    path: Path,
    table: pd.DataFrame,
    drawn: list[Rendered],
    frames: pd.DataFrame,
    document: Mapping[str, Any],
) -> None:
    """The pictures (`Images`, ordered by `ImageReferences`) and their planned order."""
    from datetime import UTC, datetime

    from hdmf.backends.hdf5 import H5DataIO
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.base import ImageReferences, Images
    from pynwb.image import GrayscaleImage, IndexSeries

    start = datetime(1970, 1, 1, tzinfo=UTC)  # not yet recorded
    file = NWBFile(
        session_description="stimulus pack of meiflow, not a recording: the times are planned",
        identifier=f"meiflow-pack-{document['sources']['session']}",
        session_start_time=start,
        file_create_date=start,
        stimulus_notes=json.dumps(document),
    )
    pictures = [
        GrayscaleImage(
            name=f"{row.stimulus_id:04d}",
            data=H5DataIO(shown.levels, compression="gzip", compression_opts=4),
            description=f"{row.stimulus} of neuron {row.neuron_id or 'none'}, RMS contrast "
            f"{row.contrast:g}; grey levels 0 to 255, rows from the top",
        )
        for row, shown in zip(table.itertuples(), drawn, strict=True)
    ]
    order = ImageReferences(name="order_of_images", data=pictures)
    images = Images(
        name="stimuli",
        images=pictures,
        description="what the monitor shows; the index is stimulus_id of stimuli.csv",
        order_of_images=order,
    )
    file.add_stimulus_template(images)
    file.add_stimulus(
        IndexSeries(
            name="presentations",
            data=frames["stimulus_id"].to_numpy(np.uint32),
            unit="N/A",
            indexed_images=images,
            timestamps=frames["onset_s"].to_numpy(float),
            description="planned order of presentation; the rows of frames.csv",
        )
    )
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)


def readme(document: Mapping[str, Any], table: pd.DataFrame, neurons: pd.DataFrame) -> str:
    """README.txt: what to show, how, and what to bring back."""
    monitor, images, design = (document[name] for name in ("monitor", "images", "design"))
    width, height = monitor["size_cm"]
    across, down = monitor["resolution_px"]
    order = design["blocks"] * len(table)
    minutes = order * (design["duration_s"] + design["gap_s"]) / 60
    warped = monitor["projection"] == "spherical"
    drawn = (
        "already warped: a degree in the image is a degree of visual angle everywhere. Do\n"
        "  not warp them again (no Warper in PsychoPy)."
        if warped
        else "flat: linear in cm, with the degrees of the point nearest to the eye. If the\n"
        "  session was recorded with a spherical warp (Allen Brain Observatory), let your\n"
        "  software warp them."
    )
    kinds = "\n".join(
        f"  {name:18}{_ABOUT.get(name, 'given by you with --extra')}"
        for name in dict.fromkeys(table["stimulus"])
    )
    contrasts = ", ".join(f"{c:g}" for c in images["rms_contrasts"])
    moved = (neurons[["shift_x_deg", "shift_y_deg"]] != 0).to_numpy().any()
    where = (
        "moved: columns recorded_* and shown_* of neurons.csv give the position of each MEI"
        if moved
        else "where they were in the recorded session, relative to the point nearest to the eye"
    )
    return f"""Stimulus pack of meiflow, session {document["sources"]["session"]}
{len(neurons)} neurons, {len(table)} stimuli, {design["blocks"]} blocks, {order} presentations, \
about {minutes:.0f} minutes

MONITOR
  {width:g} x {height:g} cm, {across} x {down} pixels, eye at {monitor["distance_cm"]:g} cm from its
  nearest point, which is at {100 * monitor["eyepoint_fraction_from_left_and_bottom"][0]:g} % of \
the width from the left and {100 * monitor["eyepoint_fraction_from_left_and_bottom"][1]:g} % of the
  height from the bottom. The pictures are valid for this monitor only.
  Gamma: gamma.csv has the luminance assumed for each grey level. Measure some levels with a
  photometer before the experiment. If your software linearises the monitor, the pack has to be
  exported with --gamma 1. Switch off night mode, dynamic contrast and colour profiles.

SHOW
  pictures/*.png are {across} x {down} pixels, 8-bit grey levels: show them on the full screen, one
  picture pixel on one monitor pixel, without interpolation. They are
  {drawn}
  Positions: {where}.
  Each picture for {design["duration_s"]:g} s, then grey level {images["background_level"]} for \
{design["gap_s"]:g} s, also before and after the run.
  frames.csv is the order: each block contains every stimulus once, and no stimulus follows
  itself. PsychoPy: use frames.csv as conditions of a loop with loopType sequential and nReps 1,
  image $image_file, size (2, 2) in units norm, interpolate off. Or conditions.csv (one row per
  stimulus) with loopType random and nReps {design["blocks"]}, and save stimulus_id of every trial.

STIMULI (all with mean luminance {images["mean_luminance"]:.3f}, 0 black to 1 white)
{kinds}
  RMS contrasts over the whole image: {contrasts}. The MEIs were made at
  {images["contrast_of_the_meis"]:.4g}. stimuli.csv has the contrast that is left after gamma and 8
  bits (contrast_shown), and how much was clipped. luminance.npy has the same images as the models
  see them ({images["shape"][0]} x {images["shape"][1]} pixels, {images["size_deg"][0]:g} x \
{images["size_deg"][1]:g} degrees).

BRING BACK
  A CSV with one row per presentation: frame (of frames.csv) or stimulus_id, then one column per
  neuron with its spike count in the same window after the onset as in the recorded session
  (session.window_s of the configuration). Rows may be missing, but not their numbers.
  If the columns have other names than the neurons of this pack, also a CSV with the columns
  neuron_id (of this pack) and recorded_id (of your columns).

    meiflow read-pack PACK responses.csv day2
    meiflow read-pack PACK responses.csv day2 --match matched.csv

FILES
  pack.json     monitor, design, versions, hashes of all files and of the models
  neurons.csv   trusted: whether the MEI was expected to reach 80 % of the maximal drive
  predicted.csv predicted response of every neuron to every stimulus
  stimuli.nwb   pictures (Images with ImageReferences) and planned order (IndexSeries)
  SHA256SUMS    checksums of the tables (sha256sum --check SHA256SUMS)
"""
