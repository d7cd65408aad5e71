"""Sentences of the section Methods that depend on what this run read and did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meiflow.config.sections import Config, Quality, Session
from meiflow.io.files import read_csv
from meiflow.models.fitters import LEARN_FROM_DRIFTING
from meiflow.report.session_data import SessionData

# Keys of the section `session` that have no effect with these sources.
_OF_SESSION_FILES = (
    *("area", "nwb", "warehouse", "bucket", "dandi", "stream"),
    *("quality", "columns", "simulation"),
)
_LIMITS = {
    "isi_violations_max": "ISI violations at most {:g}",
    "amplitude_cutoff_max": "amplitude cutoff at most {:g}",
    "presence_ratio_min": "presence ratio at least {:g}",
}
_GAZE = {
    "none": "",
    "shift": "The models were fitted to images shifted by gaze (models/gaze.csv).",
    "auto": "The models were fitted to images shifted by gaze where gaze was recorded and this "
    "explained left-out training images better (models/gaze.csv).",
}
_NAMES = {
    "gabors": "Gabors",
    "static_gratings": "static gratings",
    "drifting_gratings": "drifting gratings",
}


def counting(data: SessionData) -> str:
    """How the responses of a trial came about."""
    session, movies = data.config.session, bool(data.responses.movies)
    if session.source == "sensorium":
        return _given(data, "folder")
    per_bin, lag = session.movies.frames_per_bin, session.movies.lag_s
    if session.source == "tables" and data.response.real:
        if movies:
            return (
                "Responses per frame are those of the table, averaged over bins of "
                f"{per_bin} frames of every pass of a movie; each bin is an image."
            )
        further = f"those to movies averaged over bins of {per_bin} frames"
        return _given(data, "tables", f", {further}" if data.has.movies else "")
    start, stop = session.window_s
    end = "the end of the presentation" if stop is None else f"{stop:g} s"
    window = f"from {start:g} s to {end} after onset"
    if session.source == "tables":
        if movies:
            return (
                "Spike counts per frame are those of the table, added up over bins of "
                f"{per_bin} frames of every pass of a movie; each bin is an image."
            )
        return f"Spike counts per trial are those of the tables, counted {window}."
    if not movies:
        return f"Spikes are counted per trial {window}. {_filters(data)}"
    shown = [_NAMES[name] for name in ("gabors", "static_gratings") if shown_rows(data, name)]
    further = f" {_listed(shown)} are counted per trial {window}." if shown else ""
    return (
        f"Spikes are counted in every pass of a movie, in bins of {per_bin} frames delayed by "
        f"{lag:g} s; each bin is an image.{further} {_filters(data)}"
    )


def _given(data: SessionData, where: str, further: str = "") -> str:
    """Real-valued responses as they were given, and how their trials are averaged."""
    unit = f" ({data.response.unit})" if data.response.unit else ""
    tests = data.responses.tests
    only = "" if tests is None or not tests.any() else (
        f" The {int(tests.sum())} images of its test tier are not used to fit any model, only to "
        "score them."
    )  # fmt: skip
    return (
        f"Responses{unit} per trial are those of the {where}{further}; those to the same image are "
        f"summarised by their {data.response.average}.{only}"
    )


def _filters(data: SessionData) -> str:
    """Which units of a session file are left."""
    quality, units = data.config.session.quality, data.units
    limits = [
        text.format(limit)
        for name, text in _LIMITS.items()
        if (limit := getattr(quality, name)) is not None
    ]
    if not limits:
        return f"All {units['passed']} units with a valid label and channel are used."
    siegle = " (those of Siegle et al. 2021)" if quality == Quality() else ""
    return (
        f"Units are filtered by the quality metrics of the session file{siegle}: "
        f"{'; '.join(limits)}. {units['passed']} of {units['in_areas']} units in the areas pass."
    )


def shown_rows(data: SessionData, stimulus: str) -> bool:
    """Whether presentations of a stimulus were recorded: tables of a download may be empty."""
    path, has = {
        "gabors": (data.results.gabor_responses, data.has.gabors),
        "static_gratings": (data.results.grating_trials, data.has.gratings),
        "drifting_gratings": (data.results.drifting_responses, data.has.drifting),
    }[stimulus]
    return has and len(read_csv(path)) > 0


def further_stimuli(data: SessionData) -> str:
    """What else the models were fitted to than plain images and movies; empty if nothing."""
    model = data.config.model
    if model.custom:
        return ""
    among = [name for name in _NAMES if name in model.learn_from and shown_rows(data, name)]
    some = [name for name in model.members if name in LEARN_FROM_DRIFTING]
    parts = []
    if "static_gratings" in among:
        parts.append("The models were also fitted to static gratings")
    moving = [_NAMES[name] for name in among if name != "static_gratings"]
    if moving and some:
        parts.append(f"{_listed(some)} were also fitted to {_listed(moving)}")
    if not parts:
        return _GAZE[model.gaze]
    compared = {"gabors", "static_gratings"} & set(among) and data.tuning
    rest = "; recorded tuning is compared with models that were not fitted to stimuli of the same"
    text = "; ".join(parts) + (f"{rest} class." if compared else ".")
    return f"{text} {_GAZE[model.gaze]}".rstrip()


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def used_config(config: Config) -> dict[str, Any]:
    """The configuration of a run without the keys of the session that had no effect on it."""
    document = config.model_dump(mode="json")
    if config.session.custom_tables:
        for key in _OF_SESSION_FILES:
            del document["session"][key]
    return document


def data_credit(session: Session) -> str:
    """Whom to cite for the data, as far as the source tells."""
    if session.source == "allen":
        return (
            "Data of the Allen Brain Observatory: cite the Allen Institute and Siegle et al. "
            "(2021)."
        )
    if session.source == "dandi":
        name = session.dandi.dandiset or f"asset {session.dandi.asset}"
        return f"Data of the DANDI archive, {name}: cite the dandiset."
    return "Simulated data." if session.source == "simulated" else ""
