"""Export of a session's tables to the layouts of other packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import read_csv
from meiflow.io.writing import atomic_folder
from meiflow.results.layout import Layout
from meiflow.results.tables import read_stack, read_stack_info, read_trials
from meiflow.session.experanto import write_experanto
from meiflow.session.sensorium import SensoriumScan, new_folder, write_sensorium


def export_session(
    results: Layout, layout: str, folder: Path, test_images: float = 0.1, trial_s: float = 0.25
) -> str:
    """Write the trials of images (without blanks), their images and the neurons.

    Parameters
    ----------
    results : Layout
        With the tables of a session.
    layout : {"sensorium", "experanto"}
    folder : path
        New folder.
    test_images : float
        Fraction of the images in the tier ``test``, unless the session has such a tier; another
        tenth of all images are in the tier ``validation``.
    trial_s : float
        Time from one trial to the next, in the layout experanto.

    Returns
    -------
    str
        Numbers of trials, images and neurons.
    """
    ids, images = read_stack(results)
    trials = read_trials(results).of_images()
    units = read_csv(results.units, ("neuron_id",)).set_index("neuron_id")
    missing = [name for name in trials.neuron_ids if name not in units.index]
    if missing:
        raise MeiflowError(f"{results.units}: no neuron {shorten(missing)}; rebuild the tables")
    units = units.loc[trials.neuron_ids]
    info = read_stack_info(results)
    tier = np.full(len(ids), "train", dtype="<U10")
    order = np.random.default_rng(0).permutation(len(ids))
    tests = np.isin(ids, info.tests)
    if not info.tests:
        tests[order[: round(test_images * len(ids))]] = True
    tier[[i for i in order if not tests[i]][: round(0.1 * len(ids))]] = "validation"
    tier[tests] = "test"
    rows = np.searchsorted(ids, trials.image_ids)
    kept = [c for c in ("area", "layer", "ecephys_structure_acronym") if c in units]
    neurons = {"neuron_id": np.array(trials.neuron_ids)}
    for column in kept:
        name = "layer" if column == "layer" else "area"
        neurons[name] = units[column].to_numpy().astype(str)
    scan = SensoriumScan(
        np.arange(len(rows)),
        trials.image_ids,
        tier[rows],
        trials.counts.astype(np.float32),
        ids,
        images,
        neurons,
    )
    with atomic_folder(new_folder(folder)) as unfinished:
        if layout == "sensorium":
            write_sensorium(scan, unfinished)
        else:
            write_experanto(scan, unfinished, trial_s)
    numbers = ", ".join(f"{(tier == name).sum()} {name}" for name in np.unique(tier))
    return f"{len(rows)} trials of {len(ids)} images ({numbers}), {len(trials.neuron_ids)} neurons"
