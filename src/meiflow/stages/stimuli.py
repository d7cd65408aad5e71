"""The stimuli stage: every image that one neuron's model calls exciting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.images.masks import pattern_mask, soft_mask
from meiflow.images.projection import contrast_targets, project_array
from meiflow.io.files import write_array, write_csv, write_picture
from meiflow.models.network import load_model
from meiflow.session.presented import gabor_images, gabor_phases
from meiflow.stimuli.gabors import read_gabor
from meiflow.stimuli.mei import mei_starts, most_exciting
from meiflow.stimuli.natural import best_matched
from meiflow.tables.conditions import read_conditions, rivals_of_best


def _write_image(image: NDArray, folder: Path, name: str) -> None:
    write_array(image, folder / f"{name}.npy")
    write_picture(image, folder / f"{name}.png")


def make_stimuli(
    config: Config, model_path: Path, images: NDArray, gabors: Path, neuron: str, folder: Path
) -> None:
    """Write the MEI, the best Gabor in silico and the best natural images of one neuron.

    All have the same mean luminance and RMS contrast. The Gabor is that which `make_gabors`
    wrote in the folder `gabors`. Files: mei, best_gabor, best_natural and windowed_natural as
    .npy and .png, mei_trace.csv and best_gabor.csv.
    """
    geometry = config.image.geometry
    model = load_model(model_path, geometry, config.model.custom)
    mean, contrast = contrast_targets(config.mei, images)
    gabor, row = read_gabor(gabors, neuron)
    _write_image(gabor, folder, "best_gabor")
    write_csv(row, folder / "best_gabor.csv")

    mei_config = config.mei
    starts = mei_starts(mei_config, geometry, mean, contrast, gabor, config.seed)
    result = most_exciting(
        model,
        starts,
        geometry,
        mean,
        contrast,
        mei_config.steps,
        mei_config.step_size,
        mei_config.smoothing_exponent,
    )
    mei = result.images[result.best]
    _write_image(mei, folder, "mei")
    trace = result.trace
    write_csv(
        pd.DataFrame(
            {
                "step": np.arange(len(trace.objective)),
                "response": trace.objective[:, result.best],
                "objective": (trace.objective - trace.penalty)[:, result.best],
                "mean": trace.mean[:, result.best],
                "rms_contrast": trace.rms_contrast[:, result.best],
            }
        ),
        folder / "mei_trace.csv",
    )

    window = soft_mask(pattern_mask(mei, config.comparison.mask_threshold))
    for name, mask in (("best_natural", None), ("windowed_natural", window)):
        best = best_matched(model.predict, images, mean, contrast, mask)
        _write_image(best, folder, name)


def make_recorded_gabor(
    config: Config, model_path: Path, images: NDArray, tables: Path, neuron: str, folder: Path
) -> None:
    """Write the recorded Gabor condition with the highest mean count: gabor.npy, .png, .csv.

    The stimulus drifted through a whole cycle, so its phase carries nothing; the image
    shows the phase to which the model responds most, the kindest choice for the Gabor. With
    ``gabor.merge_top`` above 1 it is the mean of so many conditions, each at its own such phase.
    """
    recorded = read_conditions(tables, "gabors")
    column = recorded.of_neuron(neuron)
    counts, errors = recorded.means[:, column], recorded.errors[:, column]
    top = np.argsort(-counts, kind="stable")[: config.gabor.merge_top]
    geometry, shown = config.image.geometry, config.session.shown
    model = load_model(model_path, geometry, config.model.custom)
    mean, contrast = contrast_targets(config.mei, images)
    phases = gabor_phases(shown)
    patches = np.stack(
        [gabor_images(geometry, recorded.parameters.iloc[top], shown, phase) for phase in phases]
    )
    shape = (len(phases), len(top), *geometry.shape)
    matched = project_array(patches.reshape(-1, *geometry.shape), mean, contrast).reshape(shape)
    predicted = np.stack([model.predict(at_phase) for at_phase in matched])
    chosen = predicted.argmax(axis=0)
    best = matched[chosen, np.arange(len(top))]
    image = best[0] if len(top) == 1 else project_array(best.mean(0)[None], mean, contrast)[0]
    _write_image(image, folder, "gabor")
    table = recorded.parameters.iloc[top].reset_index(drop=True)
    table = table.rename(columns={"x_position": "x_deg", "y_position": "y_deg"})
    table = table.rename(columns={"orientation": "orientation_deg"})
    table.insert(0, "condition_id", top)
    write_csv(
        table.assign(
            frequency_cpd=shown.gabor_frequency_cpd,
            diameter_deg=shown.gabor_diameter_deg,
            phase_deg=phases[chosen],
            repeats=recorded.repeats[top],
            recorded_count=counts[top],
            recorded_sem=errors[top],
            recorded_mean_count=counts.mean(),
            rivals=rivals_of_best(counts, errors),
            predicted_response=float(model.predict(image[None])[0]),
            predicted_phase_mean=predicted.mean(axis=0),
        ),
        folder / "gabor.csv",
    )
