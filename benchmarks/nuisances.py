"""How many neurons are marked because a nuisance predicts as well as their model.

    python -m benchmarks.nuisances [FOLDER SCENES] [--seeds 3]

Simulated neurons respond to a part of the image, so that every mark is false: the default session,
and the same with the kinds that violate the assumptions of the models. With FOLDER, which holds
``allen_2p/exp_*.npz``, and SCENES, the pictures of the Allen natural scenes, also recorded cells of
mouse V1: in the window of the image itself, where light of the monitor entered one recording, and
in the next one. The models are `v1` and `v1_window`, on a coarse grid.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from benchmarks.recorded_neurons import mouse, nuisances_of_recording

from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.io.files import read_csv
from meiflow.progress import log_to_stderr
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.fit_models import fit_models
from meiflow.stages.fitted_neurons import take_fitted
from meiflow.stages.nuisances import score_nuisances
from meiflow.stages.selection import select
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables

MODEL = {
    "base_models": ["v1", "v1_window"],
    "stride": 8,
    "stacking_prior": "session",
    # fitted, but not used
    "ln": {"penalties": [0.01]},
    "gabor_energy": {"starts": 1, "steps": 2},
}
HARD = ["corner", "curved", "two_bars", "pooled", "texture", "surround_suppressed"]


def configuration(kinds: list[str] | None, seed: int) -> Config:
    """The default session, without parametric stimuli."""
    sizes: dict[str, object] = {"gabor_repeats": 0, "grating_repeats": 0}
    sizes |= {"kinds": kinds} if kinds else {}
    return parse_config({"seed": seed, "session": {"simulation": sizes}, "model": MODEL})


def simulated(config: Config) -> pd.DataFrame:
    """Nuisances of the selected neurons of a simulated session."""
    has = SessionHas(spike_times=True)
    with tempfile.TemporaryDirectory() as folder:
        results = Layout(folder)
        simulate(config, results)
        build_tables(config, results, results.scenes, results.session_file)
        select(config, results, has, allow_empty=True)
        fit_models(config, results, has, 1)
        take_fitted(results, allow_empty=True)
        score_nuisances(config, results, has)
        return read_csv(results.nuisances)


def shown(name: str, table: pd.DataFrame) -> None:
    """Print how many neurons are marked, and the best nuisances."""
    marks = table["nuisance"].fillna("")
    named = marks[marks != ""].value_counts().to_dict()
    best = table.filter(regex="^cc_abs_(?!model)").max(axis=1)
    drift = ""
    if "drift_share" in table:
        change = table["cc_norm_model"] - table["cc_norm_model_steady"]
        drift = (
            f"; drift, median share {table['drift_share'].median():.3f}, CC_norm minus "
            f"that without drift {change.mean():+.3f} (largest {change.abs().max():.3f})"
        )
    print(
        f"{name}: {int((marks != '').sum())} of {len(table)} marked {named or ''}; correlation of "
        f"the model {table['cc_abs_model'].mean():.2f}, of the best nuisance {best.mean():.2f} "
        f"(at most {best.max():.2f}){drift}",
        flush=True,
    )


@log_to_stderr()
def main() -> None:
    """Print the number of marked neurons of every source."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("scenes", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for name, kinds in (("default kinds", None), ("other kinds", HARD)):
        tables = [simulated(configuration(kinds, seed)) for seed in range(options.seeds)]
        shown(f"simulated, {name}", pd.concat(tables, ignore_index=True))
    if options.folder:
        for lag, window in enumerate(("own", "next")):
            for recording in mouse(options.folder, options.scenes, lag):
                config = parse_config({"model": MODEL}).model
                table = nuisances_of_recording(recording, config)
                shown(f"{recording.name}, {window} window", table)


if __name__ == "__main__":
    main()
