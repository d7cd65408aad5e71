"""The procedures stage: make one type of stimulus for all neurons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.config.names import PROCEDURES
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.figures.stimuli import on_chequerboards, sheet
from meiflow.figures.style import save_figure
from meiflow.io.files import write_array, write_csv
from meiflow.progress import logger, note, track
from meiflow.results.layout import Layout
from meiflow.session.images import given_images, load_image_set
from meiflow.stages.common import wanted_neurons
from meiflow.stages.kept import Made, of_neurons
from meiflow.stages.stimulus_sets import (
    Population,
    StimulusSet,
    about_images,
    batch_size,
    joined_sets,
    load_population,
)
from meiflow.stages.transparent import robust_mei, transparent
from meiflow.stimuli import published
from meiflow.stimuli.diverse import diverse_images
from meiflow.stimuli.mei import agreeing, most_exciting_of_each, noise_starts
from meiflow.stimuli.natural import fade
from meiflow.stimuli.objectives import SuppressObjective, stimulus_correlations
from meiflow.stimuli.receptive_field import gradient_rf, linear_rf
from meiflow.tables.checks import require_images
from meiflow.tables.validate import axis_note

_REACHED = 0.95
_OTHERS = {"transparent": transparent, "robust_mei": robust_mei}  # in another module
_CHUNK = 1000


def _ascend(p: Population, objective: SuppressObjective | None) -> StimulusSet:
    """Best restart of each neuron, and agreement of the restarts."""
    groups = p.groups(p.config.mei.restarts)
    return joined_sets(
        [_ascend_together(g, objective) for g in track(groups, "groups", len(groups))]
    )


def _ascend_together(p: Population, objective: SuppressObjective | None) -> StimulusSet:
    mei, exponent = p.config.mei, p.config.mei.smoothing_exponent
    geometry, seed = p.config.image.geometry, p.config.seed
    noise = noise_starts(mei.restarts, geometry, exponent, p.mean, p.contrast, seed)
    found = most_exciting_of_each(
        p.paired,
        len(p.models),
        noise,
        geometry,
        p.mean,
        p.contrast,
        mei.steps,
        mei.step_size,
        exponent,
        objective,
        seed,
    )
    scores, images = found.scores, found.images
    best = scores.argmax(1)
    chosen = images[np.arange(len(best)), best]
    table = about_images(p, chosen)
    same = agreeing(scores)
    table["restarts"] = scores.shape[1]
    table["restarts_agreeing"] = same.mean(1)
    table["restart_correlation"] = [
        _mean_correlation(stack[agree]) for stack, agree in zip(images, same, strict=True)
    ]
    trace = found.objective[:, np.arange(len(best)), best]
    # relative to the start
    gained = (trace - trace[0]) / np.maximum(trace.max(0) - trace[0], 1e-12)
    table["steps_to_95"] = (gained >= _REACHED).argmax(0)
    return StimulusSet(chosen, table)


def _mean_correlation(images: NDArray) -> float:
    if len(images) < 2:
        return float("nan")
    alike = stimulus_correlations(torch.as_tensor(images)).numpy()
    return float(alike[np.triu_indices(len(images), 1)].mean())


def population_mei(p: Population) -> StimulusSet:
    return _ascend(p, None)


def cnn_mei(p: Population) -> StimulusSet:
    made = _ascend(replace(p, models=p.members), None)
    own = made.table.rename(columns={"predicted_response": "cnn_response"})
    del own["matched_response"]  # made at the common contrast
    whole = about_images(p, made.images).set_index("neuron_id")
    own.insert(1, "predicted_response", whole["predicted_response"].to_numpy())
    return StimulusSet(made.images, own)


def suppressive(p: Population) -> StimulusSet:
    made = _ascend(p, SuppressObjective())
    grey = np.full((len(p.models), *p.config.image.geometry.shape), p.mean, np.float32)
    made.table["grey_response"] = p.predictions(grey)
    made.table["share_of_grey"] = made.table["predicted_response"] / made.table["grey_response"]
    if any(model.real for model in p.models):  # whose zero is arbitrary
        made.table["share_of_grey"] = np.nan
    made.table["mei_response"] = p.predictions(p.meis)
    return made


def diverse(p: Population) -> StimulusSet:
    options = p.config.stimuli
    images, tables = [], []
    n = options.diverse_images
    for i, model in track(list(enumerate(p.models)), "diverse images", len(p.models)):
        mei = p.meis[i]
        best = model.predict(mei[None])[0]
        if best <= 0:
            logger.info(
                f"diverse: neuron {p.neurons[i]} does not respond to its MEI; images are grey"
            )
            images.append(np.full((n, *mei.shape), p.mean, np.float32))
            tables.append(pd.DataFrame({"neuron_id": p.neurons[i], "image": np.arange(n)}))
            continue
        found = diverse_images(
            model,
            torch.as_tensor(mei),
            p.config.image.geometry,
            p.mean,
            p.contrast,
            n,
            options.diverse_fraction,
            options.diverse_steps,
            p.config.seed,
            baseline=model.baseline,
        )
        images.append(found.images)
        tables.append(
            pd.DataFrame(
                {
                    "neuron_id": p.neurons[i],
                    "image": np.arange(n),
                    "predicted_response": found.responses,
                    "fraction_of_mei": found.responses / best,
                    "similarity": found.similarity,
                    "mei_blended": found.blended,
                }
            )
        )
    columns = ["neuron_id", "image", "predicted_response", "fraction_of_mei", "similarity"]
    return StimulusSet(
        np.stack(images), pd.concat(tables).reindex(columns=[*columns, "mei_blended"])
    )


@dataclass(frozen=True)
class _Naturals:
    """All available natural images, with names and sources."""

    images: NDArray[np.float32]
    names: list[str]
    sources: list[str]

    @classmethod
    def of(cls, p: Population) -> _Naturals:
        images, names = p.images, [str(i) for i in p.image_ids]
        sources = ["session"] * len(images)
        others = p.config.stimuli.natural_images
        if others is not None:
            shape = p.config.image.geometry.shape
            more_names, more = load_image_set(others, shape, "stimuli.natural_images")
            require_images(more, "stimuli.natural_images", others)
            notes = [] if Path(others).is_dir() else axis_note(given_images(others)[1])
            for text in notes:
                note(f"stimuli.natural_images: {others}: {text}")
            images, names = np.concatenate([images, more]), names + more_names
            sources += ["natural_images"] * len(more)
        return cls(images, names, sources)

    def best(self, p: Population, matched: bool) -> NDArray[np.int64]:
        """Index of the best image of each neuron, unmodified or at the common contrast."""
        top = np.full(len(p.models), -np.inf)
        best = np.zeros(len(p.models), int)
        starts = range(0, len(self.images), _CHUNK)
        for start in track(starts, "natural images", len(starts)):
            part = self.images[start : start + _CHUNK]
            part = p.matched(part) if matched else part
            for i, model in enumerate(p.models):
                responses = model.predict(part)
                if responses.max() > top[i]:
                    top[i], best[i] = responses.max(), start + responses.argmax()
        return best

    def label(self, table: pd.DataFrame, chosen: NDArray[np.int64]) -> None:
        """Add the names and sources of the chosen images."""
        table["image"] = [self.names[i] for i in chosen]
        table["source"] = [self.sources[i] for i in chosen]
        table["searched"] = len(self.images)


def natural(p: Population) -> StimulusSet:
    naturals = _Naturals.of(p)
    best = naturals.best(p, matched=True)
    images = p.matched(naturals.images[best])
    table = about_images(p, images)
    naturals.label(table, best)
    return StimulusSet(images, table)


def regularised_natural(p: Population) -> StimulusSet:
    naturals = _Naturals.of(p)
    best = naturals.best(p, matched=False)
    whole = naturals.images[best]
    responses = p.predictions(whole)
    images = np.full(whole.shape, p.mean, np.float32)
    kept, left = np.full(len(best), np.nan), np.full(len(best), np.nan)
    for silent in np.flatnonzero(responses <= 0):
        logger.info(
            f"regularised_natural: neuron {p.neurons[silent]} responds to no image; image is grey"
        )
    rows = np.flatnonzero(responses > 0)
    size = batch_size()
    for i in range(0, len(rows), size):
        group = rows[i : i + size]
        paired = p.part(group.tolist()).paired
        found = fade(paired, whole[group], p.mean, p.config.stimuli.fade_steps)
        images[group], left[group] = found.images, found.contrast_left
        kept[group] = found.kept / found.responses
    table = about_images(p, images)
    naturals.label(table, best)
    table["natural_response"], table["response_kept"] = responses, kept
    table["contrast_left"] = left
    return StimulusSet(images, table)


def receptive_field(p: Population) -> StimulusSet:
    shape = p.config.image.geometry.shape
    spread = float(p.images.std(axis=(1, 2)).mean())
    fields = []
    for model in track(p.models, "receptive fields", len(p.models)):
        samples = p.config.stimuli.field_samples
        linear = linear_rf(model, shape, spread, p.mean, samples, p.config.seed)
        fields.append(np.stack([linear, gradient_rf(model, shape, p.mean)]))
    both = np.stack(fields)
    table = about_images(p, p.matched(both[:, 0])).drop(columns="matched_response")
    for k, name in enumerate(("linear", "gradient")):
        table[f"{name}_norm"] = np.linalg.norm(both[:, k].reshape(len(both), -1), axis=1)
    table["fields_correlation"] = [_mean_correlation(pair) for pair in both]
    return StimulusSet(both, table)


def notebook_mei(p: Population) -> StimulusSet:
    geometry, steps = p.config.image.geometry, p.config.stimuli.published_steps
    parts = []
    for g in p.groups(1):
        found = published.notebook_mei(
            g.paired, geometry, p.images, p.config.seed, steps, len(g.models)
        )
        table = about_images(g, found.images)
        table["logged_response"] = published.logged_response(found)
        table["best_response"] = found.trace.objective.max(axis=0)
        parts.append(StimulusSet(found.images, table))
    return joined_sets(parts)


def walker_mei(p: Population) -> StimulusSet:
    geometry, steps = p.config.image.geometry, p.config.stimuli.published_steps
    parts = []
    for g in p.groups(1):
        found = published.walker_mei(
            g.paired, geometry, p.images, p.config.seed, steps, n=len(g.models)
        )
        parts.append(StimulusSet(found.images, about_images(g, found.images)))
    return joined_sets(parts)


_COLUMNS = {
    "receptive_field": ["linear RF", "gradient at grey"],
    "transparent": ["on a chequerboard", "alpha"],
}


def _titles(name: str, neurons: list[str], table: pd.DataFrame) -> list[str]:
    """Titles of each neuron's pictures."""
    if name == "suppressive":
        notes = [f"{share:.2f} of grey" for share in table["share_of_grey"]]
    elif name == "receptive_field":
        pairs = zip(table["linear_norm"], table["gradient_norm"], strict=True)
        notes = [f"norms {linear:.2g}, {gradient:.2g}" for linear, gradient in pairs]
    elif name == "transparent":
        notes = [f"{area:.0f} deg²" for area in table["mask_deg2"]]
    else:
        return neurons
    return [f"{neuron}\n{note}" for neuron, note in zip(neurons, notes, strict=True)]


def make_procedure(
    config: Config, results: Layout, name: str, neurons: list[str] | None = None
) -> None:
    """Make one type of stimulus for all fitted neurons, or for some neurons.

    Raises
    ------
    MeiflowError
        If the procedure fails for a model, with the reason.
    """
    chosen, files = wanted_neurons(results, neurons), results.procedure(name)
    make = partial(_made, config, results, name)
    made = of_neurons(make, name, config, results, chosen)
    images, table = made.arrays["images"], made.tables["stimuli"]
    write_array(images, files.images)
    write_csv(table, files.table)
    titles = _titles(name, chosen, table)
    shown = images if name != "transparent" else on_chequerboards(images)
    figure = sheet(shown, titles, config.image.geometry, _COLUMNS.get(name))
    save_figure(figure, files.picture)
    if "predicted_response" in table:
        mean = table["predicted_response"].mean()
        logger.info(f"{name}: {len(chosen)} neurons, mean predicted response {mean:.3g}")


def _made(config: Config, results: Layout, name: str, neurons: list[str]) -> Made:
    """Images and table of some neurons."""
    population = load_population(config, results, PROCEDURES[name], neurons)
    make: Callable[[Population], StimulusSet] = _OTHERS.get(name) or globals()[name]
    try:
        made = make(population)
    except ValueError as error:
        raise MeiflowError(f"{name}: {error}") from None
    return Made({"stimuli": made.table}, {"images": made.images})
