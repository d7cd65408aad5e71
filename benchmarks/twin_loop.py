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
from torch import Tensor, nn
from torch.nn.functional import elu, grid_sample

import meiflow as mf
from meiflow.config.model import CoreInput
from meiflow.config.sections import Gabor, Model, StimulusParameters
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.models.auxiliary import AuxiliaryStimuli, gather_drifting
from meiflow.models.core_maps import CoreMaps
from meiflow.models.documents import read_document
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.fitting import as_population, fit_population
from meiflow.models.movie_stimuli import MovieStimuli, thin_movies
from meiflow.models.published_core import PublishedCore, read_core
from meiflow.models.table import Scorer
from meiflow.progress import log_to_stderr
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
from meiflow.stimuli import noise_starts
from meiflow.stimuli.gabor_search import best_gabors
from meiflow.stimuli.mei import most_exciting_of_each
from meiflow.tables.arrays import as_trials

# The networks' own pixels.
SCREEN = Geometry(36, 64, 64 * 1.9, 36 * 1.9)
SEEN = CoreInput(deg_per_px=1.9, mean=122 / 255, sd=54 / 255, layers=1)
MEAN, CONTRAST = 0.45, 0.05
GAIN_SD = 0.2
CHOICES = ("scenes", "gratings", "movies", "all", "gabors", "drifting", "everything")
# Of the ascents on the networks themselves, half a minute per neuron.
STARTS, STEPS = 4, 60


class Twin(nn.Module):
    """Some neurons of a published network: images (batch, height, width) to (batch, neurons)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = read_document(path)
        key = next(k for k in state if k.endswith("._mu"))[: -len("_mu")]
        layers = read_core(path)
        self.maps = CoreMaps(PublishedCore(layers, SEEN.layers), SCREEN, SEEN.deg_per_px, SEEN)
        # the first convolution is without padding: its positions exclude a margin
        self.margin = layers[0]["conv.weight"].shape[-1] // 2
        self.place = state[key + "_mu"][0, :, 0].clamp(-1, 1)
        self.weight, self.bias = state[key + "_features"][0, :, 0], state[key + "bias"]

    def of(self, neurons: NDArray) -> Twin:
        """The same network with these neurons only."""
        chosen = torch.as_tensor(neurons)
        self.place, self.bias = self.place[chosen], self.bias[chosen]
        self.weight = self.weight[:, chosen]
        return self

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps((images - 0.5).flatten(1)).transpose(1, 2).unflatten(2, SCREEN.shape)
        m = self.margin
        maps = maps[..., m:-m, m:-m]
        at = self.place[None, :, None].expand(len(maps), -1, 1, 2)
        sampled = grid_sample(maps, at, align_corners=True)[..., 0]
        return elu((sampled * self.weight).sum(1) + self.bias) + 1


class Paired(nn.Module):
    """Each neuron of a twin sees its own images, ordered by neuron."""

    def __init__(self, twin: Twin) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        n = self.twin.weight.shape[1]
        every = self.twin(images.reshape(-1, *SCREEN.shape)).unflatten(0, (n, -1))
        return torch.diagonal(every, dim1=0, dim2=2).T.flatten()


def optima(twin: Twin, starts: NDArray, seed: int) -> tuple[NDArray, NDArray]:
    """Best images (neurons, height, width) of each neuron, and their responses."""
    noise = noise_starts(STARTS, SCREEN, 1.0, MEAN, CONTRAST, seed)
    n = twin.weight.shape[1]
    own = torch.as_tensor(starts, dtype=torch.float32)
    found = most_exciting_of_each(Paired(twin), n, noise, SCREEN, MEAN, CONTRAST, STEPS)
    best = found.images[np.arange(n), found.scores.argmax(1)]
    with torch.no_grad():
        scores = [Paired(twin)(images).numpy() for images in (torch.as_tensor(best), *own)]
    return best, np.max(scores, axis=0)


@dataclass(frozen=True)
class Recording:
    """Counts that a twin draws for pictures."""

    twin: Twin
    scale: NDArray[np.float64]
    rng: np.random.Generator

    def counts(self, images: NDArray, repeats: int) -> NDArray[np.int64]:
        """Counts, shape (repeats, images, neurons); all neurons share a gain in each trial."""
        with torch.no_grad():
            rates = self.twin(torch.as_tensor(images)).numpy().astype(float) / self.scale
        return self._drawn(rates, repeats)

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
        with torch.no_grad():
            each = [self.twin(torch.as_tensor(draw(phase))).numpy() for phase in DRIFT_PHASES]
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
    parser.add_argument("--members", nargs="*", default=Model().base_models)
    parser.add_argument("--prior", choices=["equal", "session"], default=Model().stacking_prior)
    parser.add_argument("--stimuli", nargs="*", default=["scenes"], choices=CHOICES)
    parser.add_argument("--scores", action="store_true", help="only the models' CC_norm, no MEIs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    scenes = np.stack([picture(options.scenes / f"ns_{i:03d}.png", SCREEN) for i in range(118)])
    first, second = (Twin(options.folder / f"v1_surround_{i}.tar").eval() for i in (1, 2))
    with torch.no_grad():
        rates, judged = (t(torch.as_tensor(scenes)).numpy().astype(float) for t in (first, second))
    a, b = rates - rates.mean(0), judged - judged.mean(0)
    agreement = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
    chosen = np.sort(rng.permutation(np.flatnonzero(agreement > 0.7))[: options.neurons])
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
    own = optima(first, np.empty((0, len(chosen), *SCREEN.shape)), options.seed)[0]
    natural = project_array(scenes, MEAN, CONTRAST)[counts.mean(axis=0).argmax(axis=0)]
    fixed = {"best_natural": natural, "first": own}
    every = np.stack(
        [*fixed.values(), *(images for s, _ in made.values() for images in s.values())]
    )
    best = optima(second, every, options.seed)[1]
    with torch.no_grad():
        grey = second(torch.full((1, *SCREEN.shape), MEAN))[0].numpy()
    for name, (stimuli, cc_norm) in made.items():
        with torch.no_grad():
            fractions = {
                kind: (Paired(second)(torch.as_tensor(images)).numpy() - grey) / (best - grey)
                for kind, images in (stimuli | fixed).items()
            }
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
