"""What fits to means at one state of the animal are worth (``model.gain``).

    python -m benchmarks.trial_gain [--units 24] [--drift 0.2 0.5] [--trials 10 50] [--seed 5]
        [--recorded FOLDER SCENES] [--csv FILE]

The base model ``v1_window`` is fitted to plain means and to means at one state, with nested
cross-validation; both are scored against the same plain means of held-out images.

In simulated sessions, neurons share a gain that drifts and depends on running (``--drift``: the
standard deviation of its logarithm). ``score`` is the correlation with recorded means, ``true``
that with the true rates of the same images, and ``means`` the correlation of the responses to which
the models were fitted with the true rates. Recorded neurons and their scores are those of
``benchmarks.recorded_neurons`` (mouse V1, CC_norm of neurons with a ceiling above 0.5), which with
``--gain`` fits the whole ensemble in this way; behaviour is not part of these files. ``pixels`` is
the pixel ridge. Intervals are bootstraps over neurons of the change from plain means.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.recorded_neurons import SCREEN, mouse, normalised
from numpy.typing import NDArray
from PIL import Image

from meiflow.config.config import Config, parse_config
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_csv
from meiflow.models.cross_validate import TrainingMeans, ridge_predictions
from meiflow.models.folds import image_folds
from meiflow.models.front_end import FrontEnd
from meiflow.models.jobs import Jobs
from meiflow.models.window import WindowFitter
from meiflow.models.window_front_end import WindowFrontEnd
from meiflow.progress import log_to_stderr
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.selection.activity import column_correlations
from meiflow.session.images import resize
from meiflow.simulation.rates import DISPLAY, formula_rates, image_rates
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.stages.trial_gain import trial_gain

GAINS = ("none", "behaviour", "population")


def predictions(
    images: NDArray,
    means: NDArray,
    training_means: TrainingMeans | None,
    screen: Geometry,
    config: Config,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Held-out predictions (images, neurons) of v1_window and of the pixel ridge."""
    model, n = config.model, len(images)
    channels = WindowFrontEnd(FrontEnd.from_config(model), screen, model.window.spacing_deg)
    fitter = WindowFitter(images, channels, model.window)
    held_out = image_folds(n, model.folds, np.random.default_rng([config.seed, 2]))
    training = [np.setdiff1d(np.arange(n), test) for test in held_out]
    own = np.stack([training_means(t) if training_means else means for t in training])
    found = np.empty_like(means)
    for responses, test, train in zip(own, held_out, training, strict=True):
        neurons = means.shape[1]
        rows = np.tile(np.isin(np.arange(n), train), (neurons, 1))
        none = np.zeros(neurons)
        fits = fitter(Jobs(responses.T.copy(), rows, none, none, np.zeros((neurons, 1, 5))))
        found[test] = fits.predictions[:, test].T
    flat = images.reshape(n, -1)
    return found, ridge_predictions(flat, own, held_out, training, np.asarray(model.penalties))


def true_rates(results: Layout, neurons: list[str]) -> NDArray[np.float64]:
    """True rates (images, neurons) at a gain of one."""
    frames = [np.asarray(Image.open(path)) for path in sorted(results.scenes.glob("*.png"))]
    truth = read_csv(results.truth).set_index("neuron_id").loc[neurons]
    return image_rates(formula_rates(truth), resize(np.stack(frames) / 255.0, DISPLAY.shape))[1:]


def simulated(options: argparse.Namespace, drift: float, trials: int) -> Iterator[pd.DataFrame]:
    """Scores of every neuron of a simulated session, by kind of gain."""
    simulation = {
        "statistics": "ideal",
        "mean_rate_hz": 4.0,
        "units": {"VISam": options.units},
        "failing_fraction": 0.0,
        "untuned_fraction": 0.0,
        "repeats": trials,
        "gabor_repeats": 0,
        "grating_repeats": 0,
        "gain_drift": drift,
    }
    document = {"seed": options.seed, "session": {"simulation": simulation}}
    config = parse_config(document)
    with tempfile.TemporaryDirectory() as folder:
        results = Layout(folder)
        simulate(config, results)
        build_tables(config, results, results.scenes, results.session_file)
        responses = read_responses(results, config.image.geometry)
        shown = read_trials(results)
        rates = true_rates(results, responses.neuron_ids)
        gains = {
            kind: trial_gain(
                parse_config(document | {"model": {"gain": kind}}),
                results,
                SessionHas.found(results),
                shown,
            )
            for kind in GAINS
        }
    everything = np.arange(len(rates))
    for kind, gain in gains.items():
        fit = gain.trials.fit(everything) if gain else None
        given = gain.trials.means if gain else None
        window, pixels = predictions(
            responses.images, responses.means, given, config.image.geometry, config
        )
        yield pd.DataFrame(
            {
                "data": f"simulated, gain {drift:g}, {trials} trials",
                "gain": kind,
                "neuron": responses.neuron_ids,
                "explained": fit.explained if fit else np.nan,
                "used": fit.used if fit else np.nan,
                "score": column_correlations(window, responses.means),
                "true": column_correlations(window, rates),
                "means": column_correlations(fit.means if fit else responses.means, rates),
                "pixels": column_correlations(pixels, responses.means),
            }
        )


def recorded(folder: Path, scenes: Path) -> Iterator[pd.DataFrame]:
    """Scores of every reliable recorded neuron, with and without gain of the population."""
    config = parse_config({})
    for recording in mouse(folder, scenes, lag=1, gain=True):
        for kind in ("none", "population"):
            given = recording.training_means if kind == "population" else None
            found = predictions(recording.images, recording.means, given, SCREEN, config)
            window, pixels = (normalised(p, recording.means, recording.signal) for p in found)
            table = pd.DataFrame({"score": window, "pixels": pixels})
            names = [f"{recording.name} {i}" for i in range(len(table))]
            table = table.assign(gain=kind, neuron=names)[recording.reliable]
            for data in (recording.data, f"{recording.data}, {recording.name}"):
                yield table.assign(data=data)


def summary(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean scores, and the changes from plain means with their intervals."""
    rows = []
    rng = np.random.default_rng(seed)
    for (data, kind), own in table.groupby(["data", "gain"], sort=False):
        plain = table[(table["data"] == data) & (table["gain"] == "none")]
        row = {"data": data, "gain": kind, "neurons": len(own)}
        row |= {name: own[name].mean() for name in ("used", "explained")}
        for name in ("score", "true", "means", "pixels"):
            change = own[name].to_numpy() - plain[name].to_numpy()
            drawn = rng.choice(change, (5000, len(change))).mean(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            row |= {name: own[name].mean(), f"{name}_change": change.mean()}
            row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


@log_to_stderr()
def main() -> None:
    """Print the mean scores by data and kind of gain."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--drift", type=float, nargs="*", default=[0.2, 0.5])
    parser.add_argument("--trials", type=int, nargs="*", default=[10, 50])
    parser.add_argument("--recorded", type=Path, nargs=2, metavar=("FOLDER", "SCENES"))
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    tables = [*recorded(*options.recorded)] if options.recorded else []
    for drift in options.drift:
        for trials in options.trials:
            tables += simulated(options, drift, trials)
    whole = pd.concat(tables).reindex(
        columns=["data", "gain", "neuron", "used", "explained", "score", "true", "means", "pixels"]
    )
    found = summary(whole.astype({"used": float}), options.seed)
    print(found.round(3).to_string(index=False))
    if options.csv:
        found.to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
