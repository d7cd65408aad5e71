"""The comparison stage: measure all stimuli of a neuron in the same way."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.comparison.compare import (
    image_masks,
    image_metrics,
    mei_ratio,
    shape_metrics,
    spectra_table,
)
from meiflow.config.sections import Config
from meiflow.images.masks import equivalent_diameter
from meiflow.images.projection import is_matched
from meiflow.images.similarity import image_similarity
from meiflow.images.spectrum import power_spectrum
from meiflow.io.files import read_csv, write_array, write_csv, write_picture
from meiflow.models.network import NeuronModel
from meiflow.models.soundness import check_scale
from meiflow.models.table import Scorer
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected
from meiflow.results.stimuli import read_stimuli
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.common import open_models, stimulus_targets


def compare_neuron(config: Config, results: Layout, has: SessionHas, neuron: str) -> None:
    """Measure the stimuli of a neuron, and list the scores of its models.

    Ratios of predicted responses have intervals over the fold models, except for custom modules.
    Of real-valued responses, whose zero is arbitrary, they are ratios of the responses minus the
    response to grey.
    """
    require_selected(results.fitted_neurons, neuron)
    geometry, files = config.image.geometry, results.neuron(neuron)
    archive = open_models(config, results)
    model = archive.model(neuron, config.model.custom)
    mean, contrast = stimulus_targets(config, results)
    stimuli = read_stimuli(files, has.gabors)
    stack = np.stack([s.image for s in stimuli])
    predicted, level = model.predict(stack), model.baseline
    drive = predicted - level
    folds = (
        np.stack([fold.predict(stack) - fold.baseline for fold in archive.fold_models(neuron)])
        if config.model.custom is None
        else np.empty((0, len(stimuli)))
    )
    mei = stimuli[0].image.astype(float)
    rows, spectra = [], {}
    for i, stimulus in enumerate(stimuli):
        image = stimulus.image.astype(float)
        spectrum = power_spectrum(image, geometry)
        masks = image_masks(
            image, geometry, config.comparison, lambda seen: model.predict(seen) - level
        )
        if stimulus.name == "mei":
            write_array(masks.tight, files.mei_mask)
            write_picture(masks.tight, files.mei_mask_picture)
        rows.append(
            {"stimulus": stimulus.name, "predicted_response": float(predicted[i])}
            | image_metrics(image, geometry, config.comparison.mask_threshold, masks.measured)
            | {
                "similarity_to_mei": image_similarity(image, mei),
                "matched": is_matched(image, mean, contrast),
                "tight_size_deg": equivalent_diameter(masks.tight, geometry),
                "tight_fraction": masks.held,
            }
            | ({"grey_response": level} if model.real else {})
            | mei_ratio(drive[[0, i]], folds[:, [0, i]])
            | shape_metrics(image, spectrum, mei, geometry)
        )
        spectra[stimulus.name] = spectrum
    write_csv(spectra_table(spectra), files.spectra)
    write_csv(_scores(config, results, model, neuron), files.scores)
    write_csv(pd.DataFrame(rows), files.comparison)


def _scores(config: Config, results: Layout, model: NeuronModel, neuron: str) -> pd.DataFrame:
    """Rows of a neuron in the table of held-out scores.

    A custom module replaces our model, which then becomes the row ``mixture``; the row of the
    custom module has 0 folds, because the images on which it was trained are unknown.
    """
    scores = read_csv(results.cross_validation, ("neuron_id", "model"))
    rows = scores[scores["neuron_id"] == neuron].drop(columns="neuron_id")
    if config.model.custom is None:
        return rows
    responses, trials = read_responses(results, model.geometry), read_trials(results)
    column = responses.column(neuron)
    scorer = Scorer.of(trials.of_images(), config.seed)
    predicted = model.predict(responses.images)
    means, name = responses.means[:, column], f"model.custom {config.model.custom}"
    real = responses.response.real
    most = float(np.abs(means).max() if real else means.max())
    spread = float(means.std()) if real else None
    check_scale(predicted, most, f"{name} (neuron {neuron})", spread)
    size = sum(p.numel() for p in model.parameters())
    first = scorer.row(column, "model", predicted, means, 0, size)
    rows = rows.replace({"model": {"model": "mixture"}})
    return pd.concat([pd.DataFrame([first]), rows], ignore_index=True)
