"""What fits to means at one state of the animal are worth, for simulated neurons.

    python -m benchmarks.trial_gain [--units 24] [--drift 0.2 0.5] [--trials 10] [--seed 5]
        [--members v1 v1_window] [--csv FILE]

Sessions in which all neurons share a gain that drifts and depends on running (``--drift``: the
standard deviation of its logarithm). The same trials are fitted without gain, with the gain that
running speed predicts, and with the gain that the other neurons share (``model.gain``).

``recorded`` is the correlation of held-out predictions with the plain means of the recorded trials,
and ``true`` with the true rates of the same images; ``means`` is the correlation of the responses
to which the models were fitted with the true rates. The interval is a bootstrap over neurons of the
difference from fits without gain. For recorded neurons, see ``benchmarks.recorded_neurons --gain``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from meiflow.config.config import Config, parse_config
from meiflow.io.files import read_csv
from meiflow.models.cross_validate import fit_all
from meiflow.models.table import image_weights
from meiflow.progress import log_to_stderr
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.selection.reliability import TrialGroups
from meiflow.session.images import resize
from meiflow.simulation.simulate import DISPLAY, image_rates
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.stages.trial_gain import trial_gain

KINDS = ("none", "behaviour", "population")


def correlations(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Correlation over images of every neuron."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return np.asarray((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)))


def true_rates(results: Layout, neurons: list[str]) -> NDArray[np.float64]:
    """True rates (images, neurons) at a gain of one."""
    frames = [np.asarray(Image.open(path)) for path in sorted(results.scenes.glob("*.png"))]
    truth = read_csv(results.truth).set_index("neuron_id").loc[neurons]
    return image_rates(truth, resize(np.stack(frames) / 255.0, DISPLAY.shape))[1:]


def session_scores(config: Config, threads: int) -> pd.DataFrame:
    """Scores of every neuron of a simulated session, by kind of gain."""
    with tempfile.TemporaryDirectory() as folder:
        results = Layout(folder)
        simulate(config, results)
        build_tables(config, results, results.scenes, results.session_file)
        responses = read_responses(results, config.image.geometry)
        trials, neurons = read_trials(results), responses.neuron_ids
        rates = true_rates(results, neurons)
        gains = {
            kind: trial_gain(
                config.model_copy(update={"model": config.model.model_copy(update={"gain": kind})}),
                results,
                SessionHas.found(results),
                trials,
            )
            for kind in KINDS
        }
    weights = image_weights(TrialGroups.of(trials.of_images().image_ids).repeats)
    tables = []
    for kind, gain in gains.items():
        found = gain.trials.fit(np.arange(len(weights))) if gain else None
        fitted = fit_all(
            responses.images,
            responses.means,
            weights,
            config.image.geometry,
            config.model,
            config.seed,
            threads,
            training_means=gain.trials.means if gain else None,
        )
        predicted = fitted.predictions["model"]
        table = {
            "neuron": neurons,
            "gain": kind,
            "recorded": correlations(predicted, responses.means),
            "true": correlations(predicted, rates),
            "means": correlations(found.means if found else responses.means, rates),
            "used": found.used if found else False,
            "explained": found.explained if found else np.nan,
        }
        tables.append(pd.DataFrame(table))
    return pd.concat(tables)


def summary(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean scores, and the differences from fits without gain with their intervals."""
    rows = []
    rng = np.random.default_rng(seed)
    for (drift, kind), own in table.groupby(["drift", "gain"], sort=False):
        usual = table[(table["drift"] == drift) & (table["gain"] == "none")]
        row = {"drift": drift, "gain": kind, "neurons": len(own), "used": own["used"].mean()}
        row["explained"] = own["explained"].mean()
        for name in ("recorded", "true", "means"):
            change = own[name].to_numpy() - usual[name].to_numpy()
            low, high = np.quantile(
                rng.choice(change, (2000, len(change))).mean(axis=1), [0.025, 0.975]
            )
            row |= {name: own[name].mean(), f"{name}_change": change.mean()}
            row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


@log_to_stderr()
def main() -> None:
    """Print the mean scores by drift and kind of gain."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--drift", type=float, nargs="*", default=[0.2, 0.5])
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--members", nargs="*", default=["v1", "v1_window"])
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    tables = []
    for drift in options.drift:
        simulation = {
            "units": {"VISam": options.units},
            "failing_fraction": 0.0,
            "untuned_fraction": 0.0,
            "repeats": options.trials,
            "gabor_repeats": 0,
            "grating_repeats": 0,
            "gain_drift": drift,
        }
        config = parse_config(
            {
                "seed": options.seed,
                "session": {"simulation": simulation},
                "model": {"base_models": options.members},
            }
        )
        tables.append(session_scores(config, options.threads).assign(drift=drift))
    found = summary(pd.concat(tables), options.seed)
    print(found.round(3).to_string(index=False))
    if options.csv:
        found.to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
