"""Closed loop on neurons of a published network of mouse V1, judged by another network.

    python -m benchmarks.twin_loop FOLDER SCENES [--members v1 v1_window] [--prior session]

FOLDER holds v1_surround_1.tar and v1_surround_2.tar, two networks of the same 6,869 neurons, and
SCENES the pictures ns_000.png to ns_117.png of the Allen natural scenes; neither is part of the
repository. The first network draws the spike counts: Poisson, a shared gain with a standard
deviation of 0.2, on average one spike per presentation. Models are fitted to these, their stimuli
are made at the same mean and contrast, and the second network, which shares no weights with the
first, judges them: drive above grey, as a fraction of the best image for that network. ``first``
is the MEI of the first network itself, the most that can be expected. Neurons on which the networks
agree (correlation over the scenes at least 0.7) are drawn at random.
"""

from __future__ import annotations

import argparse
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
from meiflow.config.sections import Gabor, Model
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.models.core_maps import CoreMaps
from meiflow.models.documents import read_document
from meiflow.models.published_core import PublishedCore, read_core
from meiflow.progress import log_to_stderr
from meiflow.stimuli import noise_starts
from meiflow.stimuli.gabor_search import best_gabors
from meiflow.stimuli.mei import most_exciting_of_each

# The networks' own pixels.
SCREEN = Geometry(36, 64, 64 * 1.9, 36 * 1.9)
SEEN = CoreInput(deg_per_px=1.9, mean=122 / 255, sd=54 / 255, layers=1)
MEAN, CONTRAST = 0.45, 0.05
GAIN_SD = 0.2
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
    rates = rates[:, chosen] / rates[:, chosen].mean(axis=0)
    gain = np.exp(GAIN_SD * rng.standard_normal((options.repeats, len(scenes), 1)))
    counts = rng.poisson(gain * rates)
    population = mf.fit(
        scenes, counts, SCREEN, base_models=options.members, stacking_prior=options.prior,
        seed=options.seed, threads=options.threads,
    )  # fmt: skip
    models = [population[name] for name in population.neurons]
    shown = project_array(scenes, MEAN, CONTRAST)
    stimuli = {
        "mei": mf.mei(population, mean=MEAN, contrast=CONTRAST).values.astype(np.float32),
        "best_gabor": np.stack(
            [g.image for g in best_gabors(models, SCREEN, MEAN, CONTRAST, Gabor(), options.threads)]
        ),
        "best_natural": shown[counts.mean(axis=0).argmax(axis=0)],
    }
    starts = np.stack([*stimuli.values()])
    stimuli["first"] = optima(first, starts[:0], options.seed)[0]
    best = optima(second, np.stack([*stimuli.values()]), options.seed)[1]
    with torch.no_grad():
        grey = second(torch.full((1, *SCREEN.shape), MEAN))[0].numpy()
        fractions = {
            name: (Paired(second)(torch.as_tensor(images)).numpy() - grey) / (best - grey)
            for name, images in stimuli.items()
        }
    scores = population.score().pivot(index="neuron_id", columns="model", values="cc_norm")
    table = pd.DataFrame(fractions).assign(cc_norm=scores.loc[population.neurons, "model"].values)
    print(table.round(2).to_string())
    print(table.agg(["mean", "median"]).round(3).to_string())
    print(f"MEIs of at least 0.8: {(table['mei'] >= 0.8).mean():.2f} of {len(table)}")


if __name__ == "__main__":
    main()
