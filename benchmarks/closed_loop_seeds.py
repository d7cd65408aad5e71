"""Accuracy of the MEIs of the default simulated session, over several seeds.

``python -m benchmarks.closed_loop_seeds --seeds 1 2 3`` runs the default session from
simulation to closed loop with each seed and prints, by kind of neuron, the true drive of every
stimulus as a fraction of the maximal drive at that contrast. About three minutes per seed on two
cores. ``--kinds corner curved two_bars`` simulates tuned neurons of other kinds, here of those
that no Gabor describes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
import torch
from benchmarks.sessions import default_document, fitted_session

from meiflow.config.names import SHOWN_PROCEDURES
from meiflow.progress import log_to_stderr
from meiflow.stages.closed_loop import close_loop
from meiflow.stages.procedures import make_procedure


def closed_loop(
    seed: int, kinds: list[str] | None, folder: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """closed_loop.csv and neurons.csv (with true kinds) of the default session."""
    document = default_document(seed)
    if kinds:
        document["session"]["simulation"]["kinds"] = kinds
    document["stimuli"]["make"] = list(SHOWN_PROCEDURES)
    made = fitted_session(document, folder)
    results = made.results
    for name in SHOWN_PROCEDURES:
        make_procedure(made.config, results, name)
    close_loop(made.config, results, made.has)
    truth = pd.read_csv(results.truth)[["neuron_id", "kind"]]
    selection = pd.read_csv(results.selection).merge(truth, on="neuron_id")
    return pd.read_csv(results.closed_loop).assign(seed=seed), selection


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    torch.set_num_threads(1)
    parser.add_argument("--kinds", nargs="+", help="of tuned neurons; default: config.yaml")
    arguments = parser.parse_args()
    loops = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            loop, selection = closed_loop(seed, arguments.kinds, Path(folder))
        untuned = selection["kind"] == "untuned"
        wide = loop.pivot(index="neuron_id", columns="stimulus", values="fraction_of_optimum")
        print(
            f"seed {seed}: {len(wide)} neurons selected, "
            f"{int(selection.loc[untuned, 'selected'].sum())} of {int(untuned.sum())} untuned; MEI "
            f"{wide['mei'].mean():.3f} (lowest {wide['mei'].min():.2f}), above the best natural "
            f"image in {(wide['mei'] > wide['best_natural']).mean():.0%}",
            flush=True,
        )
        loops.append(loop)
    table = pd.concat(loops)
    print(
        table.pivot_table(
            index="stimulus", columns="kind", values="fraction_of_optimum", margins=True
        )
        .round(3)
        .to_string()
    )


if __name__ == "__main__":
    main()
