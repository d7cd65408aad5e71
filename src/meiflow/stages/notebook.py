"""The notebook stage: one neuron drawn and measured as the notebook did, beside ours."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from numpy.typing import NDArray

from meiflow.comparison.compare import Stimulus, image_metrics, read_procedure
from meiflow.comparison.notebook import NOTEBOOK, GaborRecipe, MeanGabor, mean_gabor
from meiflow.comparison.notebook import notebook_metrics as as_the_notebook
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_array, read_csv, write_array, write_csv, write_picture

_RECIPES = {
    "notebook_gabor": NOTEBOOK,
    "notebook_gabor_by_id": GaborRecipe(rows="own"),
}


def read_gabor_trials(tables: Path, neuron: str) -> pd.DataFrame:
    """The single Gabor presentations with one neuron's counts.

    Raises
    ------
    MeiflowError
        If the table is missing, damaged or lacks the neuron.
    """
    columns = ("trial_id", "condition_id", "orientation", neuron)
    return read_csv(tables / "gabor_trials.csv", columns)[list(columns)]


def _logged_response(folder: Path, neuron: str) -> float:
    """What the notebook would have printed as the response to its MEI."""
    table = read_csv(folder / "notebook_mei.csv", ("neuron_id", "logged_response"))
    return float(table.set_index("neuron_id")["logged_response"][neuron])


def measured_twice(
    stimuli: list[Stimulus], geometry: Geometry, threshold: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of every stimulus, by name and by how they were measured.

    Returns
    -------
    dict
        Name to ``notebook`` and ``right`` to ``luminance``, ``std``, ``contrast``, ``symmetry_1``
        and ``symmetry_2``.
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


def compare_with_notebook(
    config: Config, tables: Path, results: Path, neuron: str, gabors: bool, output: Path
) -> None:
    """Write notebook.csv, its figure and the notebook's Gabor of one neuron.

    Parameters
    ----------
    config : Config
        Uses ``image``, ``model.custom``, ``mei`` and ``comparison``.
    tables : path
        Folder of gabor_trials.csv and of the images.
    results : path
        Results folder of the session, with the neuron's model and MEI and the notebook's MEIs.
    gabors : bool
        Whether the session showed Gabors; without, no Gabor is drawn.
    output : path
        Folder that receives notebook.csv, notebook.png, notebook.svg and, where there are Gabors,
        notebook_gabor.npy and .png.
    """
    from meiflow.figures.notebook import notebook_figure
    from meiflow.figures.style import save_both
    from meiflow.images.projection import contrast_targets, project_array
    from meiflow.models.network import load_model
    from meiflow.tables.stack import read_stack

    geometry = config.image.geometry
    folder = results / "neurons" / neuron
    model = load_model(folder / "model.pt", geometry, config.model.custom)
    images = read_stack(tables, geometry)[1]
    mei = read_procedure(results / "stimuli", "notebook_mei", [neuron])[0]
    drawn = _gabors(tables, neuron, geometry.shape) if gabors else {}
    stimuli = [Stimulus("notebook_mei", mei)]
    stimuli += [Stimulus(name, gabor.image) for name, gabor in drawn.items()]
    stimuli.append(Stimulus("mei", read_array(folder / "mei.npy")))
    if gabors:
        stimuli.append(Stimulus("recorded_gabor", read_array(folder / "gabor.npy")))
    shown = _stack(stimuli, geometry)
    metrics = measured_twice(stimuli, geometry, config.comparison.mask_threshold)
    responses = model.predict(shown)
    matched = model.predict(project_array(shown, *contrast_targets(config.mei, images)))
    logged = _logged_response(results / "stimuli", neuron)
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
        write_array(drawn["notebook_gabor"].image, output / "notebook_gabor.npy")
        write_picture(drawn["notebook_gabor"].image, output / "notebook_gabor.png")
    pictures = {stimulus.name: stimulus.image for stimulus in stimuli}
    figure = notebook_figure(pictures, table, geometry)
    save_both(figure, output, "notebook")
    write_csv(table, output / "notebook.csv")


def _gabors(tables: Path, neuron: str, shape: tuple[int, int]) -> dict[str, MeanGabor]:
    trials = read_gabor_trials(tables, neuron)
    return {name: mean_gabor(trials, neuron, shape, recipe) for name, recipe in _RECIPES.items()}


def _stack(stimuli: list[Stimulus], geometry: Geometry) -> NDArray:
    import numpy as np

    for stimulus in stimuli:
        if stimulus.image.shape != geometry.shape:
            raise MeiflowError(
                f"{stimulus.name}: an image of {stimulus.image.shape} pixels, but the "
                f"configuration has {geometry.shape}; make it again"
            )
    return np.stack([stimulus.image for stimulus in stimuli])


def _listed(values: tuple[object, ...]) -> str:
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
