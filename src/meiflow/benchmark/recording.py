"""Recordings of the benchmark: nested subsets of the same neurons, images and trials."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.benchmark.design import MOST_IMAGES, MOST_REPEATS, TUNED, UNTUNED, Cell
from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.images.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG
from meiflow.io.files import write_array, write_csv
from meiflow.progress import track
from meiflow.session.schedule import gabor_conditions
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.rates import DISPLAY, formula_rates, gabor_rates, image_rates
from meiflow.simulation.spikes import running_speed, shared_gain
from meiflow.simulation.truth import calibrate_gain, draw_neurons

_WINDOW_S = 0.25
_FIRST_BLOCK = 118
_GABOR_REPEATS = 15
_MEAN_RATE_HZ = 4.0


@dataclass(frozen=True)
class BenchmarkSession:
    """Neurons and images of a seed, from which all cells of the session are recorded.

    A recording with fewer images or repeats is a subset of a larger one: the same trials with the
    same spikes. Trials of the first 118 images are in random order, so that slow gain affects all
    of them equally; those of additional images follow, also in random order.
    """

    seed: int

    def _rng(self, *keys: int) -> np.random.Generator:
        return np.random.default_rng([20_261, self.seed, *keys])

    def frames(self, first: int, last: int) -> NDArray[np.float32]:
        """Images (last - first, height, width) on the display, with luminance in [0, 1]."""
        numbers = track(range(first, last), "drawing images", last - first)
        drawn = [dead_leaves(DISPLAY.shape, self._rng(0, i)) for i in numbers]
        return (np.stack(drawn) / 255).astype(np.float32)

    @cached_property
    def blocks(self) -> list[NDArray[np.float32]]:
        """Images of the two blocks; the second block is drawn only when needed."""
        return [self.frames(0, _FIRST_BLOCK)]

    @cached_property
    def neurons(self) -> pd.DataFrame:
        """Ground truth, one row per neuron, indexed by name."""
        names = [*TUNED, *(f"untuned_{i + 1}" for i in range(UNTUNED))]
        kinds = [*TUNED, *["untuned"] * UNTUNED]
        rng = self._rng(1)
        drawn = draw_neurons(kinds, rng, DISPLAY)
        wanted = _MEAN_RATE_HZ * np.exp(rng.normal(0, 0.5, len(drawn)))
        truth = calibrate_gain(drawn, self.blocks[0], DISPLAY, wanted)
        return truth.set_axis(pd.Index(names, name="neuron_id"), axis=0)

    def _counts(self, rates: NDArray, noise: float, key: int) -> NDArray[np.int64]:
        """Poisson counts of consecutive trials with rates (trials, neurons) times gain."""
        rng = self._rng(2, key)
        times, speed = running_speed(len(rates) * _WINDOW_S + 1, rng)
        log = shared_gain(times, speed, noise, rng)
        coupling = rng.uniform(0.5, 1.5, rates.shape[1])
        each = np.interp(_WINDOW_S * np.arange(len(rates)), times, log)[:, None] * coupling
        # as in the simulated session, the gain is one on average
        gain = np.exp(each - (coupling * noise) ** 2 / 2)
        return rng.poisson(rates * gain * _WINDOW_S)

    def images(self, number: int) -> NDArray[np.float32]:
        """The first images of the session."""
        if number > _FIRST_BLOCK and len(self.blocks) == 1:
            self.blocks.append(self.frames(_FIRST_BLOCK, MOST_IMAGES))
        return np.concatenate(self.blocks)[:number]

    def trials(self, cell: Cell) -> pd.DataFrame:
        """The image trials of a cell as ``session.trials``; the blank is image -1."""
        shown = self.images(cell.images)
        starts = [0, _FIRST_BLOCK] if cell.images > _FIRST_BLOCK else [0]
        tables = []
        for block, start in enumerate(starts):
            rates = image_rates(formula_rates(self.neurons), self.blocks[block])
            ids = start + np.arange(len(rates)) - 1
            if block:  # the blank belongs to the first block
                rates, ids = rates[1:], ids[1:]
            order = self._rng(1, block).permutation(len(ids) * MOST_REPEATS)
            which, repeat = np.divmod(order, MOST_REPEATS)
            counts = self._counts(rates[which], cell.noise, block)
            kept = np.flatnonzero((ids[which] < len(shown)) & (repeat < cell.repeats))
            trial_ids = kept + (_FIRST_BLOCK + 1) * MOST_REPEATS * block
            tables.append(self._long(trial_ids, counts[kept], {"image_id": ids[which[kept]]}))
        return pd.concat(tables, ignore_index=True)

    def gabors(self, noise: float) -> pd.DataFrame:
        """Gabor trials as ``session.gabors``."""
        conditions = gabor_conditions()
        rates = gabor_rates(formula_rates(self.neurons))
        shown = self._rng(3).permutation(np.repeat(np.arange(len(conditions)), _GABOR_REPEATS))
        counts = self._counts(rates[shown], noise, 2)
        columns = {name: conditions[name].to_numpy()[shown] for name in conditions}
        return self._long(np.arange(len(shown)), counts, columns)

    def _long(
        self, trial_ids: NDArray, counts: NDArray, columns: dict[str, NDArray]
    ) -> pd.DataFrame:
        names = self.neurons.index.to_numpy()
        table = {
            "trial_id": np.repeat(trial_ids, len(names)),
            "neuron_id": np.tile(names, len(trial_ids)),
            "spike_count": counts.ravel(),
        }
        return pd.DataFrame(
            table | {name: np.repeat(values, len(names)) for name, values in columns.items()}
        )

    def config(self, session: dict[str, str]) -> Config:
        """The default configuration, except for the session, its seed and the mean luminance.

        The mean is that of the first images, so that all cells share the same optimum.
        """
        mean = round(float(self.blocks[0].mean()), 3)
        angle = {"width_deg": ALLEN_WIDTH_DEG, "height_deg": ALLEN_HEIGHT_DEG}
        return parse_config(
            {"session": session, "image": angle, "mei": {"mean": mean}, "seed": self.seed}
        )

    def record(self, cell: Cell, folder: Path) -> tuple[Config, Path]:
        """Write the recording of a cell as tables; return configuration and image stack."""
        stack = folder / "frames.npy"
        write_array(self.images(cell.images), stack)
        write_csv(self.trials(cell), folder / "trials.csv")
        write_csv(self.gabors(cell.noise), folder / "gabors.csv")
        session = {
            "source": "tables",
            "id": cell.name,
            "images": str(stack),
            "trials": str(folder / "trials.csv"),
            "gabors": str(folder / "gabors.csv"),
        }
        return self.config(session), stack
