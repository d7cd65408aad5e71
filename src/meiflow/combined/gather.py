"""Combined tables of all sessions: neurons, sessions, and the cost of each stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from meiflow.errors import MeiflowError
from meiflow.io.files import read_csv
from meiflow.selection.rule import reasons_told

NOBODY = "nobody left"
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


def gather(results: Path, sessions: list[str]) -> Combined:
    """Read and combine the results of the sessions.

    Parameters
    ----------
    results : path
        Folder that contains the results folders of the sessions.
    sessions : list of str
        Ids of the sessions, in the order of the output.

    Raises
    ------
    MeiflowError
        If a file is missing or damaged, or if no session has any neurons left.
    """
    parts, rows = [], []
    for session in sessions:
        folder = results / session
        judged = read_csv(folder / "selection" / "neurons.csv", ("neuron_id", "selected"))
        outcome = read_csv(
            folder / "models" / "neurons.csv", ("neuron_id", "selected", "status", "reason")
        )
        units = read_csv(folder / "tables" / "units.csv", ("neuron_id",))
        modelled = int(outcome["selected"].sum())
        row: dict[str, object] = {
            "session_id": session,
            "status": "modelled" if modelled else NOBODY,
            "reason": "" if modelled else reasons_told(outcome),
            "units": len(units),
            "selected": int(judged["selected"].sum()),
            "fit_failed": int((outcome["status"] == "fit failed").sum()),
            "modelled": modelled,
        }
        if modelled:
            own = _neurons(folder / "summary.csv", session, units)
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
    whole = {name: "Int64" for name in ("model_holds", "trusted") if name in table}
    return Combined(neurons, table.astype(whole))


def meaningful(neurons: pd.DataFrame, name: str) -> pd.DataFrame:
    """The neurons for which a measure is meaningful.

    Measures of an MEI are meaningless if the model is not better than chance; scores never are.
    """
    return neurons[~neurons["model_holds"].isin([False])] if name.startswith("mei_") else neurons


def _neurons(path: Path, session: str, units: pd.DataFrame) -> pd.DataFrame:
    summary = read_csv(path, ("neuron_id", "cc_norm_model", "model_holds"))
    areas = units.set_index("neuron_id")["area"] if "area" in units else pd.Series(dtype=str)
    own = pd.DataFrame(
        {
            "session_id": session,
            "neuron_id": summary["neuron_id"],
            "area": areas.reindex(summary["neuron_id"]).to_numpy(object),
        }
    )
    return pd.concat([own, summary.drop(columns="neuron_id")], axis=1)


def _counts(own: pd.DataFrame) -> dict[str, object]:
    judged = {"model_holds": own["model_holds"]}
    judged |= {"trusted": own["trusted"]} if "trusted" in own else {}
    return {name: int(v.isin([True]).sum()) for name, v in judged.items() if v.notna().any()}


def costs(results: Path, sessions: list[str]) -> pd.DataFrame:
    """Cost of each stage of each session, from Snakemake's benchmark files.

    Returns
    -------
    DataFrame
        session_id, stage, jobs, seconds (wall time, summed over jobs), cpu_seconds (also summed),
        max_memory_mb (highest value of any job). Stages without a benchmark file are omitted; jobs
        too short to be sampled have no CPU time and no memory.
    """
    rows = []
    for session in sessions:
        folder = results / session / "benchmarks"
        for path in sorted(folder.rglob("*.tsv")):
            table = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
            if {_SECONDS, _CPU, _MEMORY} <= set(table):
                times = table[[_SECONDS, _CPU, _MEMORY]].apply(pd.to_numeric, errors="coerce")
                rows.append((session, path.stem, 1, *times.iloc[-1]))
    columns = ["session_id", "stage", "jobs", "seconds", "cpu_seconds", "max_memory_mb"]
    table = pd.DataFrame(rows, columns=columns)
    kinds = {"jobs": "sum", "seconds": "sum", "cpu_seconds": "sum", "max_memory_mb": "max"}
    grouped = table.groupby(["session_id", "stage"], sort=False, as_index=False)
    return grouped.agg(kinds) if len(table) else table
