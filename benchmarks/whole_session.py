"""What movies and gratings add to scenes, for simulated neurons of kinds without a Gabor.

    python -m benchmarks.whole_session [--units 24] [--scenes 40 118] [--trials 50] [--seed 5]
        [--stimuli NAME ...] [--quick] [--csv FILE]

One session shows 118 scenes (50 trials each), static gratings, Gabors and drifting gratings (15),
natural_movie_one (20 passes) and natural_movie_three (10). Neurons integrate over 20 to 80 ms and
adapt, so that a model of single images holds only approximately during movies. The models of all
neurons are fitted to scenes alone, to scenes and other stimuli (``+ all``: everything that was
shown), and, as controls, to movies that are counted one second too late and to movies whose
responses are shifted by half of the movie. ``+ movies, window chosen`` counts each neuron in the
window that its scenes choose among 20 (`CANDIDATES`).

``cc`` is the correlation of held-out predictions with recorded scenes (nested folds), ``fresh`` of
predictions with the true rates on 200 further scenes, and ``mei`` the true response to the MEI as a
fraction of the optimum at the same mean and contrast. CPU time is relative to the first condition.
About an hour on two cores. With ``--quick``, the ensemble is v1 and v1_window, RF positions are
searched in steps of four pixels, and no MEIs are made.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.config.config import Config, parse_config
from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.images.projection import contrast_targets
from meiflow.io.files import read_array, read_csv
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_drifting
from meiflow.models.cross_validate import Fitted, fit_all
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.movie_stimuli import MovieStimuli, effective_number, thin_movies
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.progress import log_to_stderr, track
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses
from meiflow.session.images import resize
from meiflow.session.presented import grating_images
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.rates import DISPLAY
from meiflow.simulation.truth import render_filters, true_drive
from meiflow.stages.auxiliary import read_windows
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts
from meiflow.tables.movies import MovieWindows
from meiflow.validation.closed_loop import drives_to, true_optimum

FRESH = 200
LATE_S = 1.0
QUICK: dict[str, Any] = {
    "base_models": ["v1", "v1_window"],
    "stride": 4,
    # always fitted, but not in the ensemble
    "ln": {"penalties": [0.01], "widths_deg": [16.0]},
    "gabor_energy": {"starts": 1, "steps": 1},
}
CANDIDATES = {
    "candidate_lags_s": [0.0, 0.03, 0.06, 0.09, 0.12],
    "candidate_widths_s": [0.1, 0.15, 0.2, 0.267],
}
KINDS = [
    "corner",
    "curved",
    "two_bars",
    "pooled",
    "texture",
    "surround_suppressed",
    "complex_normalised",
    "simple",
]


@dataclass(frozen=True)
class Recorded:
    """Tables of the session, for the same neurons."""

    images: NDArray[np.float32]
    means: NDArray[np.float64]
    movie_images: NDArray[np.float32]
    movies: pd.DataFrame
    late: pd.DataFrame
    windows: MovieWindows
    gratings: pd.DataFrame
    drifting: dict[str, pd.DataFrame]
    neurons: list[str]
    trials: int

    def of_scenes(self, number: int, seed: int) -> Recorded:
        """The same session with fewer scenes."""
        order = np.random.default_rng([seed, 8]).permutation(len(self.images))
        kept = np.sort(order[:number])
        return replace(self, images=self.images[kept], means=self.means[kept])

    def movie(
        self, table: pd.DataFrame, most: int, shift: int = 0, windows: NDArray | None = None
    ) -> MovieStimuli:
        means = np.roll(table[self.neurons].to_numpy(float), shift, axis=0)
        repeats = table["repeats"].to_numpy(float)
        given = self.movie_images, means, repeats, self.images, self.trials, most
        return thin_movies(*given, windows)


def record(config: Config, folder: Path) -> tuple[Recorded, pd.DataFrame]:
    """Simulate the session; returns its tables and the truth."""
    results, late = Layout(folder / "session"), Layout(folder / "late")
    simulate(config, results)
    files = results.scenes, results.session_file
    build_tables(config, results, *files, movies=results.movies)
    later = config.session.movies.model_copy(update={"lag_s": LATE_S})
    other = config.model_copy(
        update={"session": config.session.model_copy(update={"movies": later})}
    )
    build_tables(other, late, *files, movies=results.movies)
    responses = read_responses(results, config.image.geometry)
    names = responses.neuron_ids
    recorded = Recorded(
        responses.images,
        responses.means,
        read_array(results.movie_images),
        read_csv(results.movie_responses),
        read_csv(late.movie_responses),
        read_windows(results),
        read_csv(results.grating_responses),
        {
            "gabors": read_csv(results.gabor_responses),
            "drifting_gratings": read_csv(results.drifting_responses),
        },
        names,
        config.session.simulation.repeats,
    )
    return recorded, read_csv(results.truth).set_index("neuron_id").loc[names]


Added = tuple[AuxiliaryStimuli | None, MovieStimuli | None, list[DriftingStimuli]]


def conditions(recorded: Recorded, config: Config) -> dict[str, Callable[[], Added]]:
    """Stimuli added to the scenes, by name."""
    geometry, most = config.image.geometry, config.model.movie_images
    shown = config.session.stimulus_parameters
    gratings = AuxiliaryStimuli(
        grating_images(geometry, recorded.gratings, shown),
        recorded.gratings[recorded.neurons].to_numpy(float),
        recorded.gratings["repeats"].to_numpy(float) / recorded.trials,
    )
    given = geometry, shown, recorded.trials, recorded.neurons
    gabors, moving = gather_drifting(recorded.drifting, *given)
    movie, movies = recorded.movie, recorded.movies
    half = len(movies) // 2
    return {
        "scenes": lambda: (None, None, []),
        "+ movies": lambda: (None, movie(movies, most), []),
        "+ static gratings": lambda: (gratings, None, []),
        "+ both": lambda: (gratings, movie(movies, most), []),
        "+ Gabors": lambda: (None, None, [gabors]),
        "+ drifting gratings": lambda: (None, None, [moving]),
        "+ all": lambda: (gratings, movie(movies, most), [gabors, moving]),
        "+ movies, window chosen": lambda: (
            None,
            movie(movies, most, windows=recorded.windows.means),
            [],
        ),
        "+ movies, 1 s too late": lambda: (None, movie(recorded.late, most), []),
        "+ movies, shifted by half": lambda: (None, movie(movies, most, half), []),
    }


def judge(fitted: Fitted, recorded: Recorded, truth: pd.DataFrame, world: World) -> pd.DataFrame:
    """Scores of every neuron."""
    models = [
        NeuronModel(world.geometry, 0.0, 0.0, states, list(weights)).eval()
        for states, weights in zip(fitted.states, fitted.weights, strict=True)
    ]
    reached = np.full(len(models), np.nan)
    if world.optima:
        reached = meis_reach(models, truth, world) / np.array(world.optima)
    rows = []
    for i, model in enumerate(models):
        held_out = fitted.predictions["model"][:, i]
        rows.append(
            {
                "kind": truth["kind"].iloc[i],
                "cc": np.corrcoef(held_out, recorded.means[:, i])[0, 1],
                "fresh": np.corrcoef(model.predict(world.fresh), world.rates[:, i])[0, 1],
                "mei": reached[i],
            }
        )
    return pd.DataFrame(rows)


def meis_reach(models: list[NeuronModel], truth: pd.DataFrame, world: World) -> NDArray[np.float64]:
    """True response of every neuron to the MEI of its model."""
    geometry = world.geometry
    noise = noise_starts(4, geometry, 1.0, world.mean, world.contrast, 0)
    made = most_exciting_of_each(
        PairedModel(models), len(models), noise, geometry, world.mean, world.contrast
    )
    best = made.images[np.arange(len(models)), made.scores.argmax(1)]
    pairs = enumerate(best)
    return np.array([drives_to(truth.iloc[[i]], geometry, mei[None])[0, 0] for i, mei in pairs])


@dataclass(frozen=True)
class World:
    """Fresh images with the true rates, and the optimum of every neuron (or none of them)."""

    geometry: Geometry
    mean: float
    contrast: float
    fresh: NDArray[np.float32]
    rates: NDArray[np.float64]
    optima: list[float]

    @classmethod
    def of(cls, config: Config, recorded: Recorded, truth: pd.DataFrame, mei_too: bool) -> World:
        geometry, mei = config.image.geometry, config.mei
        images = recorded.images
        usual = float(images.std(axis=(1, 2)).mean())
        mean, contrast = contrast_targets(mei.mean, mei.contrast, float(images.mean()), usual)
        rng = np.random.default_rng([config.seed, 99])
        sizes = config.session.simulation
        shape = sizes.frame_height, sizes.frame_width
        drawn = np.stack([dead_leaves(shape, rng) for _ in track(range(FRESH), "fresh scenes")])
        display = resize(drawn / 255.0, DISPLAY.shape).astype(float)
        rates = true_drive(render_filters(truth, DISPLAY), display.reshape(FRESH, -1))
        none = np.empty((0, *geometry.shape))
        optima = [
            true_optimum(truth.iloc[[i]], geometry, mean, contrast, none, config.seed)[1]
            for i in track(range(len(truth) if mei_too else 0), "true optima", len(truth))
        ]
        return cls(geometry, mean, contrast, resize(display, geometry.shape), rates, optima)


@log_to_stderr()
def main() -> None:
    """Print the mean scores by condition, and by kind for all scenes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--scenes", type=int, nargs="*", default=[40, 118])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--movie-images", type=int, default=Model().movie_images)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--stimuli", nargs="*", help="some of the conditions; default all")
    parser.add_argument("--quick", action="store_true", help="two base models, and no MEIs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="scores of every neuron")
    options = parser.parse_args()
    torch.set_num_threads(1)
    simulation = {
        "statistics": "ideal",
        "mean_rate_hz": 4.0,
        "units": {"VISam": options.units},
        "kinds": KINDS,
        "failing_fraction": 0.0,
        "untuned_fraction": 0.0,
        "repeats": options.trials,
        "gabor_repeats": 15,
        "grating_repeats": 15,
        "drifting_repeats": 15,
        "movie_repeats": {"natural_movie_one": 20, "natural_movie_three": 10},
    }
    session = {"simulation": simulation, "movies": CANDIDATES}
    model = {"movie_images": options.movie_images} | (QUICK if options.quick else {})
    config = parse_config({"seed": options.seed, "session": session, "model": model})
    with tempfile.TemporaryDirectory() as folder:
        whole, truth = record(config, Path(folder))
    world = World.of(config, whole, truth, not options.quick)
    numbers = [effective_number(stack) for stack in (whole.images, whole.movie_images)]
    print(
        f"effective number of images: {numbers[0]:.0f} of {len(whole.images)} scenes, "
        f"{numbers[1]:.0f} of {len(whole.movie_images)} bins of movie frames"
    )
    tables = []
    for number in options.scenes:
        recorded, usual = whole.of_scenes(number, options.seed), 0.0
        every = conditions(recorded, config)
        for name in options.stimuli or every:
            extra, movies, drifting = every[name]()
            began = time.process_time()
            fitted = fit_all(
                recorded.images,
                recorded.means,
                np.ones(number),
                config.image.geometry,
                config.model,
                options.seed,
                options.threads,
                None,
                extra,
                movies,
                drifting=drifting,
            )
            took = time.process_time() - began
            usual = usual or took
            scores = judge(fitted, recorded, truth, world)
            tables.append(scores.assign(scenes=number, stimuli=name, cpu=took / usual))
            print(f"{number} scenes, {name}: {scores.mean(numeric_only=True).round(3).to_dict()}")
    found = pd.concat(tables)
    print(found.groupby(["scenes", "stimuli"], sort=False).mean(numeric_only=True).round(3))
    for score in ("fresh",) if options.quick else ("fresh", "mei"):
        print(score)
        by = ["kind", "scenes"]
        print(found.pivot_table(score, by, "stimuli", sort=False).round(3).to_string())
    if options.csv:
        found.to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
