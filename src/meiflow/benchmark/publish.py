"""Run the whole benchmark, write tables and figures, and compare with published results."""

from __future__ import annotations

from importlib.resources import files
from io import StringIO
from pathlib import Path

import pandas as pd

from meiflow.benchmark import table as tables
from meiflow.benchmark.design import TUNED, Cell, full_design, quick_design
from meiflow.benchmark.run import read_cells, run_cells
from meiflow.errors import MeiflowError
from meiflow.io.files import write_csv
from meiflow.validation.trust import calibration

DIGITS = 2
_KEPT = 4
TOLERANCE = 0.5 * 10**-DIGITS  # rounded values could differ if the last bit does
_SAME = [*tables.KEYS, "model", "stimulus"]


def published(name: str) -> pd.DataFrame:
    """Published table of all cells, included in this version.

    Parameters
    ----------
    name : str
        ``fractions`` (one row per neuron, model and stimulus of ``meiflow validate``) or ``trust``
        (one per neuron of ``python -m benchmarks.trust``).
    """
    path = files("meiflow.benchmark").joinpath(f"published_{name}.csv")
    return pd.read_csv(StringIO(path.read_text(encoding="utf-8")))


def compare_with_published(loop: pd.DataFrame) -> pd.DataFrame:
    """Rows of `loop` whose fraction differs by more than `TOLERANCE` from the published one.

    Parameters
    ----------
    loop : DataFrame
        Results of some cells.

    Returns
    -------
    DataFrame
        Rows with both values; empty if all agree.

    Raises
    ------
    MeiflowError
        If a cell is not among the published ones.
    """
    tuned = loop[loop[tables.FRACTION].notna()]
    both = tuned.merge(
        published("fractions"), on=_SAME, how="left", suffixes=("", "_published"), indicator=True
    )
    if (both["_merge"] != "both").any():
        raise MeiflowError(
            "the published benchmark lacks "
            f"{int((both['_merge'] != 'both').sum())} of the new rows; the design was changed in "
            "this version without rerunning the benchmark"
        )
    names = [tables.FRACTION, f"{tables.FRACTION}_published"]
    return both.loc[both[names[0]].sub(both[names[1]]).abs() > TOLERANCE, [*_SAME, *names]]


def _as_printed(table: pd.DataFrame) -> pd.DataFrame:
    """Fractions as text with the printed number of digits."""
    fractions = table.select_dtypes("float")
    text = {name: [f"{v:.{DIGITS}f}" for v in fractions[name]] for name in fractions}
    return table.assign(**text).replace("nan", "")


def _print(title: str, table: pd.DataFrame, digits: int = DIGITS) -> None:
    print(f"\n{title}\n{table.round(digits).to_string(na_rep='')}", flush=True)


def run_quick(folder: Path, threads: int) -> None:
    """Run one cell and compare every fraction with the published one.

    Raises
    ------
    MeiflowError
        If any differs by more than `TOLERANCE`.
    """
    cells = quick_design()
    run_cells(cells, folder, threads)
    loop = read_cells(cells, folder, "loop")
    _print(f"Fraction of the optimum, {cells[0].name}", tables.by_stimulus(loop))
    different = compare_with_published(loop)
    counted = int(loop[tables.FRACTION].notna().sum())
    print(
        f"\n{counted - len(different)} of {counted} fractions agree with the published ones to "
        f"within {TOLERANCE:g}."
    )
    if len(different):
        _print("Different", different, _KEPT)
        raise MeiflowError(
            f"{len(different)} of {counted} fractions differ from the published benchmark (above)"
        )


def run_full(folder: Path, threads: int) -> None:
    """Run all cells, write tables and figures."""
    cells = full_design()
    run_cells(cells, folder, threads)
    publish(cells, folder)


def with_fractions(loop: pd.DataFrame, confidence: pd.DataFrame) -> pd.DataFrame:
    """Confidence and true fraction of every neuron; 0 for untuned neurons."""
    mei = loop[(loop["model"] == tables.MIXTURE) & (loop["stimulus"] == "mei")]
    both = confidence.merge(mei[[*tables.KEYS, tables.FRACTION]], on=tables.KEYS)
    return both.fillna({tables.FRACTION: 0.0})


def publish(cells: list[Cell], folder: Path) -> None:
    """Write the published files of finished cells; trust is that of this version."""
    from meiflow.figures.benchmark import fraction_against_data, fractions_by_kind
    from meiflow.figures.style import save_both

    loop = read_cells(cells, folder, "loop")
    confidence = with_fractions(loop, read_cells(cells, folder, "confidence"))
    rule = calibration()
    judged = pd.concat([confidence, rule.judge(confidence)], axis=1)
    judged["right"] = judged[tables.FRACTION] >= rule.level
    main = tables.at_main(loop)
    stimuli = tables.by_stimulus(main)
    found = {
        "by_kind": stimuli.loc[[*TUNED]],
        "by_group": stimuli.drop(index=[*TUNED]),
        "trust_by_kind": tables.trust_by_kind(tables.at_main(judged)),
        "by_model": tables.by_model(main),
        "by_data": tables.by_data(judged).set_index(["noise", "images", "repeats"]),
    }
    kept = loop[[*_SAME, tables.FRACTION]].dropna()
    write_csv(kept.round({tables.FRACTION: _KEPT}), folder / "published_fractions.csv")
    write_csv(judged, folder / "confidence.csv")
    for name, table in found.items():
        write_csv(_as_printed(table).reset_index(), folder / f"{name}.csv")
        _print(name, table)
    drawn = stimuli.loc[[*TUNED, *tables.WHOLE]]
    save_both(fractions_by_kind(drawn), folder, "by_kind")
    usual = found["by_data"].reset_index()
    usual = usual[usual["noise"] == tables.USUAL_NOISE]
    save_both(fraction_against_data(usual), folder, "by_data")
    _print("trusted, all recordings", judged.groupby("trusted")["right"].agg(["size", "mean"]))
