"""The comparison stage: every stimulus of a neuron measured the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.comparison.ensemble import ratio_interval
from meiflow.config.names import SHOWN_PROCEDURES
from meiflow.config.sections import Comparison, Config
from meiflow.errors import MeiflowError
from meiflow.images.gabor_fit import fit_gabor
from meiflow.images.geometry import Geometry
from meiflow.images.masks import (
    disc_mask,
    equivalent_diameter,
    pattern_centre,
    pattern_mask,
    tight_mask,
)
from meiflow.images.similarity import best_shift, image_similarity
from meiflow.images.spectrum import (
    Spectrum,
    axial_profile,
    bandwidth_octaves,
    dominant_orientation,
    orientation_halfwidth,
    peak_frequency,
    power_spectrum,
    radial_profile,
    symmetry_index,
)
from meiflow.io.files import read_array, read_csv, write_array, write_csv, write_picture

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
    from meiflow.images.projection import project_array

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


def image_metrics(
    image: NDArray, geometry: Geometry, threshold: float, mask: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Metrics of one image alone; see the columns of comparison.csv in the documentation.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    geometry : Geometry
    threshold : float
        Of the automatic mask, in standard deviations.
    mask : ndarray of bool, shape (height, width), optional
        In which to measure instead of the automatic one.
    """
    mask = pattern_mask(image, threshold) if mask is None else mask
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


def shape_metrics(
    image: NDArray, spectrum: Spectrum, mei: NDArray, geometry: Geometry
) -> dict[str, float]:
    """Bandwidths, the place at which an image is most like the MEI, and its Gabor."""
    shift = best_shift(image, mei, geometry)
    gabor = fit_gabor(image, geometry)
    return {
        "bandwidth_octaves": bandwidth_octaves(spectrum),
        "orientation_halfwidth_deg": orientation_halfwidth(spectrum),
        "shifted_similarity_to_mei": shift.similarity,
        "shift_x_deg": shift.x,
        "shift_y_deg": shift.y,
        "gabor_r2": gabor.r2,
        "gabor_x_deg": gabor.x,
        "gabor_y_deg": gabor.y,
        "gabor_wavelength_deg": gabor.wavelength,
        "gabor_orientation_deg": gabor.orientation,
        "gabor_phase_deg": gabor.phase,
        "gabor_sigma_deg": gabor.sigma,
        "gabor_aspect": gabor.aspect,
    }


@dataclass(frozen=True)
class Masks:
    """Of one image: the tight mask, the response it holds, and the one that is measured in."""

    tight: NDArray[np.bool_]
    held: float
    measured: NDArray[np.bool_]


def image_masks(
    image: NDArray,
    geometry: Geometry,
    config: Comparison,
    respond: Callable[[NDArray], NDArray],
) -> Masks:
    """The masks of an image (height, width), `respond` as in `tight_mask`."""
    auto = pattern_mask(image, config.mask_threshold)
    tight, held = tight_mask(image, auto, respond, config.tight_fraction)
    measured = {"auto": auto, "tight": tight}.get(config.mask)
    if measured is None:
        x, y = pattern_centre(image, auto, geometry)
        measured = disc_mask(geometry, x, y, config.disc_diameter_deg)
    return Masks(tight, held, measured)


def spectra_table(spectra: dict[str, Spectrum]) -> pd.DataFrame:
    """Radial and axial profile of each stimulus: stimulus, profile, value, power."""
    parts = []
    for stimulus, spectrum in spectra.items():
        profiles = {"radial": radial_profile(spectrum), "axial": axial_profile(spectrum)}
        for name, profile in profiles.items():
            part = pd.DataFrame({"value": profile.value, "power": profile.power})
            part.insert(0, "stimulus", stimulus)
            part.insert(1, "profile", name)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _over(responses: NDArray, folds: NDArray) -> dict[str, float]:
    """The response to the MEI over that to another stimulus."""
    names = ("mei_ratio", "mei_ratio_low", "mei_ratio_high")
    return dict(
        zip(names, ratio_interval(float(responses[0]), float(responses[1]), folds), strict=True)
    )


def compare_neuron(
    config: Config,
    model_path: Path,
    folds_path: Path | None,
    images: NDArray,
    folder: Path,
    gabors: bool,
    output: Path,
) -> None:
    """Write comparison.csv: one row per stimulus in the neuron's `folder`.

    Beside it mei_mask.npy and .png (the MEI's tight mask), spectra.csv and spectra.png, .svg.

    Parameters
    ----------
    model_path : path
    folds_path : path or None
        ensemble.pt, for intervals; None if there is none.
    images : ndarray, shape (n, height, width)
        The image stack, for the contrast targets.
    folder : path
        Of the neuron's stimuli.
    gabors : bool
        Whether the session showed Gabors.
    output : path
        comparison.csv.
    """
    from meiflow.figures.spectrum import SpectrumView, spectrum_figure
    from meiflow.figures.style import save_both
    from meiflow.images.projection import contrast_targets, is_matched
    from meiflow.models.network import load_ensemble, load_model

    geometry = config.image.geometry
    model = load_model(model_path, geometry, config.model.custom)
    mean, contrast = contrast_targets(config.mei, images)
    stimuli = read_stimuli(folder, gabors)
    stack = np.stack([s.image for s in stimuli])
    predicted = model.predict(stack)
    # by models of the folds; an own module has none
    folds = (
        np.stack([fold.predict(stack) for fold in load_ensemble(folds_path, geometry)])
        if folds_path is not None
        else np.empty((0, len(stimuli)))
    )
    mei = stimuli[0].image.astype(float)
    rows, views = [], []
    for i, stimulus in enumerate(stimuli):
        image = stimulus.image.astype(float)
        spectrum = power_spectrum(image, geometry)
        masks = image_masks(image, geometry, config.comparison, model.predict)
        if stimulus.name == "mei":
            write_array(masks.tight, output.parent / "mei_mask.npy")
            write_picture(masks.tight, output.parent / "mei_mask.png")
        rows.append(
            {"stimulus": stimulus.name, "predicted_response": float(predicted[i])}
            | image_metrics(image, geometry, config.comparison.mask_threshold, masks.measured)
            | {
                "similarity_to_mei": image_similarity(image, mei),
                "matched": is_matched(image, mean, contrast),
                "tight_size_deg": equivalent_diameter(masks.tight, geometry),
                "tight_fraction": masks.held,
            }
            | _over(predicted[[0, i]], folds[:, [0, i]])
            | shape_metrics(image, spectrum, mei, geometry)
        )
        views.append(SpectrumView(stimulus.name, image, masks.measured, spectrum))
    table = spectra_table({view.name: view.spectrum for view in views})
    write_csv(table, output.with_name("spectra.csv"))
    save_both(spectrum_figure(views, geometry), output.parent, "spectra")
    write_csv(pd.DataFrame(rows), output)
