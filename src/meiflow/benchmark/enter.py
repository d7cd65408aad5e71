"""The command ``meiflow benchmark``: score methods, and write one table and its summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meiflow import __version__
from meiflow.benchmark.cite import citation
from meiflow.benchmark.methods import METHODS, REFERENCE, load_method
from meiflow.benchmark.networks import NetworkSource
from meiflow.benchmark.score import Plan, results_of, run_sessions
from meiflow.benchmark.sources import (
    CONTRAST,
    MEAN,
    KindsSource,
    Pictures,
    RandomSource,
    Source,
    fingerprint,
)
from meiflow.benchmark.summary import summarise
from meiflow.errors import MeiflowError
from meiflow.io.files import write_csv, write_text

SOURCES = ("random", "kinds")


def open_source(
    name: str, judge: Path | None, scenes: Path | None, seed: int, published: bool
) -> Source:
    """The source of a name.

    Parameters
    ----------
    name : str
        One of `SOURCES`, or the file of a published network.
    judge : Path, optional
        Another network of the same neurons, which judges the stimuli.
    scenes : Path, optional
        Pictures to show instead of dead leaves.
    seed : int
    published : bool
        For the source ``random``: neurons on which no choice may be made.

    Raises
    ------
    MeiflowError
        If there is none, or an option does not apply to it.
    """
    pictures = Pictures(scenes, seed)
    if judge is not None and name in SOURCES:
        raise MeiflowError(f"--judge: only for published networks, not for the source {name}")
    if published and name != "random":
        raise MeiflowError(f"--published: only for the source random, not for {name}")
    if name == "random":
        return RandomSource(pictures, seed, published)
    if name == "kinds":
        return KindsSource(pictures, seed)
    if judge is not None and not judge.is_file():
        raise MeiflowError(f"--judge: there is no file {judge}")
    if Path(name).is_file():
        return NetworkSource(Path(name), judge, pictures, seed)
    raise MeiflowError(
        f"--source: {name} is neither one of {', '.join(SOURCES)} nor the file of a network"
    )


def benchmark(plan: Plan, methods: Sequence[str], jobs: int) -> pd.DataFrame:
    """Score methods and write ``results.csv``, ``summary.csv`` and ``citation.txt``.

    Parameters
    ----------
    plan : Plan
    methods : sequence of str
        Names of `METHODS` or ``module:function``.
    jobs : int
        Number of sessions at once; the result does not depend on it.

    Returns
    -------
    DataFrame
        Output of `meiflow.benchmark.summary.summarise`.
    """
    for method in methods:
        load_method(method)  # fail before anything is computed
    _require_same(plan)
    chosen = list(dict.fromkeys([*methods, REFERENCE]))
    run_sessions(plan, chosen, jobs)
    finished = [
        m for m in METHODS if all(plan.unit(session, m).exists() for session in plan.sessions)
    ]
    shown = list(dict.fromkeys([*chosen, *finished]))
    results = results_of(plan, shown)
    summary = summarise(results, plan.seed)
    write_csv(results, plan.folder / "results.csv")
    write_csv(summary.reset_index(), plan.folder / "summary.csv")
    write_text(citation(plan, shown), plan.folder / "citation.txt")
    return summary


def _require_same(plan: Plan) -> None:
    """Reject a folder of another benchmark, and mark a new one with this one."""
    settings = {
        "meiflow": __version__,
        "source": plan.source.label,
        "fingerprint": fingerprint(plan.source),
        "images": plan.images,
        "repeats": plan.repeats,
        "mean": MEAN,
        "contrast": CONTRAST,
    }
    path = plan.folder / "settings.json"
    if not path.exists():
        write_text(json.dumps(settings, indent=1) + "\n", path)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = {}
    for name, value in settings.items():
        if found.get(name) != value:
            raise MeiflowError(
                f"{path}: made with {name} {found.get(name)}, but this is {value}; use another "
                "--out"
            )


def as_text(summary: pd.DataFrame) -> str:
    """The summary as lines: estimates with their intervals in brackets."""
    rows = {}
    for method, row in summary.iterrows():
        cells = {}
        for name in summary:
            if name.endswith(("_low", "_high")):
                continue
            value = row[name]
            interval = row.get(f"{name}_low"), row.get(f"{name}_high")
            cells[name] = _cell(value, *interval)
        rows[method] = cells
    return pd.DataFrame.from_dict(rows, orient="index").to_string()


def _cell(value: Any, low: float | None, high: float | None) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    if low is None:
        return f"{value:g}" if float(value) == round(float(value)) else f"{value:.1f}"
    return f"{value:.2f}" + ("" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]")
