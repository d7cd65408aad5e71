"""Folds of a session without natural scenes: random ones leak, contiguous and guarded ones do not.

Simulates a session that shows one movie (900 frames, 60 passes), fits the default models to its
bins, once with random folds as if the bins were unrelated images and once with folds as the
workflow makes them, and shows the MEIs to the simulated neurons. Takes a quarter of an hour.

    python -m benchmarks.without_scenes FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import meiflow as mf
from meiflow.config.config import parse_config
from meiflow.images.projection import project_array
from meiflow.models.archive import ModelArchive, write_archive
from meiflow.models.fitting import fit_population
from meiflow.models.table import Scorer
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.auxiliary import auxiliary_stimuli
from meiflow.stages.common import stimulus_targets
from meiflow.stages.selection import select
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.validation.closed_loop import drives_to, fractions_of_optimum, true_optimum

CONFIG = parse_config(
    {
        "session": {
            "area": "VISam",
            "simulation": {
                "statistics": "ideal",
                "mean_rate_hz": 4.0,
                "units": {"VISam": 16},
                "repeats": 0,
                "gabor_repeats": 1,
                "grating_repeats": 0,
                "movie_repeats": {"natural_movie_one_more_repeats": 60},
            },
        }
    }
)
SHOWN = ("model", "v1", "v1_window", "ln", "gabor_energy", "cnn", "pixel_ridge", "model_shuffled")


def closed_loop(results: Layout, neurons: list[str]) -> pd.DataFrame:
    """Drive of MEI and best movie frame as fractions of the true optimum, by neuron."""
    geometry = CONFIG.image.geometry
    mean, contrast = stimulus_targets(CONFIG, results)
    truth = pd.read_csv(results.truth, dtype={"neuron_id": str}).set_index("neuron_id", drop=False)
    frames = project_array(read_responses(results).images, mean, contrast)
    models, rows = ModelArchive(results.models, geometry), {}
    for neuron in neurons:
        model = models.model(neuron)
        mei = mf.mei(model, contrast=contrast, mean=mean, screen=geometry, restarts=4, steps=60)
        shown = np.stack([np.asarray(mei), frames[np.argmax(model.predict(frames))]])
        best, _ = true_optimum(truth.loc[[neuron]], geometry, mean, contrast, shown, CONFIG.seed)
        stack = np.concatenate([shown, best[None]])
        drives = drives_to(truth.loc[[neuron]], geometry, stack)
        rows[neuron] = fractions_of_optimum(stack, drives, mean, contrast)[:2]
    return pd.DataFrame(rows, ["MEI", "best movie frame"]).T


def main(folder: str) -> None:
    """Simulate, fit twice, and print the means over the selected neurons."""
    results = Layout(Path(folder))
    simulate(CONFIG, results)
    build_tables(CONFIG, results, None, results.session_file, movies=results.movies)
    has = SessionHas.found(results)
    select(CONFIG, results, has)
    table = pd.read_csv(results.selection, dtype={"neuron_id": str})
    neurons = table.loc[table["selected"], "neuron_id"].tolist()
    responses, trials = read_responses(results), read_trials(results)
    scorer = Scorer.of(trials.of_images(), CONFIG.seed)
    extra = auxiliary_stimuli(CONFIG, results, has, trials, responses.neuron_ids)
    columns = {}
    for name, bins in (("random folds", ()), ("guarded folds", responses.movies)):
        found = fit_population(
            responses.images,
            responses.means,
            responses.neuron_ids,
            scorer,
            CONFIG.image.geometry,
            CONFIG.model,
            CONFIG.seed,
            2,
            None,
            extra,
            None,
            bins,
        )
        own = found.scores[found.scores["neuron_id"].isin(neurons)]
        columns[name] = own.groupby("model")["cc_norm"].mean()
    print(f"cc_norm, mean over {len(neurons)} selected neurons")
    print(pd.DataFrame(columns).loc[list(SHOWN)].round(2).to_string())
    write_archive(CONFIG.image.geometry, found.models, found.fold_models, results.models)
    fractions = closed_loop(results, neurons)
    print("fraction of the optimum (guarded folds)")
    print(fractions.agg(["mean", "median", "min"]).round(2).to_string())


if __name__ == "__main__":
    main(sys.argv[1])
