"""MEIs and trust for simulated neurons of random structure, for which nothing was chosen.

    python -m benchmarks.random_neurons [--published] [--neurons 24] [--sessions 1]
        [--scenes FOLDER] [--images 118] [--trials 50] [--csv FILE]

Every neuron is a random tree of filters, nonlinearities and operations (see
`meiflow.simulation.random_neurons`). Neurons with even seeds are for development; ``--published``
takes those with odd seeds, which no choice may be made on. A session has 24 neurons, and 6 more
whose responses do not depend on the image. Images are the Allen natural scenes ns_000.png to
ns_117.png in FOLDER, or dead leaves. Counts are Poisson with a shared gain (standard deviation of
the log 0.3), on average 0.3 to 4 per presentation.

Printed: CC_norm, the true response to MEI, best Gabor and best natural image as a fraction of the
optimum at the same mean and contrast, above grey; of the trusted MEIs, the fraction that reaches
0.8 (Clopper-Pearson interval), and of those that reach it, the fraction that is trusted.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.recorded_neurons import picture
from numpy.typing import NDArray
from scipy.stats import beta

import meiflow as mf
from meiflow.config.sections import Gabor, Model
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.models.fitting import as_population, fit_population
from meiflow.models.network import NeuronModel
from meiflow.models.table import Scorer
from meiflow.progress import log_to_stderr, track
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.random_neurons import RandomNeuron, draw_random_neuron
from meiflow.stimuli import noise_starts
from meiflow.stimuli.gabor_search import best_gabors
from meiflow.stimuli.mei import most_exciting
from meiflow.tables.arrays import as_trials
from meiflow.validation.confidence import fractions_of_own_optimum
from meiflow.validation.trust import calibration

SCREEN = Geometry(60, 96)
MEAN, CONTRAST = 0.45, 0.05
UNTUNED = 6
GAIN_SD = 0.3
COUNTS = 0.3, 4.0
RIGHT = 0.8


def natural_images(scenes: Path | None, number: int, seed: int) -> NDArray[np.float32]:
    """The scenes, or dead leaves, shape (images, height, width)."""
    if scenes is not None:
        paths = [scenes / f"ns_{i:03d}.png" for i in range(min(number, 118))]
        return np.stack([picture(path, SCREEN) for path in paths])
    drawn = [dead_leaves((240, 308), np.random.default_rng([seed, i])) for i in range(number)]
    return resize(np.stack(drawn) / 255.0, SCREEN.shape)


def as_torch(neuron: RandomNeuron) -> RandomNeuron:
    """The same neuron for tensors."""
    arrays = {
        field.name: torch.as_tensor(value, dtype=torch.float32)
        for field in fields(neuron)
        if isinstance(value := getattr(neuron, field.name), np.ndarray)
    }
    return replace(neuron, **arrays)


def optimum(neuron: RandomNeuron, others: NDArray, seed: int) -> float:
    """Highest response to an image of the common mean and contrast."""
    own = as_torch(neuron)
    filters = own.filters.reshape(-1, *SCREEN.shape)
    shapes = torch.cat([filters, -filters]) + MEAN
    starts = torch.cat(
        [
            torch.as_tensor(project_array(shapes.numpy(), MEAN, CONTRAST)),
            noise_starts(12, SCREEN, 1.0, MEAN, CONTRAST, seed),
            torch.as_tensor(others, dtype=torch.float32),
        ]
    )
    found = most_exciting(
        lambda x: own.drive(x.flatten(1)), starts, SCREEN, MEAN, CONTRAST, 200, (0.5, 0.01)
    )
    return float(found.scores.max())


def session(first: int, options: argparse.Namespace) -> pd.DataFrame:
    """Record neurons, model them, and show them their stimuli."""
    seeds = [2 * (first + i) + options.published for i in range(options.neurons)]
    images = natural_images(options.scenes, options.images, seeds[0])
    flat = images.reshape(len(images), -1).astype(float)
    neurons = [draw_random_neuron(seed, SCREEN, images) for seed in seeds]
    rng = np.random.default_rng([seeds[0], 7])
    rates = np.stack([neuron.drive(flat) for neuron in neurons], axis=1)
    rates = np.concatenate(
        [rates + rng.uniform(0, 0.5, len(seeds)), np.ones((len(flat), UNTUNED))], 1
    )
    rates *= np.exp(rng.uniform(np.log(COUNTS[0]), np.log(COUNTS[1]), rates.shape[1])) / rates.mean(
        axis=0
    )
    gain = np.exp(GAIN_SD * rng.standard_normal((options.trials, len(flat), 1)))
    counts = rng.poisson(gain * rates)
    trials = as_trials(counts, np.arange(len(images)), None, None)
    found = fit_population(
        images, counts.mean(axis=0), trials.neuron_ids, Scorer.of(trials, 0), SCREEN, Model(),
        0, options.threads,
    )  # fmt: skip
    population = as_population(found, SCREEN, np.arange(len(images)), float(images.mean()))
    names = population.neurons
    meis = mf.mei(population, mean=MEAN, contrast=CONTRAST).values.astype(np.float32)
    gabors = best_gabors(population.models, SCREEN, MEAN, CONTRAST, Gabor(), options.threads)
    natural = project_array(images, MEAN, CONTRAST)[counts.mean(axis=0).argmax(axis=0)]
    scores = found.scores.set_index(["neuron_id", "model"])
    rows = []
    for i, name in enumerate(track(names, "closed loop", len(names))):
        own = scores.loc[(name, "model")]
        folds = [
            NeuronModel(SCREEN, 0.0, 0.0, d["base_models"], d["weights"]).eval()
            for d in found.fold_models(name)
        ]
        shares = fractions_of_own_optimum(folds, meis[i], MEAN, CONTRAST)
        column = trials.neuron_ids.index(name)
        row = {
            "neuron": seeds[column] if column < len(seeds) else -1,
            "structure": str(neurons[column].root) if column < len(seeds) else "untuned",
            **own[["cc_abs", "cc_norm", "cc_norm_low", "ceiling_error"]].astype(float),
            "fold_agreement": np.nanmean(shares) if np.isfinite(shares).any() else np.nan,
        }
        if column < len(seeds):
            stimuli = np.stack([meis[i], gabors[i].image, natural[column]])
            shown = np.concatenate([stimuli, np.full((1, *SCREEN.shape), MEAN)])
            drives = neurons[column].drive(shown.reshape(len(shown), -1).astype(float))
            best = max(optimum(neurons[column], stimuli, seeds[column]), *drives)
            fractions = (drives[:3] - drives[3]) / (best - drives[3])
            row |= dict(zip(("mei", "best_gabor", "best_natural"), fractions, strict=True))
        rows.append(row)
    table = pd.DataFrame(rows)
    return pd.concat([table, calibration().judge(table)], axis=1)


def interval(right: int, of: int) -> str:
    """A fraction with its 95 % interval (Clopper & Pearson 1934)."""
    if not of:
        return "none"
    low = beta.ppf(0.025, right, of - right + 1) if right else 0.0
    high = beta.ppf(0.975, right + 1, of - right) if right < of else 1.0
    return f"{right / of:.2f} [{low:.2f}, {high:.2f}] of {of}"


def report(table: pd.DataFrame) -> None:
    """Print the means and how often trust was right."""
    tuned = table[table["neuron"] >= 0]
    columns = ["cc_norm", "mei", "best_gabor", "best_natural"]
    print(tuned[columns].agg(["mean", "median", "sem"]).round(3).to_string())
    good, trusted = tuned["mei"] >= RIGHT, tuned["trusted"]
    print(f"MEIs of at least {RIGHT}: {interval(int(good.sum()), len(tuned))}")
    print(f"trusted MEIs that are: {interval(int((good & trusted).sum()), int(trusted.sum()))}")
    print(f"of these MEIs, trusted: {interval(int((good & trusted).sum()), int(good.sum()))}")
    untuned = table[table["neuron"] < 0]
    print(f"untuned neurons trusted: {int(untuned['trusted'].sum())} of {len(untuned)}")


@log_to_stderr()
def main() -> None:
    """Print how good the MEIs are, and how often trust is right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--neurons", type=int, default=24, help="per session")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first session")
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--images", type=int, default=118)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="scores of every neuron")
    options = parser.parse_args()
    tables = []
    for number in range(options.first, options.first + options.sessions):
        tables.append(session(number * options.neurons, options))
        every = pd.concat(tables, ignore_index=True)
        report(every)
        if options.csv:
            every.to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
