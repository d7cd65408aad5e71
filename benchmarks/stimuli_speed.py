"""Speed of the stimulus optimiser, compared with openretina's and for many neurons at once.

``python -m benchmarks.stimuli_speed`` installs openretina from the package registry into a separate
virtual environment (``--environment``; a few minutes and the size of PyTorch, once) and prints

1. time per step for one image, for openretina's loop and ours, with the same model, start, Adam,
   objective, penalty, norm and clipping, after a check that both end with the same stimulus;
2. images per second for 64 neurons, openretina's loop and ours one at a time, and ours in a batch;
3. steps until 95 % of the response to the returned stimulus: Adam in both loops, our default, the
   notebook's algorithm and that of Walker et al., on the same models;
4. with ``--results results/demo``: our default for the models of a finished run, one at a time and
   as one batch of 64 (`PairedModel`).

The models are those of `benchmarks.openretina_loop`: an LN population (one matrix product, and most
of the time is spent in the loop) and a small convolutional one (most of it in the model). Each loop
runs in a separate process, one waiting while the other works; blocks alternate and ratios are
medians of the blocks' ratios. Time per step is that of a whole run divided by its steps, including
our two extra calls of the model, for the last stimulus and for the score.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from benchmarks import openretina_loop
from benchmarks.openretina_loop import MODELS, NEURONS, SHAPE, build
from torch import Tensor, nn

from meiflow.images.geometry import Geometry
from meiflow.images.projection import project
from meiflow.models.archive import ModelArchive
from meiflow.models.population import PairedModel
from meiflow.progress import log_to_stderr, logger
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.stimuli import most_exciting, noise_starts, notebook_mei, walker_mei
from meiflow.stimuli.optimiser import Optimised

VERSION = "1.1.1"
# Imports of its optimisation; the whole of openretina needs dashboards and video libraries.
NEEDS = (f"torch=={torch.__version__.split('+')[0]}", "numpy", "einops", "jaxtyping")
CACHE = Path("~/.cache/meiflow-benchmarks/openretina").expanduser()
GEOMETRY = Geometry(*SHAPE)
MEAN, CONTRAST, EXPONENT = 0.5, 0.1, 1.0
SAME = 1e-4
ONE_IMAGE_STEPS = {"LN": 300, "convolutional": 60}
MANY_STEPS = {"LN": 30, "convolutional": 10}
ADAM_STEPS = 300
REACHED = 0.95
CHOSEN = list(range(8))
PAIRED_STEPS = 20


def environment(folder: Path) -> Path:
    """Python of a virtual environment with openretina, created if it is missing."""
    python = folder / "bin" / "python"
    check = [python, "-c", "import openretina.insilico.stimulus_optimization"]
    if not python.exists() or subprocess.run(check, capture_output=True, check=False).returncode:
        logger.info(f"installing openretina {VERSION} into {folder}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *NEEDS], check=True)
        subprocess.run([*pip, "--no-deps", f"openretina=={VERSION}"], check=True)
        subprocess.run(check, check=True)
    return python


class Worker:
    """One loop in a separate process, which waits for requests."""

    def __init__(self, python: Path, name: str, folder: Path) -> None:
        self._path = folder / f"{name}.pt"
        command = [str(python), openretina_loop.__file__, name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(
        self,
        model: str,
        neurons: list[int],
        steps: int,
        *,
        together: bool = False,
        frozen: bool = True,
        trace: bool = False,
        threads: int = 1,
    ) -> dict[str, Any]:
        """Optimise; see `benchmarks.openretina_loop.serve`. The answer also has ``stimuli``."""
        request = {
            "model": model,
            "neurons": neurons,
            "steps": steps,
            "together": together,
            "frozen": frozen,
            "trace": trace,
            "threads": threads,
            "path": str(self._path),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("a worker has ended; see its message above")
        return json.loads(answer) | {"stimuli": torch.load(self._path)}

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def rounds_of(n: int, *jobs: Callable[[], dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Answers of each job in `n` rounds, every other one in reverse order."""
    answers: list[list[dict[str, Any]]] = [[] for _ in jobs]
    for turn in range(n):
        order = range(len(jobs)) if turn % 2 == 0 else reversed(range(len(jobs)))
        for i in order:
            answers[i].append(jobs[i]())
    return answers


def seconds(answers: list[dict[str, Any]]) -> np.ndarray:
    return np.array([answer["seconds"] for answer in answers])


def parity(theirs: Worker, ours: Worker, steps: int = 50) -> pd.DataFrame:
    """Largest difference between the stimuli of both loops, at the best step of ours.

    Raises
    ------
    RuntimeError
        If it is above 1e-4.
    """
    rows = []
    for model in MODELS:
        for neuron in (0, 1):
            own = ours.ask(model, [neuron], steps)
            (best,) = own["found_at"]
            other = theirs.ask(model, [neuron], best)
            off = float((own["stimuli"] - other["stimuli"]).abs().max())
            if not off <= SAME:
                raise RuntimeError(f"{model}, neuron {neuron}: stimuli differ by {off:.2g}")
            rows.append(
                {"model": model, "neuron": neuron, "steps": best, "largest difference": off}
            )
    return pd.DataFrame(rows)


def one_image(theirs: Worker, ours: Worker, rounds: int) -> pd.DataFrame:
    """Time per step for one image, with trainable and with frozen parameters."""
    rows = []
    for model, steps in ONE_IMAGE_STEPS.items():
        for frozen in (True, False):
            answers = rounds_of(
                rounds,
                lambda m=model, s=steps, f=frozen: theirs.ask(m, [0], s, frozen=f),
                lambda m=model, s=steps, f=frozen: ours.ask(m, [0], s, frozen=f),
            )
            a, b = (1000 * seconds(part) / steps for part in answers)
            rows.append(
                {
                    "model": model,
                    "parameters": "frozen" if frozen else "trainable",
                    "openretina, ms": np.median(a),
                    "ours, ms": np.median(b),
                    "ours / openretina": np.median(b / a),
                    "lowest": (b / a).min(),
                    "highest": (b / a).max(),
                    "calls": f"{answers[0][0]['calls']:.0f}, {answers[1][0]['calls']:.0f}",
                }
            )
    return pd.DataFrame(rows)


def many_neurons(theirs: Worker, ours: Worker, rounds: int) -> pd.DataFrame:
    """Optimisation steps of single images per second, for 64 neurons."""
    neurons = list(range(NEURONS))
    rows = []
    for model, steps in MANY_STEPS.items():
        for threads in (1, 2):
            common: dict[str, Any] = {"model": model, "neurons": neurons, "steps": steps}
            common["threads"] = threads
            answers = rounds_of(
                rounds,
                lambda c=common: theirs.ask(**c),
                lambda c=common: ours.ask(**c),
                lambda c=common: ours.ask(together=True, **c),
            )
            a, b, c = (seconds(part) for part in answers)
            alone, batch = (part[0]["stimuli"] for part in answers[1:])
            each = steps * NEURONS
            rows.append(
                {
                    "model": model,
                    "threads": threads,
                    "openretina /s": np.median(each / a),
                    "ours alone /s": np.median(each / b),
                    "ours in a batch /s": np.median(each / c),
                    "batch / openretina": np.median(a / c),
                    "batch / ours alone": np.median(b / c),
                    "largest difference": float((alone - batch).abs().max()),
                }
            )
    return pd.DataFrame(rows)


class OfLuminance(nn.Module):
    """One neuron of a population that takes contrast, for images in [0, 1]."""

    def __init__(self, model: nn.Module, neuron: int) -> None:
        super().__init__()
        self.model, self.neuron = model, neuron

    def forward(self, images: Tensor) -> Tensor:
        """Responses (batch,)."""
        return self.model(images.reshape(-1, 1, *SHAPE) - MEAN)[:, 0, self.neuron]


def steps_needed(theirs: Worker, ours: Worker) -> pd.DataFrame:
    """Steps until each algorithm reaches 95 % of the response to the stimulus it returns."""
    images = noise_starts(50, GEOMETRY, EXPONENT, MEAN, 2 * CONTRAST, 1).numpy()

    def default(model: nn.Module, seed: int) -> Optimised:
        start = noise_starts(1, GEOMETRY, EXPONENT, MEAN, CONTRAST, seed)
        return most_exciting(model, start, GEOMETRY, MEAN, CONTRAST)

    algorithms = {
        "ours, default": default,
        "notebook": lambda model, seed: notebook_mei(model, GEOMETRY, images, seed),
        "Walker et al.": lambda model, seed: walker_mei(model, GEOMETRY, images, seed),
    }
    rows = []
    for name in MODELS:
        population = build(name, frozen=True)
        views = [OfLuminance(population, neuron) for neuron in CHOSEN]

        def row(
            algorithm: str, stimuli: Tensor, traces: list, name: str = name, views: list = views
        ) -> dict[str, Any]:
            with torch.no_grad():
                final = [float(v(s[None])) for v, s in zip(views, stimuli, strict=True)]
                fair = project(stimuli, MEAN, CONTRAST)
                equal = [float(v(s[None])) for v, s in zip(views, fair, strict=True)]
            needed = [
                int(np.argmax(np.array([*trace, f]) >= REACHED * f))
                for trace, f in zip(traces, final, strict=True)
            ]
            return {
                "model": name,
                "algorithm": algorithm,
                "steps to 95 %": int(np.median(needed)),
                "maximum": max(needed),
                "steps run": len(traces[0]) - (algorithm != "openretina, Adam"),
                "response": np.median(final),
                "RMS contrast": float(stimuli.flatten(1).std(1, correction=0).median()),
                f"response at {CONTRAST}": np.median(equal),
            }

        for label, worker in (("openretina, Adam", theirs), ("ours, Adam", ours)):
            found = worker.ask(name, CHOSEN, ADAM_STEPS, trace=True)
            rows.append(row(label, found["stimuli"][:, 0] + MEAN, found["responses"]))
        for label, algorithm in algorithms.items():
            with redirect_stderr(StringIO()):  # their progress
                results = [algorithm(view, seed) for seed, view in enumerate(views)]
            traces = [result.trace.objective[:, 0] for result in results]
            stimuli = torch.cat([result.stimuli.reshape(1, *SHAPE) for result in results])
            rows.append(row(label, stimuli, traces))
    return pd.DataFrame(rows)


def paired(results: Layout, rounds: int) -> pd.DataFrame:
    """Speed of our default for fitted models, one at a time and in one batch."""
    neurons, archive = (
        fitted_neurons(results.fitted_neurons),
        ModelArchive(results.models, GEOMETRY),
    )
    # the models are repeated until there are 64
    models = [
        archive.model(neurons[i % len(neurons)]).requires_grad_(False) for i in range(NEURONS)
    ]
    together = PairedModel(models)
    starts = noise_starts(NEURONS, GEOMETRY, EXPONENT, MEAN, CONTRAST, 0)

    def timed(work: Callable[[], Tensor]) -> dict[str, Any]:
        began = time.perf_counter()
        stimuli = work()
        return {"seconds": time.perf_counter() - began, "stimuli": stimuli}

    def run(model: nn.Module, start: Tensor) -> Tensor:
        return most_exciting(model, start, GEOMETRY, MEAN, CONTRAST, PAIRED_STEPS).stimuli

    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        run(together, starts)
        alone, batch = rounds_of(
            rounds,
            lambda: timed(
                lambda: torch.cat([run(m, starts[i : i + 1]) for i, m in enumerate(models)])
            ),
            lambda: timed(lambda: run(together, starts)),
        )
        a, b = seconds(alone), seconds(batch)
        off = (alone[0]["stimuli"] - batch[0]["stimuli"]).abs().max()
        each = NEURONS * PAIRED_STEPS
        rows.append(
            {
                "models": len(neurons),
                "threads": threads,
                "alone /s": np.median(each / a),
                "in a batch /s": np.median(each / b),
                "batch / alone": np.median(a / b),
                "largest difference": float(off),
            }
        )
    torch.set_num_threads(1)
    return pd.DataFrame(rows)


def show(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"), flush=True)


@log_to_stderr()
def main() -> dict[str, pd.DataFrame]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment", type=Path, default=CACHE, help="openretina's, see above")
    parser.add_argument("--results", type=Path, help="of a finished run")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    python = environment(arguments.environment)
    few = max(arguments.rounds // 3, 1)
    tables: dict[str, pd.DataFrame] = {}
    with tempfile.TemporaryDirectory() as name:
        theirs = Worker(python, "openretina", Path(name))
        ours = Worker(Path(sys.executable), "meiflow", Path(name))
        busy = os.getloadavg()[0]
        for title, table in (
            ("same stimulus, openretina and ours", lambda: parity(theirs, ours)),
            ("one image, per step, 1 thread", lambda: one_image(theirs, ours, arguments.rounds)),
            (f"{NEURONS} neurons, steps per second", lambda: many_neurons(theirs, ours, few)),
            (f"{len(CHOSEN)} neurons, medians", lambda: steps_needed(theirs, ours)),
        ):
            tables[title] = table()
            show(title, tables[title])
        theirs.close()
        ours.close()
    if arguments.results:
        title = "our default, fitted models, steps per second"
        tables[title] = paired(Layout(arguments.results), few)
        show(title, tables[title])
    print(
        f"\n{os.cpu_count()} processors, load {busy:.1f} before, {os.getloadavg()[0]:.1f} after; "
        "on a busy machine the times of two threads are unreliable"
    )
    return tables


if __name__ == "__main__":
    main()
