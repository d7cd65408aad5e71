"""Precision and recall of selection rules.

``python -m benchmarks.selection_rules`` simulates sessions of 40 units, half of them untuned, at
several mean rates and numbers of repeats, and compares rules with the ground truth. A neuron is
*tuned* if its drive depends on the image at all, and *predictable* if its cross-validated model
predicts the true, noise-free drive of held-out images with a correlation of at least 0.7. Prints
the precision and recall of every rule for both, with the neurons of all sessions pooled. About half
a minute per session on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.sessions import recorded_session

from meiflow.config.config import parse_config
from meiflow.config.sections import Selection
from meiflow.errors import MeiflowError
from meiflow.io.files import read_arrays
from meiflow.progress import log_to_stderr
from meiflow.results.tables import read_stack
from meiflow.selection.rule import apply_rule
from meiflow.simulation.truth import render_filters, true_drive
from meiflow.stages.fit_models import fit_models

OFF = {"oracle_p_max": None, "oracle_min": None}
RULES = {
    "default": Selection(),
    "notebook": Selection(**OFF, quantile_above={"notebook_oracle": 0.6, "notebook_variance": 0.5}),
    "the notebook's quantiles, our measures": Selection(
        **OFF, quantile_above={"oracle": 0.6, "variance": 0.5}
    ),
    "oracle_p <= 0.001": Selection(**OFF | {"oracle_p_max": 0.001}),
    "oracle_p <= 0.05": Selection(**OFF | {"oracle_p_max": 0.05}),
    "oracle >= 0.1": Selection(**OFF | {"oracle_min": 0.1}),
    "default, and variance above the lowest tenth": Selection(variance_quantile=0.1),
    "oracle_p <= 0.001, cc_max >= 0.8": Selection(
        **OFF | {"oracle_p_max": 0.001}, minimum={"cc_max": 0.8}
    ),
    "oracle_p <= 0.001, fev >= 0.15": Selection(
        **OFF | {"oracle_p_max": 0.001}, minimum={"fev": 0.15}
    ),
}


def session(seed: int, rate_hz: float, repeats: int) -> pd.DataFrame:
    """neurons.csv of one session with the columns `tuned` and `predictable`."""
    simulation = {"units": {"VISam": 40}, "untuned_fraction": 0.5, "failing_fraction": 0.0}
    simulation |= {"mean_rate_hz": rate_hz, "repeats": repeats, "statistics": "ideal"}
    simulation |= {"gabor_repeats": 0, "grating_repeats": 0}
    document = {"seed": seed, "session": {"simulation": simulation}}
    config = parse_config(document | {"selection": {"notebook_measures": True}})
    with tempfile.TemporaryDirectory() as name:
        results, has = recorded_session(config, Path(name))
        stack = read_stack(results)[1]
        fit_models(config, results, has, threads=2)
        table = pd.read_csv(results.selection, dtype={"neuron_id": str})
        predicted = read_arrays(results.model_search)["prediction_model"]
        known = pd.read_csv(results.truth, dtype={"neuron_id": str}).set_index("neuron_id")
    known = known.loc[table["neuron_id"]]
    images = stack.reshape(len(stack), -1).astype(float)
    drive = true_drive(render_filters(known, config.image.geometry), images)
    tuned = (known["kind"] != "untuned").to_numpy() & (drive.std(axis=0) > 0)
    with np.errstate(invalid="ignore"):
        fit = [np.corrcoef(drive[:, i], predicted[:, i])[0, 1] for i in range(len(table))]
    return table.assign(tuned=tuned, predictable=tuned & (np.nan_to_num(fit) >= 0.7))


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.3, 1.0, 4.0])
    parser.add_argument("--repeats", type=int, nargs="+", default=[10, 50])
    arguments = parser.parse_args()
    sessions = [
        session(seed, rate, repeats)
        for seed in arguments.seeds
        for rate in arguments.rates
        for repeats in arguments.repeats
    ]
    truth = pd.concat(sessions)
    print(
        f"{len(sessions)} sessions, {len(truth)} neurons: {truth['tuned'].sum()} tuned, "
        f"{truth['predictable'].sum()} predictable"
    )
    rows = []
    for name, rule in RULES.items():
        chosen = []
        for table in sessions:
            try:
                measures = table.drop(columns=["selected", "reason"])
                chosen.append(apply_rule(measures, rule)["selected"])
            except MeiflowError:  # it selects no neuron here
                chosen.append(pd.Series(False, index=table.index))
        picked = pd.concat(chosen).to_numpy()
        row: dict[str, object] = {"rule": name, "selected": int(picked.sum())}
        for kind in ("tuned", "predictable"):
            good = truth[kind].to_numpy()
            hits = (picked & good).sum()
            precision, recall = hits / max(picked.sum(), 1), hits / good.sum()
            row |= {f"{kind} precision": precision, f"{kind} recall": recall}
            row[f"{kind} F1"] = 2 * hits / (picked.sum() + good.sum())
        rows.append(row)
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
