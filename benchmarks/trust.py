r"""Choose the trust rule on some neurons, and measure on others how often it is right.

    meiflow benchmark meiflow --source random --neurons 240 --jobs 2 --out results/choose/random
    meiflow benchmark meiflow --source random --published --neurons 120 --jobs 2 \
        --out results/measure/random
    python -m benchmarks.trust --choose results/choose/* --measure results/measure/* \
        --further results/further/* --out results/trust

Each folder is the output of a `meiflow benchmark` with the method ``meiflow``: any source, number
of images and repeats; those of ``--further`` are judged, but are no part of the stated precision.
Writes ``published_trust.csv`` (a row per neuron, included in the package as
``src/meiflow/benchmark/published_trust.csv``), ``calibration.json``
(``src/meiflow/validation/calibration.json``), and the tables and the figure of
``docs/benchmark``. Also prints how often a rule is right on each source of ``--choose`` if it is
chosen on all others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from meiflow.benchmark.calibrate import (
    CHOOSE,
    FURTHER,
    MEASURE,
    by_source,
    choose_rule,
    write_rule,
)
from meiflow.benchmark.table import FRACTION, by_confidence, by_feature
from meiflow.errors import MeiflowError
from meiflow.figures.benchmark import trust_calibration
from meiflow.figures.style import save_both
from meiflow.io.files import read_csv, write_csv
from meiflow.validation.trust import FEATURES

METHOD = "meiflow"
_DIGITS = 4
_KEPT = ["cc_norm", *FEATURES, "ceiling_error", FRACTION]


def gather(folders: list[Path], use: str) -> pd.DataFrame:
    """Neurons of some benchmarks, one row each."""
    tables = []
    for folder in folders:
        table = read_csv(folder / "results.csv", ("method", *_KEPT))
        table = table[table["method"] == METHOD]
        design = table["images"].astype(str) + " x " + table["repeats"].astype(str)
        name = table["source"].str.replace(r" (development|published) seed \d+", "", regex=True)
        columns = {"source": name + ", " + design, "use": use}
        kept = table[["session", "neuron", "structure", *_KEPT]].fillna({FRACTION: 0.0})
        tables.append(kept.assign(**columns).round(dict.fromkeys(_KEPT, _DIGITS)))
    return pd.concat(tables, ignore_index=True)


def left_out(table: pd.DataFrame) -> pd.DataFrame:
    """Each source judged by the rule that is chosen on the others."""
    rows = []
    for source in table["source"].unique():
        own = table["source"] == source
        split = table.assign(use=own.map({True: MEASURE, False: CHOOSE}))
        try:
            rule = choose_rule(split)
        except MeiflowError as error:
            print(f"without {source}: {error}")
            continue
        rows.append(by_source(rule, split[own]))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--choose", type=Path, nargs="+", required=True)
    parser.add_argument("--measure", type=Path, nargs="+", required=True)
    parser.add_argument("--further", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    uses = {CHOOSE: given.choose, MEASURE: given.measure, FURTHER: given.further}
    table = pd.concat([gather(folders, use) for use, folders in uses.items() if folders])
    table = table.reset_index(drop=True)
    rule = choose_rule(table)
    judged = pd.concat([table, rule.judge(table)], axis=1)
    judged["right"] = judged[FRACTION] >= rule.level
    new = judged[judged["use"] == MEASURE]
    found = {
        "trust_by_source": by_source(rule, table),
        "trust_left_out": left_out(table[table["use"] == CHOOSE]),
        "by_confidence": by_confidence(new).reset_index(),
        "by_feature": by_feature(new, (*FEATURES, "cc_norm", "expected_fraction")).reset_index(),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    for name, shown in found.items():
        write_csv(shown.round(2), given.out / f"{name}.csv")
        print(f"\n{name}\n{shown.round(2).to_string(index=False)}")
    write_csv(table, given.out / "published_trust.csv")
    write_rule(rule, given.out / "calibration.json")
    save_both(trust_calibration(new, rule.level), given.out, "calibration")
    print(f"\n{rule}\n{rule.source}")


if __name__ == "__main__":
    main()
