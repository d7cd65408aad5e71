"""Conversion of recordings in other formats to tables of real-valued responses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from meiflow.errors import MeiflowError, shorten
from meiflow.images.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG
from meiflow.io.files import write_array, write_csv
from meiflow.io.paths import require_new
from meiflow.session.two_photon import TwoPhotonExperiment, trial_tables
from meiflow.session.two_photon_file import read_two_photon
from meiflow.stages.converted import CONFIG, require_window, write_configuration

# Stimuli that only one type of session shows.
_SESSIONS = {
    "drifting_gratings": "A",
    "natural_scenes": "B",
    "static_gratings": "B",
    "locally_sparse_noise_8deg": "C2",
    "locally_sparse_noise_4deg": "C",
    "locally_sparse_noise": "C",
}


def convert_two_photon(
    path: Path,
    folder: Path,
    window_s: tuple[float, float],
    events: Path | None = None,
    stored_events: bool = False,
) -> str:
    """Write tables, natural scenes and a configuration of an Allen two-photon experiment.

    Parameters
    ----------
    path : path
        Experiment file (NWB 1 or NWB 2).
    folder : path
        Gets trials.csv, static_gratings.csv, images.npy and config.yaml, as far as the file
        contains them.
    window_s : tuple of float
        Start and stop of the response after the onset of an image, in seconds.
    events : path, optional
        Events of the experiment, as downloaded by AllenSDK (.npz with the array ``ev``).
    stored_events : bool
        Whether to use the events in the file (NWB 2) in place of dF/F.

    Returns
    -------
    str
        What was written.

    Raises
    ------
    MeiflowError
        If the experiment shows no natural scenes, a file is damaged, or one of the new files
        exists; then nothing is written.
    """
    require_window(window_s)
    if events is not None and stored_events:
        raise MeiflowError("events: give either a file or --stored-events")
    experiment = read_two_photon(path)
    if "natural_scenes" not in experiment.stimuli:
        raise MeiflowError(_without_scenes(experiment, path))
    if stored_events and experiment.events is None:
        raise MeiflowError(
            f"{path}: contains no events (processing/ophys/DfOverF/DfOverFEvents), as all NWB 1 "
            "and some NWB 2 files; give those that AllenSDK downloads with --events FILE.npz"
        )
    traces = experiment.events if stored_events else None if events is None else _events(events)
    tables = trial_tables(experiment, window_s, traces)
    images = [] if experiment.scenes is None else ["images.npy"]
    names = *(f"{name}.csv" for name in tables), *images, CONFIG
    require_new(*(folder / name for name in names))
    folder.mkdir(parents=True, exist_ok=True)
    session = {"source": "tables", "id": _session_id(path), "response": "real"}
    session["response_unit"] = "dF/F" if traces is None else "events"
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
        session[name] = f"{name}.csv"  # relative to config.yaml
    session["images"] = "images.npy"
    if experiment.scenes is not None:
        write_array(experiment.scenes, folder / "images.npy")
    write_configuration(session, (ALLEN_WIDTH_DEG, ALLEN_HEIGHT_DEG), folder)
    kept = tables["trials"]["neuron_id"].nunique()
    notes = [*experiment.notes]
    if experiment.scenes is None:
        notes.append("the file lacks images: add images.npy")
    return "; ".join(
        [
            f"{kept} of {len(experiment.cells)} cells, {shorten(tables)} in {folder / CONFIG}",
            *notes,
        ]
    )


def _session_id(path: Path) -> str:
    """The file's name without characters that ids cannot contain, such as + on DANDI."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)


def _without_scenes(experiment: TwoPhotonExperiment, path: Path) -> str:
    found = shorten(experiment.shown, 12) or "no stimulus at all"
    kind = next((f"session {_SESSIONS[n]}, " for n in _SESSIONS if n in experiment.shown), "")
    return (
        f"{path}: shows no natural scenes ({kind}found: {found}), the only images that are "
        "converted; convert session B of the same cells (three_session_B, -StimB on DANDI). Movies "
        "and noise are not converted; gratings alone: meiflow.session.two_photon.trial_tables"
    )


def _events(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file["ev"])
    except (OSError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise MeiflowError(
            f"{path}: not a file of events, .npz with the array ev ({error})"
        ) from None
