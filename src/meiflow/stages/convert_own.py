"""Conversion of a matrix of responses, or of sorted spikes, to tables and a configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, read_csv, write_csv
from meiflow.io.paths import require_file, require_new
from meiflow.session.phy import read_phy
from meiflow.stages.converted import CONFIG, require_window, write_configuration
from meiflow.tables.counts import count_spikes


def convert_matrix(
    matrix: Path,
    image_ids: Path,
    folder: Path,
    images: Path,
    size_deg: tuple[float, float],
    window_s: tuple[float, float],
) -> str:
    """Write a table of trials and a configuration from a matrix of responses.

    Parameters
    ----------
    matrix : path
        .npy (trials, neurons): whole numbers are spike counts, others real-valued responses.
    image_ids : path
        .npy (trials,): row of the image stack of each trial, -1 for a grey blank.
    folder : path
        Gets trials.csv and config.yaml.
    images : path
        Stack or folder of images, which the configuration names.
    size_deg : tuple of float
        Visual angle that the images span, width and height.
    window_s : tuple of float
        Counting window after stimulus onset, in seconds.

    Returns
    -------
    str
        What was written.

    Raises
    ------
    MeiflowError
        If the arrays do not fit, or one of the new files exists; then nothing is written.
    """
    responses, shown = read_array(matrix), read_array(image_ids)
    if responses.ndim != 2 or responses.dtype.kind not in "iuf" or not responses.size:
        raise MeiflowError(
            f"{matrix}: expected numbers of shape (trials, neurons), got {responses.dtype} of "
            f"shape {responses.shape}"
        )
    if shown.shape != (len(responses),) or shown.dtype.kind not in "iu":
        raise MeiflowError(
            f"{image_ids}: expected {len(responses)} whole numbers, one per trial of {matrix}, got "
            f"{shown.dtype} of shape {shown.shape}"
        )
    if not np.isfinite(responses).all():
        raise MeiflowError(f"{matrix}: contains missing or infinite values")
    counts = bool((responses >= 0).all() and (responses == np.round(responses)).all())
    names = [str(number) for number in range(responses.shape[1])]
    session = {} if counts else {"response": "real"}
    _write(folder, matrix.stem, responses, shown, names, images, size_deg, window_s, session)
    kind = "spike counts" if counts else "real-valued responses"
    return f"{len(names)} neurons, {len(responses)} trials, {kind}"


def convert_phy(
    source: Path,
    presentations: Path,
    folder: Path,
    images: Path,
    size_deg: tuple[float, float],
    window_s: tuple[float, float],
    labels: tuple[str, ...] = ("good",),
) -> str:
    """Count the spikes of a Kilosort or phy folder, and write a table of trials.

    Parameters
    ----------
    source : path
        Folder with spike_times.npy, spike_clusters.npy, params.py and the labels.
    presentations : path
        CSV start_s (onset in seconds on the clock of the recording), image_id (-1: grey blank).
    folder, images, size_deg, window_s
        As for `convert_matrix`.
    labels : tuple of str
        Labels of the clusters that are converted.

    Returns
    -------
    str
        What was written.

    Raises
    ------
    MeiflowError
        As `convert_matrix`, or if no presentation lies within the recording.
    """
    spikes = read_phy(source, labels)
    shown = read_csv(presentations, ("start_s", "image_id"))
    starts = pd.to_numeric(shown["start_s"], errors="coerce").to_numpy(float)
    if not np.isfinite(starts).all() or shown["image_id"].dtype.kind not in "iu":
        raise MeiflowError(
            f"{presentations}: start_s must be a number of seconds, and image_id a whole number, "
            "in every row"
        )
    last = max(times[-1] for times in spikes.spike_times)
    outside = int(((starts < 0) | (starts + window_s[1] > last)).sum())
    if outside == len(starts):
        raise MeiflowError(
            f"{presentations}: no presentation lies within the recording, whose last spike is at "
            f"{last:.0f} s; give start_s in seconds on the clock of the recording"
        )
    counts = count_spikes(spikes.spike_times, starts + window_s[0], starts + window_s[1])
    image_ids = shown["image_id"].to_numpy()
    names = spikes.neuron_ids
    _write(folder, source.resolve().name, counts, image_ids, names, images, size_deg, window_s, {})
    found = ", ".join(f"{count} {label}" for label, count in spikes.found.items())
    late = f"; {outside} presentations end after the last spike" if outside else ""
    return f"{len(names)} neurons (clusters: {found}), {len(starts)} trials{late}"


def _write(
    folder: Path,
    name: str,
    responses: NDArray,
    image_ids: NDArray,
    neuron_ids: list[str],
    images: Path,
    size_deg: tuple[float, float],
    window_s: tuple[float, float],
    more: dict[str, Any],
) -> None:
    require_window(window_s)
    if not images.is_dir():
        require_file(images)
    table_file = folder / "trials.csv"
    require_new(table_file, folder / CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    trials, neurons = responses.shape
    value = "response" if more else "spike_count"
    table = pd.DataFrame(
        {
            "trial_id": np.repeat(np.arange(trials), neurons),
            "neuron_id": np.tile(neuron_ids, trials),
            value: responses.ravel() if more else responses.ravel().astype(np.int64),
            "image_id": np.repeat(image_ids, neurons),
        }
    )
    session = {
        "source": "tables",
        "id": re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-") or "recording",
        "trials": str(table_file.absolute()),
        "images": str(images.absolute()),
        "window_s": list(window_s),
    }
    write_csv(table, table_file)
    write_configuration(session | more, size_deg, folder)
