"""Scores of a stimulus pack: the responses of a later day against the predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, closest, shorten
from meiflow.figures.pack import pack_figure
from meiflow.figures.style import save_both
from meiflow.io.checksums import bookkeeping
from meiflow.io.files import read_csv, write_csv, write_text
from meiflow.io.writing import atomic_folder
from meiflow.pack.score import PackResponses, pooled_fractions, score_pack, summarise
from meiflow.progress import note
from meiflow.response_type import ResponseType
from meiflow.results.pack import DayLayout, Pack, read_pack
from meiflow.selection.reliability import TrialGroups
from meiflow.session.sensorium import new_folder

_FEWEST = 2


def score_responses(
    folder: Path, responses: Path, out: Path, match: Path | None = None, seed: int = 0
) -> str:
    """Score the predictions of a pack against the responses to it.

    Parameters
    ----------
    folder : path
        The pack.
    responses : path
        CSV with one row per presentation: frame or stimulus_id, then a column per neuron.
    out : path
        New folder for tables and figure.
    match : path, optional
        CSV with neuron_id (of the pack) and recorded_id (column of `responses`).
    seed : int
        Of bootstrap and permutations.

    Returns
    -------
    str
        Of the trusted MEIs, how many drove their neuron more than all controls.

    Raises
    ------
    MeiflowError
        If a table is not valid, or a stimulus was presented fewer than twice.
    """
    new_folder(out)
    pack = read_pack(folder)
    response = ResponseType.from_document(pack.document)
    shown = _responses(pack, responses, match, response)
    reference = float(pack.document["images"]["reference_contrast"])
    comparisons, neurons = score_pack(
        shown, pack.stimuli, pack.predicted, reference, seed, response
    )
    neurons = neurons.merge(pack.neurons, on="neuron_id", how="left")
    neurons["trusted"] = neurons["trusted"].fillna(False).astype(bool)
    summary = summarise(neurons)
    by_stimulus = pooled_fractions(comparisons, neurons, reference, seed)
    with atomic_folder(out) as unfinished:
        files = DayLayout(unfinished)
        unfinished.mkdir()
        write_csv(by_stimulus, files.stimuli)
        write_csv(comparisons, files.comparisons)
        write_csv(neurons, files.neurons)
        write_csv(_means(pack, shown), files.responses)
        whole = summary | {"reference_contrast": reference, "seed": seed}
        write_text(json.dumps(whole, indent=1) + "\n", files.summary)
        figure = pack_figure(comparisons, neurons, _means(pack, shown), reference, response)
        save_both(figure, unfinished, "day2", response)
        bookkeeping(unfinished)[2].unlink(missing_ok=True)
    return _sentence(summary)


def _sentence(summary: dict[str, float | int]) -> str:
    n, hits = summary["trusted_neurons"], summary["trusted_beat_controls"]
    others = summary["untrusted_neurons"], summary["untrusted_beat_controls"]
    rest = f"; of {others[0]} other MEIs, {others[1]}" if others[0] else ""
    if not n:
        return f"none of the MEIs was trusted{rest} drove their neuron more than all controls"
    low, high = (round(100 * summary[f"trusted_{end}"]) for end in ("low", "high"))
    return (
        f"of {n} trusted MEIs, {hits} drove their neuron more than all controls "
        f"({round(100 * hits / n)} %; 95 % CI: {low} to {high} %){rest}"
    )


def _means(pack: Pack, shown: PackResponses) -> pd.DataFrame:
    """Mean, standard error and prediction of every neuron for every stimulus."""
    groups = TrialGroups.of(shown.stimulus_ids)
    means = groups.means(shown.responses)
    squares = groups.sums((shown.responses - means[groups.codes]) ** 2)
    r = groups.repeats[:, None]
    errors = np.sqrt(squares / (r - 1) / r)
    kept = pack.stimuli[["stimulus_id", "stimulus", "neuron_id", "contrast"]]
    parts = [
        kept.rename(columns={"neuron_id": "made_for"}).assign(
            neuron_id=neuron,
            predicted=pack.predicted[neuron].to_numpy(),
            response=means[:, i],
            standard_error=errors[:, i],
            trials=groups.repeats,
        )
        for i, neuron in enumerate(shown.neurons)
    ]
    return pd.concat(parts, ignore_index=True)


def _responses(pack: Pack, path: Path, match: Path | None, response: ResponseType) -> PackResponses:
    table = read_csv(path)
    ids = _stimulus_ids(table, path, pack)
    columns = _columns(table, path, pack, match)
    values = np.empty((len(table), len(columns)))
    for i, column in enumerate(columns.values()):
        numbers = table[column]
        if not pd.api.types.is_numeric_dtype(numbers) or pd.api.types.is_bool_dtype(numbers):
            raise MeiflowError(f"{path}: column {column} must contain numbers")
        values[:, i] = numbers
        wrong = ~np.isfinite(values[:, i])
        if not response.real:
            wrong |= values[:, i] < 0
        if wrong.any():
            row = int(np.argmax(wrong))
            allowed = "finite numbers" if response.real else "spike counts, 0 or more"
            found = "an empty cell" if np.isnan(values[row, i]) else f"{values[row, i]:g}"
            raise MeiflowError(
                f"{path}: column {column}, line {row + 2}: {found}; expected {allowed}; leave out "
                "the rows of presentations that were not recorded"
            )
    repeats = np.bincount(ids, minlength=len(pack.stimuli))
    few = np.flatnonzero(repeats < _FEWEST)
    if len(few):
        names = [
            f"{row.stimulus_id} ({row.stimulus} {row.neuron_id})"
            for row in pack.stimuli.iloc[few].itertuples()
        ]
        raise MeiflowError(
            f"{path}: fewer than {_FEWEST} presentations of stimulus {shorten(names, 3)}; expected "
            "at least two complete blocks"
        )
    return PackResponses(ids, values, list(columns))


def _stimulus_ids(table: pd.DataFrame, path: Path, pack: Pack) -> NDArray[np.int64]:
    """The stimulus of every row, from stimulus_id or from frame."""
    given = [name for name in ("frame", "stimulus_id") if name in table]
    if not given:
        raise MeiflowError(
            f"{path}: no column frame (of frames.csv) or stimulus_id (of stimuli.csv); one of them "
            "says what was presented"
        )
    limits = {"frame": len(pack.frames), "stimulus_id": len(pack.stimuli)}
    for name in given:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
        wrong = ~((values >= 0) & (values < limits[name]) & (values == np.floor(values)))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise MeiflowError(
                f"{path}: column {name}, line {row + 2}: {table[name].iloc[row]}; expected a whole "
                f"number from 0 to {limits[name] - 1}"
            )
    if "frame" not in given:
        return table["stimulus_id"].to_numpy(np.int64)
    frames = table["frame"].to_numpy(np.int64)
    if len(np.unique(frames)) < len(frames):
        twice = frames[pd.Series(frames).duplicated()][0]
        raise MeiflowError(f"{path}: frame {twice} occurs twice; each presentation has one row")
    ids = pack.frames["stimulus_id"].to_numpy(np.int64)[frames]
    if "stimulus_id" in given:
        other = ids != table["stimulus_id"].to_numpy(np.int64)
        if other.any():
            row = int(np.argmax(other))
            raise MeiflowError(
                f"{path}: line {row + 2}: frame {frames[row]} shows stimulus {ids[row]}, not "
                f"{table['stimulus_id'].iloc[row]}; if the order was another, leave out the column "
                "frame"
            )
    return ids


def _columns(table: pd.DataFrame, path: Path, pack: Pack, match: Path | None) -> dict[str, str]:
    """Column of the responses by neuron of the pack, in the order of the pack."""
    neurons = [str(n) for n in pack.neurons["neuron_id"]]
    if match is None:
        found = {name: name for name in neurons if name in table}
        if not found:
            other = [c for c in table if c not in ("frame", "stimulus_id")]
            raise MeiflowError(
                f"{path}: no column of a neuron of the pack ({shorten(neurons, 3)}); found "
                f"{shorten(other, 5) or 'no other column'}; if the neurons have other names, give "
                "a table with --match"
            )
    else:
        pairs = read_csv(match, ("neuron_id", "recorded_id")).astype(str)
        for name, values in pairs[["neuron_id", "recorded_id"]].items():
            if values.duplicated().any():
                raise MeiflowError(
                    f"{match}: {name} {values[values.duplicated()].iloc[0]} occurs twice; match "
                    "each neuron once"
                )
        for name, allowed, where in (
            ("neuron_id", neurons, "the pack"),
            ("recorded_id", list(table), str(path)),
        ):
            unknown = [value for value in pairs[name] if value not in allowed]
            if unknown:
                raise MeiflowError(
                    f"{match}: {name} {unknown[0]} is not in {where}{closest(unknown[0], allowed)}"
                )
        by_neuron = dict(zip(pairs["neuron_id"], pairs["recorded_id"], strict=True))
        found = {name: by_neuron[name] for name in neurons if name in by_neuron}
        if not found:
            raise MeiflowError(f"{match}: no rows")
    left = [name for name in neurons if name not in found]
    if left:
        note(f"{len(left)} of {len(neurons)} neurons of the pack were not found: {shorten(left)}")
    return found
