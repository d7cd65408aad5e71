"""Combined tables of all sessions: neurons, sessions, and the cost of each stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from meiflow.errors import MeiflowError
from meiflow.selection.rule import reasons_told

NONE_LEFT = "no neurons left"
# Columns of Snakemake's benchmark files.
_SECONDS, _CPU, _MEMORY = "s", "cpu_time", "max_rss"
# Medians over the neurons of a session, if the summary contains the column.
MEDIANS = (
    "cc_norm_model",
    "cc_norm_pixel_ridge",
    "cc_norm_model_shuffled",
    "mei_over_best_gabor",
    "mei_over_windowed_natural",
    "mei_peak_frequency_cpd",
    "mei_size_deg",
    "mei_true_fraction",
)


@dataclass(frozen=True)
class Combined:
    """Combined tables of all sessions.

    Parameters
    ----------
    neurons : DataFrame
        session_id, neuron_id, area, then the columns of summary.csv: one row per fitted neuron.
    sessions : DataFrame
        One row per session: number of neurons remaining after each stage, and medians over these.
    """

    neurons: pd.DataFrame
    sessions: pd.DataFrame


@dataclass(frozen=True)
class SessionTables:
    """The tables of one session.

    Parameters
    ----------
    selection, fitted, units : DataFrame
        selection/neurons.csv, models/neurons.csv and tables/units.csv.
    summary : DataFrame or None
        summary.csv; None if no neuron remains.
    """

    selection: pd.DataFrame
    fitted: pd.DataFrame
    units: pd.DataFrame
    summary: pd.DataFrame | None


def gather(sessions: Mapping[str, SessionTables]) -> Combined:
    """Combine the tables of all sessions.

    Parameters
    ----------
    sessions : mapping of str to SessionTables
        Results by session id, in the order of the output.

    Raises
    ------
    MeiflowError
        If no neurons remain in any session.
    """
    parts, rows = [], []
    for session, tables in sessions.items():
        modelled = int(tables.fitted["selected"].sum())
        row: dict[str, object] = {
            "session_id": session,
            "status": "modelled" if modelled else NONE_LEFT,
            "reason": "" if modelled else reasons_told(tables.fitted),
            "units": len(tables.units),
            "selected": int(tables.selection["selected"].sum()),
            "fit_failed": int((tables.fitted["status"] == "fit failed").sum()),
            "modelled": modelled,
        }
        if tables.summary is not None:
            own = _neurons(tables.summary, session)
            parts.append(own)
            row |= _counts(own)
            row |= {f"median_{n}": meaningful(own, n)[n].median() for n in MEDIANS if n in own}
        rows.append(row)
    if not parts:
        reasons = "; ".join(f"{row['session_id']}: {row['reason']}" for row in rows)
        raise MeiflowError(
            f"sessions: no session has any neurons left ({reasons}); relax the selection criteria"
        )
    neurons = pd.concat(parts, ignore_index=True)
    table = pd.DataFrame(rows)
    whole = {name: "Int64" for name in ("model_above_chance", "trusted") if name in table}
    return Combined(neurons, table.astype(whole))


def meaningful(neurons: pd.DataFrame, name: str) -> pd.DataFrame:
    """The neurons for which a measure is meaningful.

    Measures of an MEI are meaningless if the model is not better than chance; scores never are.
    """
    return (
        neurons[~neurons["model_above_chance"].isin([False])]
        if name.startswith("mei_")
        else neurons
    )


def _neurons(summary: pd.DataFrame, session: str) -> pd.DataFrame:
    own = summary.assign(session_id=session)
    if "area" not in own:
        own["area"] = None
    first = ["session_id", "neuron_id", "area"]
    return own[[*first, *(name for name in own if name not in first)]]


def _counts(own: pd.DataFrame) -> dict[str, object]:
    judged = {"model_above_chance": own["model_above_chance"]}
    judged |= {"trusted": own["trusted"]} if "trusted" in own else {}
    return {name: int(v.isin([True]).sum()) for name, v in judged.items() if v.notna().any()}


def costs(timings: Iterable[tuple[str, str, pd.DataFrame]]) -> pd.DataFrame:
    """Time and memory used by each stage of each session, as measured by its jobs.

    Parameters
    ----------
    timings : iterable of (str, str, DataFrame)
        Session, stage and benchmark table of every job.

    Returns
    -------
    DataFrame
        session_id, stage, jobs, seconds (wall time, summed over jobs), cpu_seconds (also summed),
        max_memory_mb (highest value of any job). Stages without a benchmark file are omitted.
    """
    rows = []
    for session, stage, table in timings:
        if {_SECONDS, _CPU, _MEMORY} <= set(table):
            times = table[[_SECONDS, _CPU, _MEMORY]].apply(pd.to_numeric, errors="coerce")
            rows.append((session, stage, 1, *times.iloc[-1]))
    columns = ["session_id", "stage", "jobs", "seconds", "cpu_seconds", "max_memory_mb"]
    table = pd.DataFrame(rows, columns=columns)
    kinds = {"jobs": "sum", "seconds": "sum", "cpu_seconds": "sum", "max_memory_mb": "max"}
    grouped = table.groupby(["session_id", "stage"], sort=False, as_index=False)
    return grouped.agg(kinds) if len(table) else table
