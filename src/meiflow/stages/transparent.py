"""The procedures that make transparent and robust MEIs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import overlap, pattern_centre, pattern_mask
from meiflow.images.projection import project_array
from meiflow.images.similarity import image_similarity
from meiflow.models.network import NeuronModel
from meiflow.progress import logger, track
from meiflow.stages.stimulus_sets import Population, StimulusSet
from meiflow.stimuli.mei import most_exciting, noise_starts
from meiflow.stimuli.natural import responses_to
from meiflow.stimuli.transforms import RandomAffine, over_transforms
from meiflow.stimuli.transparent import (
    TransparentMEI,
    energy_mask,
    noise_backgrounds,
    shown_on,
    transparent_mei,
)

_FURTHER = 32
_HALF = 0.5
_DRAWS = 16


def transparent(p: Population) -> StimulusSet:
    """Images on grey and alpha channels (neurons, 2, height, width) of all neurons."""
    options, geometry = p.config.stimuli, p.config.image.geometry
    behind, further = _backgrounds(p, options.transparent_backgrounds), _backgrounds(p, 0)
    made, rows = [], []
    for i, model in track(list(enumerate(p.models)), "transparent MEIs", len(p.models)):
        found = transparent_mei(
            model,
            p.meis[i],
            geometry,
            p.mean,
            behind,
            options.transparent_fraction,
            options.transparent_steps,
            model.baseline,
        )
        if not np.isfinite(found.fraction):
            logger.info(
                f"transparent: neuron {p.neurons[i]} does not respond to its MEI; image is grey"
            )
        made.append(np.stack([found.image, found.alpha]))
        responses = _responses(model, p.meis[i], found, further, p.mean)
        rows.append({"neuron_id": p.neurons[i], **responses, **_sizes(found, p, i, geometry)})
    return StimulusSet(np.stack(made), pd.DataFrame(rows))


def _backgrounds(p: Population, n: int) -> NDArray[np.float32]:
    """The backgrounds used, or as many others that judge the result if `n` is 0."""
    contrast = float(p.images.std(axis=(1, 2)).mean())
    seed = 2 * p.config.seed + (n == 0)
    if p.config.stimuli.transparent_background == "noise":
        pairs = (n or _FURTHER) // 2
        return noise_backgrounds(pairs, p.config.image.geometry, p.mean, contrast, seed)
    order = np.random.default_rng(p.config.seed).permutation(len(p.images))
    used = min(p.config.stimuli.transparent_backgrounds, len(order) // 2)
    chosen = order[:used] if n else order[used : used + _FURTHER]
    return project_array(p.images[np.sort(chosen)], p.mean, contrast)


def _responses(
    model: NeuronModel,
    mei: NDArray,
    found: TransparentMEI,
    backgrounds: NDArray,
    mean: float,
) -> dict[str, float]:
    on_grey, whole = model.predict(np.stack([found.image, mei])).tolist()
    there = float(model.predict(shown_on(found, backgrounds, mean)).mean())
    drives = np.isfinite(found.fraction)
    share = (there - model.baseline) / (whole - model.baseline) if drives else np.nan
    return {
        "predicted_response": on_grey,
        "mei_response": whole,
        "background_response": there,
        "fraction_of_mei": share,
    }


def _sizes(found: TransparentMEI, p: Population, i: int, geometry: Geometry) -> dict[str, float]:
    if not np.isfinite(found.fraction):
        names = ("mean_alpha", "mask_deg2", "mei_energy_deg2", "mei_overlap", "rf_overlap")
        return dict.fromkeys(names, np.nan)
    mask, energy = found.mask, energy_mask(p.meis[i], geometry)
    rf_map = p.rf_maps[p.neurons[i]]
    return {
        "mean_alpha": float(found.alpha.mean()),
        "mask_deg2": float(mask.sum() * geometry.pixel_area),
        "mei_energy_deg2": float(energy.sum() * geometry.pixel_area),
        "mei_overlap": overlap(mask, energy),
        "rf_overlap": overlap(mask, rf_map >= _HALF * rf_map.max()),
    }


def robust_mei(p: Population) -> StimulusSet:
    """MEIs whose mean response over small random transformations is highest."""
    options, geometry, mei = p.config.stimuli, p.config.image.geometry, p.config.mei
    exponent, seed = mei.smoothing_exponent, p.config.seed
    noise = noise_starts(mei.restarts, geometry, exponent, p.mean, p.contrast, seed)
    images, rows = [], []
    for i, model in track(list(enumerate(p.models)), "robust MEIs", len(p.models)):
        place = pattern_centre(p.meis[i], pattern_mask(p.meis[i]), geometry)
        used, further = (
            RandomAffine(
                geometry,
                options.robust_scale,
                options.robust_rotation_deg,
                options.robust_shift_deg,
                centre=place,
                seed=2 * seed + k,
            )
            for k in (0, 1)
        )
        found = most_exciting(
            over_transforms(model, used, _DRAWS),
            noise,
            geometry,
            p.mean,
            p.contrast,
            mei.steps,
            mei.step_size,
            exponent,
        )
        image = found.images[found.best]
        pair = np.stack([image, p.meis[i]])
        plain = model.predict(pair)
        moved = responses_to(over_transforms(model, further, _FURTHER), pair)
        images.append(image)
        rows.append(
            {
                "neuron_id": p.neurons[i],
                "predicted_response": plain[0],
                "mei_response": plain[1],
                "transformed_response": moved[0],
                "mei_transformed_response": moved[1],
                "mei_similarity": image_similarity(image, p.meis[i]),
            }
        )
    return StimulusSet(np.stack(images), pd.DataFrame(rows))
