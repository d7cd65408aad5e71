"""The comparison stage: every stimulus of a neuron measured the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.comparison.masks import equivalent_diameter, pattern_centre, pattern_mask
from meiflow.comparison.spectrum import (
    dominant_orientation,
    peak_frequency,
    power_spectrum,
    symmetry_index,
)
from meiflow.errors import MeiflowError
from meiflow.files import read_array, read_csv, write_csv
from meiflow.geometry import Geometry
from meiflow.sections import Config
from meiflow.stimuli.names import SHOWN_PROCEDURES

# Stimulus name -> file name (without suffix) in the neuron's folder.
STIMULI = {
    "mei": "mei",
    "recorded_gabor": "gabor",
    "best_gabor": "best_gabor",
    "best_natural": "best_natural",
    "windowed_natural": "windowed_natural",
}


@dataclass(frozen=True)
class Stimulus:
    """A named image (height, width), luminance in [0, 1]."""

    name: str
    image: NDArray[np.float32]


def read_stimuli(folder: Path, gabors: bool) -> list[Stimulus]:
    """The stimuli of a neuron, in the order of `STIMULI`.

    Parameters
    ----------
    folder : path
        The neuron's.
    gabors : bool
        Whether the session showed Gabors. A recorded Gabor that an earlier run left behind
        is not read when it did not.
    """
    return [
        Stimulus(name, read_array(folder / f"{stem}.npy"))
        for name, stem in STIMULI.items()
        if gabors or name != "recorded_gabor"
    ]


def read_procedures(
    folder: Path, made: Sequence[str], neurons: list[str], mean: float, contrast: float
) -> dict[str, list[Stimulus]]:
    """What the procedures made to excite each neuron, at the given mean and contrast.

    Parameters
    ----------
    folder : path
        With NAME.npy and NAME.csv of every procedure in `made`.
    made : sequence of str
        Those not in `SHOWN_PROCEDURES` are left out.
    neurons : list of str

    Raises
    ------
    MeiflowError
        If a file is damaged, or made for other neurons.
    """
    from meiflow.stimuli.projection import project_array

    found: dict[str, list[Stimulus]] = {neuron: [] for neuron in neurons}
    for procedure, name in SHOWN_PROCEDURES.items():
        if procedure not in made:
            continue
        shown = project_array(read_procedure(folder, procedure, neurons), mean, contrast)
        for neuron, image in zip(neurons, shown, strict=True):
            found[neuron].append(Stimulus(name, image))
    return found


def read_procedure(folder: Path, procedure: str, neurons: list[str]) -> NDArray[np.float32]:
    """What one procedure made for some neurons, as it was made: (neurons, height, width).

    Of several images per neuron the first: of a receptive field, the linear one.

    Raises
    ------
    MeiflowError
        If a file is damaged, or made for other neurons.
    """
    table = read_csv(folder / f"{procedure}.csv", ("neuron_id",))
    path = folder / f"{procedure}.npy"
    images = read_array(path)
    rows = {str(n): i for i, n in enumerate(dict.fromkeys(table["neuron_id"]))}
    if images.ndim not in (3, 4) or not np.isfinite(images).all():
        raise MeiflowError(f"{path}: holds no images of finite luminance; make it again")
    if len(rows) != len(images) or any(n not in rows for n in neurons):
        raise MeiflowError(
            f"{path}: holds images of {len(images)} neurons, its table has {len(rows)}, not all "
            "of those now selected among them; make it again"
        )
    chosen = images[[rows[n] for n in neurons]]
    return chosen[:, 0] if chosen.ndim == 4 else chosen


def image_metrics(image: NDArray, geometry: Geometry, threshold: float) -> dict[str, float]:
    """All metrics of one image; see the columns of comparison.csv in the documentation."""
    mask = pattern_mask(image, threshold)
    spectrum = power_spectrum(image, geometry)
    x, y = pattern_centre(image, mask, geometry)
    return {
        "luminance": float(image[mask].mean()),
        "contrast": float(image[mask].std()),
        "symmetry_1": symmetry_index(spectrum, 1),
        "symmetry_2": symmetry_index(spectrum, 2),
        "peak_frequency_cpd": peak_frequency(spectrum),
        "orientation_deg": dominant_orientation(spectrum),
        "mean": float(image.mean()),
        "rms_contrast": float(image.std()),
        "x_deg": x,
        "y_deg": y,
        "size_deg": equivalent_diameter(mask, geometry),
    }


def image_similarity(a: NDArray, b: NDArray) -> float:
    """Pearson correlation of two images' pixels; NaN if one is uniform."""
    p, q = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((p**2).sum() * (q**2).sum()))
    return float((p * q).sum() / norm) if norm > 1e-12 else float("nan")


def compare_neuron(
    config: Config, model_path: Path, images: NDArray, folder: Path, gabors: bool, output: Path
) -> None:
    """Write comparison.csv: one row per stimulus in the neuron's `folder`."""
    from meiflow.models.network import load_model
    from meiflow.stimuli.projection import contrast_targets, is_matched

    model = load_model(model_path, config.image.geometry, config.model.custom)
    mean, contrast = contrast_targets(config.mei, images)
    stimuli = read_stimuli(folder, gabors)
    predicted = model.predict(np.stack([s.image for s in stimuli]))
    mei = stimuli[0].image
    rows = [
        {"stimulus": s.name, "predicted_response": float(value)}
        | image_metrics(
            s.image.astype(float), config.image.geometry, config.comparison.mask_threshold
        )
        | {
            "similarity_to_mei": image_similarity(s.image, mei),
            "matched": is_matched(s.image, mean, contrast),
        }
        for s, value in zip(stimuli, predicted, strict=True)
    ]
    write_csv(pd.DataFrame(rows), output)
