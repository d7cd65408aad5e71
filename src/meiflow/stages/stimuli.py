"""The stimuli stage: exciting images of a neuron's model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.images.masks import pattern_mask, soft_mask
from meiflow.images.projection import project_array
from meiflow.io.files import write_array, write_csv, write_picture
from meiflow.models.device import chosen_device
from meiflow.models.network import NeuronModel
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected
from meiflow.results.stimuli import ascent_steps, read_gabor, write_ascent
from meiflow.results.tables import read_conditions, read_stack
from meiflow.session.presented import gabor_images, gabor_phases
from meiflow.stages.common import check_custom, open_models, stimulus_targets
from meiflow.stimuli.mei import mei_starts, most_exciting
from meiflow.stimuli.natural import best_matched
from meiflow.stimuli.postprocessors import Snapshots
from meiflow.tables.conditions import rivals_of_best


def _write_image(image: NDArray, path: Path, picture: Path) -> None:
    write_array(image, path)
    write_picture(image, picture)


def make_stimuli(config: Config, results: Layout, has: SessionHas, neuron: str) -> None:
    """Make the MEI, the best Gabors and the best natural images of a neuron.

    All have the same mean luminance and RMS contrast. The best Gabor in silico is taken from the
    search for all neurons.
    """
    require_selected(results.fitted_neurons, neuron)
    archive = open_models(config, results)
    model = archive.model(neuron, config.model.custom).to(chosen_device())
    check_custom(config, results, [model], [neuron])
    mean, contrast = stimulus_targets(config, results)
    _make_optimal(config, results, model, neuron, mean, contrast)
    if has.gabors:
        _make_recorded_gabor(config, results, model, neuron, mean, contrast)


def _make_optimal(
    config: Config, results: Layout, model: NeuronModel, neuron: str, mean: float, contrast: float
) -> None:
    geometry, files = config.image.geometry, results.neuron(neuron)
    images = read_stack(results, geometry)[1]
    gabor, row = read_gabor(results, neuron)
    _write_image(gabor, files.best_gabor, files.best_gabor_picture)
    write_csv(row, files.best_gabor_table)

    mei_config = config.mei
    exponent = mei_config.smoothing_exponent
    starts = mei_starts(mei_config.restarts, geometry, exponent, mean, contrast, config.seed, gabor)
    snapshots = Snapshots(ascent_steps(mei_config.steps))
    result = most_exciting(
        model,
        starts,
        geometry,
        mean,
        contrast,
        mei_config.steps,
        mei_config.step_size,
        exponent,
        snapshots=snapshots,
    )
    mei = result.images[result.best]
    _write_image(mei, files.mei, files.mei_picture)
    last = int(result.best_steps[result.best])
    way = {n: s[result.best].cpu().numpy() for n, s in snapshots.stimuli.items() if n < last}
    write_ascent(way | {last: mei}, files)
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
        files.mei_trace,
    )

    window = soft_mask(pattern_mask(mei, config.comparison.mask_threshold))
    for mask, path, picture in (
        (None, files.best_natural, files.best_natural_picture),
        (window, files.windowed_natural, files.windowed_natural_picture),
    ):
        best = best_matched(model.predict, images, mean, contrast, mask)
        _write_image(best, path, picture)


def _make_recorded_gabor(
    config: Config, results: Layout, model: NeuronModel, neuron: str, mean: float, contrast: float
) -> None:
    """Write the recorded Gabor condition with the highest mean count: gabor.npy, .png, .csv.

    The stimulus drifted through a whole cycle, so its phase is irrelevant; the image shows the
    phase with the highest predicted response, which favours the Gabor. With ``gabor.merge_top``
    above 1 it is the mean of that number of conditions, each at its best phase.
    """
    files = results.neuron(neuron)
    recorded = read_conditions(results, "gabors")
    column = recorded.of_neuron(neuron)
    counts, errors = recorded.means[:, column], recorded.errors[:, column]
    top = np.argsort(-counts, kind="stable")[: config.gabor.merge_top]
    geometry, shown = config.image.geometry, config.session.stimulus_parameters
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
    _write_image(image, files.gabor, files.gabor_picture)
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
        files.gabor_table,
    )
