"""Closed loop on neurons of a published network of mouse V1, judged by another network.

    python -m benchmarks.twin_loop FOLDER SCENES [--members v1 v1_window] [--prior session]
        [--stimuli scenes gratings movies all gabors drifting everything] [--scores]

FOLDER holds v1_surround_1.tar and v1_surround_2.tar, two networks of the same 6,869 neurons, and
SCENES the pictures ns_000.png to ns_117.png of the Allen natural scenes; neither is part of the
repository. The first network draws the spike counts: Poisson, a shared gain with a standard
deviation of 0.2, on average one spike per presentation. Models are fitted to these, their stimuli
are made at the same mean and contrast, and the second network, which shares no weights with the
first, judges them: drive above grey, as a fraction of the best image for that network. ``first``
is the MEI of the first network itself, the most that can be expected. Neurons on which the networks
agree (correlation over the scenes at least 0.7) are drawn at random.

With ``--stimuli`` the same neurons also see 96 static gratings (50 times) or two movies of dead
leaves (20 and 10 passes, bins of 8 frames; the networks are static, and answer to each bin as to a
picture), to which the models are fitted as well; ``all`` means both. ``gabors`` are 243 drifting
Gabors, ``drifting`` are 40 drifting gratings (15 times each, mean response over phases), and
``everything`` adds these to ``all``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.recorded_neurons import picture
from numpy.typing import NDArray

import meiflow as mf
from meiflow.config.sections import Gabor, Model, StimulusParameters
from meiflow.config.simulation import NetworkInput
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_drifting
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.fitting import as_population, fit_population
from meiflow.models.movie_stimuli import MovieStimuli, thin_movies
from meiflow.models.published_neurons import PublishedNeurons
from meiflow.models.table import Scorer
from meiflow.progress import log_to_stderr
from meiflow.selection.activity import column_correlations
from meiflow.session.images import resize
from meiflow.session.presented import drifting_images, gabor_images, grating_images
from meiflow.session.schedule import (
    DRIFT_PHASES,
    DRIFTING_S,
    PRESENTATION_S,
    drifting_conditions,
    gabor_conditions,
    grating_conditions,
)
from meiflow.simulation.movies import draw_movie
from meiflow.simulation.published import AGREEMENT
from meiflow.stimuli.gabor_search import best_gabors
from meiflow.tables.arrays import as_trials
from meiflow.validation.published_loop import published_drives, published_optima

# The networks' own pixels.
SCREEN = Geometry(36, 64, 64 * 1.9, 36 * 1.9)
MEAN, CONTRAST = 0.45, 0.05
GAIN_SD = 0.2
CHOICES = ("scenes", "gratings", "movies", "all", "gabors", "drifting", "everything")


@dataclass(frozen=True)
class Recording:
    """Counts that a twin draws for pictures."""

    twin: PublishedNeurons
    scale: NDArray[np.float64]
    rng: np.random.Generator

    def counts(self, images: NDArray, repeats: int) -> NDArray[np.int64]:
        """Counts, shape (repeats, images, neurons); all neurons share a gain in each trial."""
        return self._drawn(self.twin.responses(images) / self.scale, repeats)

    def _drawn(self, rates: NDArray, repeats: int) -> NDArray[np.int64]:
        gain = np.exp(GAIN_SD * self.rng.standard_normal((repeats, len(rates), 1)))
        return self.rng.poisson(gain * rates)

    def gratings(self, repeats: int) -> AuxiliaryStimuli:
        """Responses to the static gratings that the networks' pixels resolve."""
        shown = grating_conditions().query("spatial_frequency < 0.2")
        images = grating_images(SCREEN, shown, StimulusParameters())
        means = self.counts(images, repeats).mean(axis=0)
        return AuxiliaryStimuli(images, means, np.ones(len(images)))

    def drifting(self, kind: str, scene_repeats: int) -> list[DriftingStimuli]:
        """Responses to drifting Gabors, or to drifting gratings that are shown for 2 s."""
        shown = StimulusParameters()
        if kind == "gabors":
            conditions, duration = gabor_conditions(), 1.0
            draw = partial(gabor_images, SCREEN, conditions, shown)
        else:
            conditions, duration = drifting_conditions(), DRIFTING_S / PRESENTATION_S
            draw = partial(drifting_images, SCREEN, conditions["orientation"], shown)
        each = [self.twin.responses(draw(phase)) for phase in DRIFT_PHASES]
        rates = duration * np.mean(each, axis=0, dtype=float) / self.scale
        names = [f"u{i}" for i in range(rates.shape[1])]
        means = pd.DataFrame(self._drawn(rates, 15).mean(axis=0), columns=names)
        table = pd.concat([conditions.assign(repeats=15), means], axis=1)
        return gather_drifting({kind: table}, SCREEN, shown, scene_repeats, names)

    def movies(self, scenes: NDArray, repeats: int) -> MovieStimuli:
        """Responses to movies of 900 and 3600 frames."""
        parts = [self._movie(900, 20), self._movie(3600, 10)]
        images, means, passes = (np.concatenate(part) for part in zip(*parts, strict=True))
        return thin_movies(images, means, passes, scenes, repeats, Model().movie_images)

    def _movie(self, frames: int, passes: int) -> tuple[NDArray, NDArray, NDArray]:
        bins = draw_movie(frames, self.rng)[: frames // 8 * 8].reshape(-1, 8, 152, 304)
        # the part of a movie (198 by 112 degrees) that fills the networks' screen
        seen = bins.mean(axis=1)[:, 29:-29, 58:-58] / 255
        images = resize(seen, SCREEN.shape)
        return images, self.counts(images, passes).mean(axis=0), np.full(len(images), passes)


@log_to_stderr()
def main() -> None:
    """Print the mean fraction of the optimum of each stimulus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--neurons", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--members", nargs="*", default=Model().members)
    parser.add_argument("--prior", choices=["equal", "session"], default=Model().stacking_prior)
    parser.add_argument("--stimuli", nargs="*", default=["scenes"], choices=CHOICES)
    parser.add_argument("--scores", action="store_true", help="only the models' CC_norm, no MEIs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    scenes = np.stack([picture(options.scenes / f"ns_{i:03d}.png", SCREEN) for i in range(118)])
    first, second = (
        PublishedNeurons(options.folder / f"v1_surround_{i}.tar", SCREEN, NetworkInput()).eval()
        for i in (1, 2)
    )
    rates, judged = (network.responses(scenes) for network in (first, second))
    agreed = np.flatnonzero(column_correlations(rates, judged) > AGREEMENT)
    chosen = np.sort(rng.permutation(agreed)[: options.neurons])
    first, second = first.of(chosen), second.of(chosen)
    recording = Recording(first, rates[:, chosen].mean(axis=0), rng)
    counts = recording.counts(scenes, options.repeats)
    gratings = recording.gratings(options.repeats)
    movies = recording.movies(scenes, options.repeats)
    gabors = recording.drifting("gabors", options.repeats)
    moving = recording.drifting("drifting_gratings", options.repeats)
    made = {}
    for name in options.stimuli:
        added = (
            gratings if name in ("gratings", "all", "everything") else None,
            movies if name in ("movies", "all", "everything") else None,
            [
                *(gabors if name in ("gabors", "everything") else []),
                *(moving if name in ("drifting", "everything") else []),
            ],
        )
        made[name] = stimuli_of(scenes, counts, added, options)
    if options.scores:
        scores = pd.DataFrame({name: cc_norm for name, (_, cc_norm) in made.items()})
        print(scores.round(2).to_string())
        print(scores.agg(["mean", "median", "sem"]).round(3).to_string())
        return
    own = published_optima(first, MEAN, CONTRAST, options.seed)
    natural = project_array(scenes, MEAN, CONTRAST)[counts.mean(axis=0).argmax(axis=0)]
    fixed = {"best_natural": natural, "first": own}
    optima = {"optimum": published_optima(second, MEAN, CONTRAST, options.seed)}
    every = [optima, fixed, *(stimuli for stimuli, _ in made.values())]
    stack = np.stack([images for stimuli in every for images in stimuli.values()], axis=1)
    best = published_drives(second, stack, MEAN).max(axis=1)
    for name, (stimuli, cc_norm) in made.items():
        shown = stimuli | fixed
        drives = published_drives(second, np.stack([*shown.values()], axis=1), MEAN)
        fractions = dict(zip(shown, drives.T / best, strict=True))
        table = pd.DataFrame(fractions).assign(cc_norm=cc_norm)
        print(f"models fitted to {name}")
        print(table.round(2).to_string())
        print(table.agg(["mean", "median", "sem"]).round(3).to_string())
        print(
            f"MEIs of at least 0.8: {(table['mei'] >= 0.8).mean():.2f} of {len(table)}; above the "
            f"best natural image {(table['mei'] > table['best_natural']).mean():.2f}, above the "
            f"best Gabor {(table['mei'] > table['best_gabor']).mean():.2f}"
        )


def stimuli_of(
    scenes: NDArray,
    counts: NDArray,
    added: tuple[AuxiliaryStimuli | None, MovieStimuli | None, list[DriftingStimuli]],
    options: argparse.Namespace,
) -> tuple[dict[str, NDArray], NDArray]:
    """MEI and best Gabor of every neuron by the models of the counts, and the models' CC_norm."""
    config = Model(base_models=options.members, stacking_prior=options.prior)
    trials = as_trials(counts, np.arange(len(scenes)), None, None)
    extra, movies, drifting = added
    found = fit_population(
        scenes, counts.mean(axis=0), trials.neuron_ids, Scorer.of(trials, options.seed), SCREEN,
        config, options.seed, options.threads, None, extra, movies, drifting=drifting,
    )  # fmt: skip
    population = as_population(found, SCREEN, np.arange(len(scenes)), float(scenes.mean()))
    scores = found.scores.pivot(index="neuron_id", columns="model", values="cc_norm")
    cc_norm = scores.loc[trials.neuron_ids, "model"].to_numpy()
    if options.scores:
        return {}, cc_norm
    gabors = best_gabors(population.models, SCREEN, MEAN, CONTRAST, Gabor(), options.threads)
    stimuli = {
        "mei": mf.mei(population, mean=MEAN, contrast=CONTRAST).values.astype(np.float32),
        "best_gabor": np.stack([gabor.image for gabor in gabors]),
    }
    return stimuli, cc_norm


if __name__ == "__main__":
    main()
