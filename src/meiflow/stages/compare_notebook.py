"""The notebook stage: draw and measure a neuron's stimuli as the notebook did."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.comparison.compare import image_metrics
from meiflow.comparison.notebook import NOTEBOOK, GaborRecipe, MeanGabor, mean_gabor
from meiflow.comparison.notebook import notebook_metrics as as_the_notebook
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.figures.notebook import notebook_figure
from meiflow.figures.style import save_both
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, read_csv, write_array, write_csv, write_picture
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected
from meiflow.results.stimuli import Stimulus, read_procedure
from meiflow.results.tables import read_stack_info
from meiflow.stages.common import open_models, stimulus_targets

_RECIPES = {
    "notebook_gabor": NOTEBOOK,
    "notebook_gabor_by_id": GaborRecipe(rows="own"),
}


def read_gabor_trials(results: Layout, neuron: str) -> pd.DataFrame:
    """Single Gabor presentations with the counts of a neuron.

    Raises
    ------
    MeiflowError
        If the table is missing, damaged or lacks the neuron.
    """
    columns = ("trial_id", "condition_id", "orientation", neuron)
    return read_csv(results.gabor_trials, columns)[list(columns)]


def _logged_response(results: Layout, neuron: str) -> float:
    """The value that the notebook would print as the response to its MEI."""
    table = read_csv(results.procedure("notebook_mei").table, ("neuron_id", "logged_response"))
    return float(table.set_index("neuron_id")["logged_response"][neuron])


def measured_twice(
    stimuli: list[Stimulus], geometry: Geometry, threshold: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of every stimulus, by name and method of measurement.

    Returns
    -------
    dict
        For each name and method (``notebook`` or ``right``): ``luminance``, ``std``, ``contrast``,
        ``symmetry_1`` and ``symmetry_2``.
    """
    found = {}
    for stimulus in stimuli:
        notebook = as_the_notebook(stimulus.image)
        right = image_metrics(stimulus.image.astype(float), geometry, threshold)
        right["std"] = right["rms_contrast"]
        found[stimulus.name] = {
            "notebook": notebook,
            "right": {key: right[key] for key in notebook},
        }
    return found


def compare_with_notebook(config: Config, results: Layout, has: SessionHas, neuron: str) -> None:
    """Draw and measure a neuron's stimuli as the notebook did, next to ours.

    If no Gabors were shown in the session, no Gabor is drawn.
    """
    require_selected(results.fitted_neurons, neuron)
    geometry, files = config.image.geometry, results.neuron(neuron)
    model = open_models(config, results).model(neuron, config.model.custom)
    targets = stimulus_targets(config, results)
    mei = read_procedure(results, "notebook_mei", [neuron])[0]
    drawn = _gabors(results, neuron, geometry.shape) if has.gabors else {}
    stimuli = [Stimulus("notebook_mei", mei)]
    stimuli += [Stimulus(name, gabor.image) for name, gabor in drawn.items()]
    stimuli.append(Stimulus("mei", read_array(files.mei)))
    if has.gabors:
        stimuli.append(Stimulus("recorded_gabor", read_array(files.gabor)))
    shown = _stack(stimuli, geometry)
    metrics = measured_twice(stimuli, geometry, config.comparison.mask_threshold)
    responses = model.predict(shown)
    matched = model.predict(project_array(shown, *targets))
    logged = _logged_response(results, neuron)
    rows = []
    for i, stimulus in enumerate(stimuli):
        for measured, values in metrics[stimulus.name].items():
            own = stimulus.name == "notebook_mei" and measured == "notebook"
            gabor = drawn.get(stimulus.name)
            rows.append(
                {"stimulus": stimulus.name, "measured": measured}
                | values
                | {
                    "predicted_response": responses[i],
                    "matched_response": matched[i],
                    "logged_response": logged if own else None,
                    "trial_ids": _listed(gabor.trial_ids) if gabor else None,
                    "orientations": _listed(gabor.orientations) if gabor else None,
                }
            )
    table = pd.DataFrame(rows)
    if drawn:
        write_array(drawn["notebook_gabor"].image, files.notebook_gabor)
        write_picture(drawn["notebook_gabor"].image, files.notebook_gabor_picture)
    pictures = {stimulus.name: stimulus.image for stimulus in stimuli}
    figure = notebook_figure(pictures, table, geometry)
    save_both(figure, files.root, "notebook", read_stack_info(results).response)
    write_csv(table, files.notebook)


def _gabors(results: Layout, neuron: str, shape: tuple[int, int]) -> dict[str, MeanGabor]:
    trials = read_gabor_trials(results, neuron)
    return {name: mean_gabor(trials, neuron, shape, recipe) for name, recipe in _RECIPES.items()}


def _stack(stimuli: list[Stimulus], geometry: Geometry) -> NDArray:
    for stimulus in stimuli:
        if stimulus.image.shape != geometry.shape:
            raise MeiflowError(
                f"{stimulus.name}: the image has {stimulus.image.shape} pixels, but the "
                f"configuration has {geometry.shape}; rebuild it"
            )
    return np.stack([stimulus.image for stimulus in stimuli])


def _listed(values: tuple[object, ...]) -> str:
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
