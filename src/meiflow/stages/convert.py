"""Conversion of recordings in other formats to tables of real-valued responses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import write_csv
from meiflow.session.two_photon import read_two_photon, trial_tables


def convert_two_photon(
    path: Path, folder: Path, window_s: tuple[float, float], events: Path | None = None
) -> str:
    """Write tables, natural scenes and a configuration of an Allen two-photon experiment.

    Parameters
    ----------
    path : path
        Experiment file (NWB 1).
    folder : path
        Gets trials.csv, static_gratings.csv, images.npy and config.yaml, as far as the file
        contains them.
    window_s : tuple of float
        Start and stop of the response after the onset of an image, in seconds.
    events : path, optional
        Events of the experiment, as downloaded by AllenSDK (.npz with the array ``ev``).

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
    if not window_s[0] < window_s[1]:
        raise MeiflowError(f"window: needs start < stop, got {window_s[0]:g} and {window_s[1]:g}")
    experiment = read_two_photon(path)
    if "natural_scenes" not in experiment.stimuli:
        found = shorten(experiment.stimuli) or "none of the stimuli that are read"
        raise MeiflowError(
            f"{path}: shows no natural scenes (found: {found}); experiments of the session type "
            "three_session_B show them"
        )
    tables = trial_tables(experiment, window_s, None if events is None else _events(events))
    images = [] if experiment.scenes is None else ["images.npy"]
    for name in (*(f"{name}.csv" for name in tables), *images, "config.yaml"):
        if (folder / name).exists():
            raise MeiflowError(
                f"{folder / name}: already exists; choose another folder, or remove the file"
            )
    folder.mkdir(parents=True, exist_ok=True)
    session = {"source": "tables", "id": path.stem, "response": "real"}
    session["response_unit"] = "dF/F" if events is None else "events"
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
        session[name] = str(folder / f"{name}.csv")
    session["images"] = str(folder / "images.npy")
    if experiment.scenes is not None:
        np.save(folder / "images.npy", experiment.scenes, allow_pickle=False)
    text = yaml.safe_dump({"session": session}, sort_keys=False)
    (folder / "config.yaml").write_text(text)
    kept = tables["trials"]["neuron_id"].nunique()
    lacking = "" if experiment.scenes is not None else "; the file lacks images: add images.npy"
    return (
        f"{kept} of {len(experiment.cells)} cells, {shorten(tables)} in "
        f"{folder / 'config.yaml'}{lacking}"
    )


def _events(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file["ev"])
    except (OSError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise MeiflowError(
            f"{path}: not a file of events, .npz with the array ev ({error})"
        ) from None
