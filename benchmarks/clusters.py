"""Functional clusters compared with the kinds of simulated neurons.

``python -m benchmarks.clusters`` clusters simulated neurons themselves (an upper bound for models)
and prints the adjusted Rand index between clusters and kinds: by responses with all alignments and
with fewer; with neurons reassigned by most discriminative stimuli, in turn with the optimisation of
these (``strongest``: each neuron to the stimulus that drives it most, as published; ``nearest``: to
the nearest mean of the responses to all stimuli), from the clusters by responses or from random
ones; for k-means of the parameters of the best Gabors; for shuffled responses; and for a linear
classifier that knows the kinds of all other neurons, as no clustering does. ``--many`` has eleven
kinds instead of five, ``--fitted`` models fitted to simulated recordings instead of the neurons; of
these, also the models that predict well are clustered alone. A table counts the neurons of every
kind in the clusters, and says how well a grating of four wavelengths drives a kind, relative to the
best of four diameters (below 1 with surround suppression). Even seeds served for development. About
a minute of CPU time per seed; ``--fitted`` takes a minute and a half for five kinds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.sessions import default_document, recorded_session
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.pipeline import make_pipeline

from meiflow.combined.clusters import assign, cluster_neurons
from meiflow.config.config import parse_config
from meiflow.experiments.aligned import AlignedPopulation
from meiflow.experiments.discriminative import discriminative_stimuli
from meiflow.experiments.fingerprints import bank_responses, stimulus_bank
from meiflow.experiments.standard import Preferred
from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.models.population import PairedModel
from meiflow.progress import log_to_stderr
from meiflow.results.layout import Layout
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.truth import calibrate_gain, draw_neurons, render_filters, true_drive
from meiflow.stages.common import open_models
from meiflow.stages.fit_models import fit_models
from meiflow.stages.fitted_neurons import take_fitted
from meiflow.stages.gabor_search import search_gabors
from meiflow.validation.closed_loop import as_tensors

SCREEN = Geometry(40, 64)
FEW = ("simple", "complex", "on_centre", "texture", "surround_suppressed")
MANY = (*FEW, "simple_normalised", "complex_normalised", "pooled", "corner", "curved", "two_bars")
CONTRAST = 0.05
WELL = 0.7
Rule = Callable[[NDArray, NDArray], NDArray]
ORDER = ("x_deg", "y_deg", "wavelength_deg", "orientation_deg", "phase_deg", "sigma_deg", "aspect")


@dataclass(frozen=True)
class Known:
    """Neurons of known kinds that can be shown any image, their best Gabors, and cc_norm."""

    kinds: NDArray[np.str_]
    population: AlignedPopulation
    scores: NDArray[np.float64] | None = None

    @property
    def gabors(self) -> NDArray[np.float64]:
        return np.array([[getattr(p, name) for name in ORDER] for p in self.population.preferred])


def as_function(neuron: pd.DataFrame):
    """One true neuron as a differentiable function of images."""
    made = as_tensors(render_filters(neuron, SCREEN))
    return lambda images: true_drive(made, images.flatten(1))[:, 0]


def true_neurons(kinds: tuple[str, ...], per_kind: int, seed: int) -> Known:
    """Simulated neurons themselves."""
    rng = np.random.default_rng(seed)
    drawn = draw_neurons(list(kinds) * per_kind, rng, SCREEN)
    images = np.stack([dead_leaves(SCREEN.shape, rng) for _ in range(60)]) / 255
    table = calibrate_gain(drawn, images, SCREEN, np.full(len(drawn), 4.0))
    neurons = [as_function(table.iloc[[i]]) for i in range(len(table))]
    found = [best_gabor(n, row, rng) for n, (_, row) in zip(neurons, table.iterrows(), strict=True)]

    def pair(rows):
        def respond(images):
            sets = images.reshape(len(rows), -1, *SCREEN.shape)
            return torch.cat([neurons[row](own) for row, own in zip(rows, sets, strict=True)])

        return respond

    return Known(table["kind"].to_numpy(str), AlignedPopulation(pair, found))


def best_gabor(neuron, row: pd.Series, rng: np.random.Generator) -> Preferred:
    """The Gabor at the neuron's position that drives it most, then by random local search."""
    axes = np.meshgrid(
        [0.7, 1.0, 1.5, 2.2],
        np.arange(0.0, 180.0, 20.0) + rng.uniform(0, 20),
        np.arange(0.0, 360.0, 60.0),
        [0.3, 0.5],
    )
    ratio, angle, phase, sigma = (axis.ravel() for axis in axes)
    wave = ratio * row["wavelength_deg"]
    place = np.full(len(wave), row["x_deg"]), np.full(len(wave), row["y_deg"])
    tried = np.column_stack([*place, wave, angle, phase, sigma * wave, np.full(len(wave), 1.2)])
    best, top = tried[0], -1.0
    for step in range(7):
        values = _drive(neuron, tried)
        if values.max() > top:
            best, top = tried[values.argmax()], values.max()
        noise = rng.normal(size=(150, 7)) * 0.75**step
        tried = best + noise * [0.1 * best[2], 0.1 * best[2], 0, 8.0, 20.0, 0, 0]
        tried[:, [2, 5, 6]] *= np.exp(0.12 * noise[:, [2, 5, 6]])
        tried[:, 6] = tried[:, 6].clip(0.5, 3)
    turns = np.floor(best[3] / 180)
    best[3], best[4] = best[3] - 180 * turns, best[4] * (-1) ** turns
    return Preferred(SCREEN, *best.tolist())


def _drive(neuron, parameters: NDArray) -> NDArray[np.float64]:
    """Responses to Gabors at a common contrast; those that would be clipped do not count."""
    waves = gabor(SCREEN, *parameters.T)
    shown = CONTRAST * waves / waves.std((1, 2), keepdims=True)
    with torch.no_grad():
        values = neuron(torch.as_tensor(0.5 + shown).float()).numpy()
    return np.where(np.abs(shown).max((1, 2)) < 0.5, values, -1.0)


def fitted_neurons(kinds: tuple[str, ...], per_kind: int, seed: int, folder: Path) -> Known:
    """Models fitted to a simulated recording of such neurons, unless the folder has them."""
    document = default_document(seed)
    document["session"]["simulation"] |= {
        "units": {"VISam": per_kind * len(kinds)},
        "untuned_fraction": 0.0,
        "kinds": list(kinds),
        "statistics": "ideal",
    }
    document["image"] |= {"height": 40, "width": 64}
    quick = {"folds": 3, "gabor_energy": {"starts": 1, "steps": 1}}
    document["model"] |= {"base_models": ["v1", "v1_window"], **quick}
    document["gabor"] |= {"refine_steps": 60, "refine_top": 6, "spacing": 1.0}
    config, done = parse_config(document), Layout(folder)
    if done.procedure("best_gabors").table.exists():
        return read_fitted(config, done)
    results, has = recorded_session(config, folder)
    fit_models(config, results, has, threads=1)
    take_fitted(results)
    search_gabors(config, results, threads=1)
    return read_fitted(config, results)


def read_fitted(config, results) -> Known:
    """The models of a session, with the kinds of its neurons."""
    table = pd.read_csv(results.procedure("best_gabors").table, dtype={"neuron_id": str})
    truth = pd.read_csv(results.truth, dtype={"neuron_id": str}).set_index("neuron_id")
    archive = open_models(config, results)
    models = [archive.model(neuron) for neuron in table["neuron_id"]]
    screen = config.image.geometry
    preferred = [Preferred(screen, *row) for row in table[list(ORDER)].to_numpy().tolist()]
    population = AlignedPopulation(
        lambda rows: PairedModel([models[row] for row in rows]).eval(), preferred
    )
    scores = pd.read_csv(results.cross_validation, dtype={"neuron_id": str})
    scores = scores[scores["model"] == "model"].set_index("neuron_id")["cc_norm"]
    kinds, scores = truth.loc[table["neuron_id"], "kind"], scores.loc[table["neuron_id"]]
    return Known(kinds.to_numpy(str), population, scores.to_numpy(float))


def of_kinds(kinds: NDArray, labels: NDArray, responses: NDArray) -> pd.DataFrame:
    """Number of neurons by kind and cluster, and the response to large gratings by kind."""
    table = pd.crosstab(kinds, labels + 1)
    first = sum(len(own) for own in list(stimulus_bank().values())[:3])
    sizes = responses[:, first : first + 16].reshape(len(kinds), 4, -1).max(axis=2)
    large = pd.Series(sizes[:, -1] / sizes.max(axis=1)).groupby(kinds).mean()
    return table.assign(large=large.round(2)).rename_axis(index="kind", columns="cluster")


def classified(relative: NDArray, kinds: NDArray) -> NDArray[np.str_]:
    """Kinds by a linear classifier that knows those of all other neurons."""
    linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    classifier = make_pipeline(PCA(10, svd_solver="full"), linear)
    return cross_val_predict(classifier, relative, kinds, cv=LeaveOneOut())


def well_predicted(known: Known, relative: NDArray, seed: int) -> dict[str, float]:
    """The same of the models that predict well."""
    if known.scores is None:
        return {}
    rows = np.flatnonzero(known.scores >= WELL)
    found = cluster_neurons(relative[rows], seed=seed)
    index = adjusted_rand_score(known.kinds[rows], found.labels)
    name = f"cc_norm >= {WELL}"
    return {f"{name}: neurons": len(rows), f"{name}: clusters": found.number, name: index}


def compared(known: Known, seed: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Number of clusters and adjusted Rand index of every method, and the kinds in the clusters."""
    kinds, population = known.kinds, known.population
    number = len(set(kinds))

    def index(labels: NDArray) -> float:
        return adjusted_rand_score(kinds, labels)

    def k_means(points: NDArray) -> float:
        spread = np.maximum(points.std(0), 1e-9)
        return index(KMeans(number, n_init=20, random_state=0).fit_predict(points / spread))

    responses = bank_responses(population)
    highest = np.maximum(responses.max(axis=1), 1e-9)
    relative = responses / highest[:, None]
    found = cluster_neurons(relative, seed=seed)
    few = ("position", "orientation", "scale"), ("position",)
    aligned = [
        bank_responses(AlignedPopulation(population.pair, population.preferred, names))
        for names in few
    ]
    less = [cluster_neurons(own / np.maximum(own.max(1, keepdims=True), 1e-9)) for own in aligned]
    rng = np.random.default_rng(seed)
    shuffled = cluster_neurons(np.stack([rng.permutation(column) for column in relative.T], 1))
    starts = {"": found.labels, ", random start": rng.integers(number, size=len(kinds))}
    by_stimuli = {
        f"by stimuli: {rule.__name__}{name}": index(alternated(population, own, highest, rule))
        for rule in (strongest, nearest)
        for name, own in starts.items()
    }
    gabors = known.gabors
    angle = np.deg2rad(2 * gabors[:, 3])
    wave, sigma, aspect = np.log(gabors[:, [2, 5, 6]]).T
    shape = np.column_stack([wave, sigma - wave, aspect])
    indices = {
        "neurons": len(kinds),
        "kinds": number,
        "clusters": found.number,
        "responses": index(found.labels),
        f"responses, {number} clusters": k_means(relative),
        "phase not aligned": index(less[0].labels),
        "position only": index(less[1].labels),
        **by_stimuli,
        "Gabor parameters": k_means(np.column_stack([shape, np.cos(angle), np.sin(angle)])),
        "Gabor shape": k_means(shape),
        "shuffled": index(shuffled.labels),
        "classifier": index(classified(relative, kinds)),
        **well_predicted(known, relative, seed),
    }
    return indices, of_kinds(kinds, found.labels, responses)


def alternated(
    population: AlignedPopulation, labels: NDArray, highest: NDArray, rule: Rule, rounds: int = 4
) -> NDArray[np.int64]:
    """Clusters after stimuli are optimised and neurons reassigned by these, in turn."""
    images = None
    for _ in range(rounds):
        labels = np.unique(labels, return_inverse=True)[1]
        kept = images if images is not None and len(images) == labels.max() + 1 else None
        images = discriminative_stimuli(population, labels, highest, 20, kept)
        before, labels = labels, rule(population.responses(images) / highest[:, None], labels)
        if (before == labels).all():
            break
    return labels


def strongest(responses: NDArray, _: NDArray) -> NDArray[np.int64]:
    """The published rule: the cluster whose stimulus drives the neuron most."""
    return responses.argmax(axis=1)


def nearest(responses: NDArray, labels: NDArray) -> NDArray[np.int64]:
    """The cluster whose mean responses to all stimuli are nearest."""
    return assign(responses, labels)[0]


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--per-kind", type=int, default=8)
    parser.add_argument("--many", action="store_true", help="eleven kinds instead of five")
    parser.add_argument("--fitted", action="store_true", help="models fitted to recordings")
    parser.add_argument("--folder", type=Path, help="keeps the sessions of --fitted")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kinds, columns = MANY if arguments.many else FEW, {}
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            name = f"{len(kinds)}_kinds_of_{arguments.per_kind}_seed_{seed}"
            place = (arguments.folder or Path(folder)) / name
            known = (
                fitted_neurons(kinds, arguments.per_kind, seed, place)
                if arguments.fitted
                else true_neurons(kinds, arguments.per_kind, seed)
            )
            columns[f"seed {seed}"], counts = compared(known, seed)
            print(f"seed {seed}", counts.to_string(), sep="\n", end="\n\n", flush=True)
    table = pd.DataFrame(columns)
    table["mean"] = table.mean(axis=1)
    print(", ".join(kinds))
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
