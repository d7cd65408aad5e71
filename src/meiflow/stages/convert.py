"""Conversion of recordings in other formats to tables of real-valued responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meiflow.errors import MeiflowError, shorten
from meiflow.images.geometry import (
    ALLEN_HEIGHT_DEG,
    ALLEN_MOVIE_HEIGHT_DEG,
    ALLEN_MOVIE_WIDTH_DEG,
    ALLEN_WIDTH_DEG,
)
from meiflow.io.files import write_array, write_csv
from meiflow.io.paths import require_new
from meiflow.session.two_photon import MOVIES, TwoPhotonExperiment, trial_tables
from meiflow.session.two_photon_file import read_movie, read_two_photon
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
_MOVIE_FOLDER, _FRAME_RATE_HZ = "movies", 30.0
_MOST_ROWS = 20_000_000  # of movies.csv, about a gigabyte


def convert_two_photon(
    path: Path,
    folder: Path,
    window_s: tuple[float, float],
    events: Path | None = None,
    stored_events: bool = False,
    movies: bool = True,
) -> str:
    """Write tables, images and a configuration of an Allen two-photon experiment.

    Parameters
    ----------
    path : path
        Experiment file (NWB 1 or NWB 2).
    folder : path
        Gets trials.csv, static_gratings.csv, drifting_gratings.csv, images.npy, movies.csv, movies
        (a folder of stacks) and config.yaml, as far as the file contains them.
    window_s : tuple of float
        Start and stop of the response after the onset of an image, in seconds. For movies, the
        start is the delay behind every frame.
    events : path, optional
        Events of the experiment, as downloaded by AllenSDK (.npz with the array ``ev``).
    stored_events : bool
        Whether to use the events in the file (NWB 2) in place of dF/F.
    movies : bool
        Whether to convert natural movies.

    Returns
    -------
    str
        What was written.

    Raises
    ------
    MeiflowError
        If the experiment shows neither natural scenes nor movies, a file is damaged, or one of the
        new files exists; then nothing is written.
    """
    require_window(window_s)
    if events is not None and stored_events:
        raise MeiflowError("events: give either a file or --stored-events")
    experiment = read_two_photon(path)
    shown = [name for name in MOVIES if movies and name in experiment.stimuli]
    if "natural_scenes" not in experiment.stimuli and not shown:
        raise MeiflowError(_without_images(experiment, path))
    if stored_events and experiment.events is None:
        raise MeiflowError(
            f"{path}: contains no events (processing/ophys/DfOverF/DfOverFEvents), as all NWB 1 "
            "and some NWB 2 files; give those that AllenSDK downloads with --events FILE.npz"
        )
    traces = experiment.events if stored_events else None if events is None else _events(events)
    tables = trial_tables(experiment.only(shown), window_s, traces)
    _require_few(tables, path)
    scenes = experiment.scenes if "trials" in tables else None
    images = [] if scenes is None else ["images.npy"]
    stacks = [f"{_MOVIE_FOLDER}/{name}.npy" for name in shown]
    require_new(*(folder / name for name in (*map(_file, tables), *images, *stacks, CONFIG)))
    folder.mkdir(parents=True, exist_ok=True)
    session = {"source": "tables", "id": _session_id(path), "response": "real"}
    session["response_unit"] = "dF/F" if traces is None else "events"
    for name, table in tables.items():
        write_csv(table, folder / _file(name))
        if name != "movies":
            session[name] = _file(name)  # relative to config.yaml
    if "trials" in tables:
        session["images"] = "images.npy"
    if scenes is not None:
        write_array(scenes, folder / "images.npy")
    missing = [] if images or "trials" not in tables else ["images.npy"]
    missing += [name for name in stacks if not _write_movie(path, folder / name)]
    further = {"movies": _movies(shown)} if shown else {}
    write_configuration(session | further, (ALLEN_WIDTH_DEG, ALLEN_HEIGHT_DEG), folder)
    kept = next(iter(tables.values()))["neuron_id"].nunique()
    notes = [*experiment.notes]
    if missing:
        notes.append(f"the file lacks images: add {shorten(missing)}")
    return "; ".join(
        [
            f"{kept} of {len(experiment.cells)} cells, {shorten(tables)} in {folder / CONFIG}",
            *notes,
        ]
    )


def _file(table: str) -> str:
    return f"{table}.csv"


def _movies(shown: list[str]) -> dict[str, Any]:
    """The section ``session.movies``."""
    return {
        "shown": shown,
        "counts": _file("movies"),
        "stacks": _MOVIE_FOLDER,
        "frame_rate_hz": _FRAME_RATE_HZ,
        "width_deg": round(ALLEN_MOVIE_WIDTH_DEG, 2),
        "height_deg": round(ALLEN_MOVIE_HEIGHT_DEG, 2),
    }


def _write_movie(path: Path, stack: Path) -> bool:
    """Write the frames of a movie; False if the file does not contain them."""
    stack.parent.mkdir(exist_ok=True)
    frames = read_movie(path, stack.stem)
    if frames is None:
        return False
    write_array(frames, stack)
    return True


def _require_few(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    if "movies" in tables and len(tables["movies"]) > _MOST_ROWS:
        raise MeiflowError(
            f"{path}: the movies give {len(tables['movies']):,} responses, more than "
            f"{_MOST_ROWS:,}; leave them out with --no-movies"
        )


def _session_id(path: Path) -> str:
    """The file's name without characters that ids cannot contain, such as + on DANDI."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)


def _without_images(experiment: TwoPhotonExperiment, path: Path) -> str:
    found = shorten(experiment.shown, 12) or "no stimulus at all"
    kind = next((f"session {_SESSIONS[n]}, " for n in _SESSIONS if n in experiment.shown), "")
    return (
        f"{path}: shows neither natural scenes nor complete natural movies ({kind}found: {found}), "
        "the only images that are converted; convert session B of the same cells "
        "(three_session_B, -StimB on DANDI). Noise is not converted; gratings alone: "
        "meiflow.session.two_photon.trial_tables"
    )


def _events(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file["ev"])
    except (OSError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise MeiflowError(
            f"{path}: not a file of events, .npz with the array ev ({error})"
        ) from None
