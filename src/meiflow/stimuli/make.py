"""The stimuli stage: every image that one neuron's model calls exciting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.comparison.masks import pattern_mask, soft_mask
from meiflow.errors import MeiflowError
from meiflow.files import read_csv, write_array, write_csv, write_picture
from meiflow.models.network import load_model
from meiflow.sections import Config
from meiflow.session.schedule import DRIFT_PHASES, GABOR_CYCLES_PER_DEG, GABOR_DIAMETER_DEG
from meiflow.stimuli import patterns
from meiflow.stimuli.gabors import read_gabor
from meiflow.stimuli.mei import most_exciting, noise_starts
from meiflow.stimuli.natural import matched_naturals
from meiflow.stimuli.projection import contrast_targets, project_array


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
    exponent = mei_config.smoothing_exponent
    noise = noise_starts(mei_config.restarts, geometry, exponent, mean, contrast, config.seed)
    # The Gabor is one start among many: an MEI below it would be a failure to optimise.
    starts = torch.cat([noise, torch.as_tensor(gabor)[None]])
    result = most_exciting(
        model, starts, geometry, mean, contrast, mei_config.steps, mei_config.step_size, exponent
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
        candidates = matched_naturals(images, mean, contrast, mask)
        _write_image(candidates[model.predict(candidates).argmax()], folder, name)


def make_recorded_gabor(
    config: Config,
    model_path: Path,
    images: NDArray,
    gabor_responses: Path,
    neuron: str,
    folder: Path,
) -> None:
    """Write the recorded Gabor condition with the highest mean count: gabor.npy, .png, .csv.

    The stimulus drifted through a whole cycle, so its phase carries nothing; the image
    shows the phase to which the model responds most, the kindest choice for the Gabor.
    """
    table = read_csv(
        gabor_responses, ("condition_id", "x_position", "y_position", "orientation", "repeats")
    )
    if neuron not in table.columns:
        raise MeiflowError(f"{gabor_responses}: no column for neuron {neuron}")
    best = table.loc[table[neuron].idxmax()]
    geometry = config.image.geometry
    model = load_model(model_path, geometry, config.model.custom)
    mean, contrast = contrast_targets(config.mei, images)
    phases = np.array(DRIFT_PHASES)
    patches = patterns.grating_patch(
        geometry,
        best["x_position"],
        best["y_position"],
        1 / GABOR_CYCLES_PER_DEG,
        best["orientation"],
        phases,
        GABOR_DIAMETER_DEG,
    )
    shown = project_array(patches, mean, contrast)
    predicted = model.predict(shown)
    chosen = int(predicted.argmax())
    _write_image(shown[chosen], folder, "gabor")
    row = {
        "condition_id": int(best["condition_id"]),
        "x_deg": best["x_position"],
        "y_deg": best["y_position"],
        "orientation_deg": best["orientation"],
        "frequency_cpd": GABOR_CYCLES_PER_DEG,
        "diameter_deg": GABOR_DIAMETER_DEG,
        "phase_deg": phases[chosen],
        "repeats": int(best["repeats"]),
        "recorded_count": best[neuron],
        "recorded_mean_count": table[neuron].mean(),
        "predicted_response": predicted[chosen],
        "predicted_phase_mean": predicted.mean(),
    }
    write_csv(pd.DataFrame([row]), folder / "gabor.csv")
