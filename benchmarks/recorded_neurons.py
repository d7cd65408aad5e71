"""Prediction of recorded neurons by every base model, the ensemble and baselines.

    python -m benchmarks.recorded_neurons FOLDER SCENES [--images 118 400] [--lag 0] [--csv FILE]
        [--members v1 v1_window core_window] [--core FILE] [--prior session] [--together] [--gain]
        [--stride 2] [--cells FILE]

FOLDER holds ``allen_2p/exp_*.npz`` (mouse V1, calcium; frame, max_dff) and ``v4_201025`` (macaque
V4, Cowley et al. 2023; responses and images); SCENES holds the pictures ns_000.png to ns_117.png of
the Allen natural scenes. Neither is part of the repository; what is missing is skipped.

Each experiment is fitted like a session, or all of them like one (``--together``), with nested
cross-validation and a shuffled control.
Scores of mouse neurons are CC_norm of neurons with a ceiling above 0.5; V4 responses are
means without single trials, and their scores are correlations. The interval is a bootstrap over
neurons. ``pls`` is the protocol of Nayebi et al. (2023): partial least squares with 25 components,
half of the images for training, here on the channels of the V1 front end at all positions.
``--gain`` fits mouse neurons to means at one state, with the gain that their population shares; the
scores are against the same plain means.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.cross_decomposition import PLSRegression

from meiflow.config.config import parse_config
from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.cross_validate import TrainingMeans, fit_all
from meiflow.models.folds import fold_stream, folds_of
from meiflow.models.front_end import FrontEnd
from meiflow.models.gain import TrialGain
from meiflow.models.nuisances import image_nuisances, nuisance_scores
from meiflow.models.table import Scorer, predicted_responses
from meiflow.models.window import WindowFitter
from meiflow.models.window_front_end import WindowFrontEnd
from meiflow.progress import log_to_stderr
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import signal_power

SCREEN = Geometry(60, 96)
# Degrees are unknown to the data set: the pictures cover the receptive fields and their surround.
V4_SCREEN = Geometry(56, 56, 70.0, 70.0)
RELIABLE = 0.5
COMPONENTS = 25


@dataclass(frozen=True)
class Recording:
    """Mean responses of neurons recorded together, and the images.

    Parameters
    ----------
    data, name : str
    images : ndarray, shape (images, height, width)
    means : ndarray, shape (images, neurons)
        Non-negative, in units of their standard deviation.
    signal : ndarray, shape (neurons,)
        Signal power in the same units; 1 if there are no single trials.
    reliable : ndarray of bool, shape (neurons,)
    screen : Geometry
    training_means : callable, optional
        Means at one state, given the training images, with ``--gain``.
    scorer : Scorer, optional
        Scorer for the single trials, if there are any.
    """

    data: str
    name: str
    images: NDArray[np.float32]
    means: NDArray[np.float64]
    signal: NDArray[np.float64]
    reliable: NDArray[np.bool_]
    screen: Geometry
    training_means: TrainingMeans | None = None
    scorer: Scorer | None = None


def picture(file: Any, screen: Geometry) -> NDArray[np.float32]:
    """Luminance of a picture, averaged over the pixels of a screen."""
    with Image.open(file) as picture:
        small = picture.convert("L").resize((screen.width, screen.height), Image.Resampling.BOX)
        return np.asarray(small, np.float32) / np.float32(255)


def mouse(folder: Path, scenes: Path, lag: int, gain: bool = False) -> Iterator[Recording]:
    """Calcium recordings of mouse V1: the response in the window `lag` trials after an image."""
    paths = sorted(folder.glob("allen_2p/exp_*.npz"))
    if not paths:
        return
    images = np.stack([picture(scenes / f"ns_{i:03d}.png", SCREEN) for i in range(118)])
    for path in paths:
        with np.load(path) as file:
            shown, response = file["frame"], file["max_dff"]
        shown, response = shown[: len(shown) - lag], response[:, lag:].T
        response = response / response.std(axis=0)
        nothing = np.empty((len(shown), 0))
        trials = TrialGain(response, shown, nothing, shared=True, noise="gaussian")
        response = response[shown >= 0]
        groups = TrialGroups.of(shown[shown >= 0])
        means = groups.means(response)
        spread = means.std(axis=0, ddof=1)
        power = signal_power(response / spread, groups)
        # far above the floor at which the models bend: dF/F may be negative
        average = means.mean(axis=0)
        means = 10 + (means - average) / spread
        at_one_state = partial(_scaled_means, trials, average, spread) if gain else None
        reliable = np.nan_to_num(power.cc_max) > RELIABLE
        scorer = Scorer(groups.repeats, power, 0)
        name = f"{path.stem.split('_')[-1]}, {path.stem.split('_')[1]}"
        yield Recording(
            "mouse V1", name, images, means, power.signal, reliable, SCREEN, at_one_state, scorer
        )


def _scaled_means(
    trials: TrialGain, average: NDArray, spread: NDArray, training: NDArray[np.int64]
) -> NDArray[np.float64]:
    return 10 + (trials.means(training) - average) / spread


def together(recordings: list[Recording]) -> Recording:
    """Neurons of recordings with the same images, as one population."""

    def training_means(training: NDArray[np.int64]) -> NDArray[np.float64]:
        own = [r.training_means(training) for r in recordings if r.training_means is not None]
        return np.concatenate(own, axis=1)

    return replace(
        recordings[0],
        name="together",
        means=np.concatenate([r.means for r in recordings], axis=1),
        signal=np.concatenate([r.signal for r in recordings]),
        reliable=np.concatenate([r.reliable for r in recordings]),
        training_means=training_means if recordings[0].training_means else None,
    )


def monkey(folder: Path, numbers: list[int], seed: int) -> Iterator[Recording]:
    """Macaque V4: random subsets of the images."""
    path = folder / "v4_201025" / "responses_avg_201025.npz"
    if not path.exists():
        return
    with np.load(path) as file:
        responses = file["responses"].T
    order = np.random.default_rng(seed).permutation(len(responses))
    with zipfile.ZipFile(path.with_name("images_201025.zip")) as pictures:
        for number in numbers:
            chosen = order[:number]
            images = []
            for i in chosen:
                with pictures.open(f"image{i + 1:04d}.jpg") as file:
                    images.append(picture(file, V4_SCREEN))
            means = responses[chosen]
            means = 10 + (means - means.mean(axis=0)) / means.std(axis=0, ddof=1)
            n = means.shape[1]
            name = f"{number} images"
            kept = np.ones(n), np.ones(n, bool)
            yield Recording("macaque V4", name, np.stack(images), means, *kept, V4_SCREEN)


def scores(recording: Recording, config: Model, seed: int, threads: int) -> pd.DataFrame:
    """Scores and stacking weights of every model of every reliable neuron."""
    n = len(recording.images)
    fitted = fit_all(
        recording.images,
        recording.means,
        np.ones(n),
        recording.screen,
        config,
        seed,
        threads,
        training_means=recording.training_means,
    )
    rows = []
    for model, predicted in fitted.predictions.items():
        if model == "mean":
            continue
        target = predicted_responses(model, recording.means, fitted.shuffled_means)
        score = normalised(predicted, target, recording.signal)
        index = fitted.members.index(model) if model in fitted.members else None
        weight = np.nan if index is None else fitted.weights[:, index]
        rows.append(pd.DataFrame({"model": model, "score": score, "weight": weight}))
    predicted, test = partial_least_squares(recording, config, seed)
    score = normalised(predicted, recording.means[test], recording.signal)
    rows.append(pd.DataFrame({"model": "pls", "score": score, "weight": np.nan}))
    whole = pd.concat(r.rename_axis("neuron").reset_index() for r in rows)
    whole = whole[recording.reliable[whole["neuron"]]]
    return whole.assign(data=recording.data, recording=recording.name)


def nuisances_of_recording(recording: Recording, config: Model) -> pd.DataFrame:
    """What luminance and contrast alone predict of each neuron, beside a model."""
    images, means = recording.images, recording.means
    assert recording.scorer is not None
    fitted = fit_all(images, means, np.ones(len(images)), recording.screen, config, 0, 1)
    folds = folds_of(images, (), config.folds, fold_stream(0))
    columns = range(means.shape[1])
    return nuisance_scores(
        image_nuisances(images), means, fitted.predictions["model"], folds, (), recording.scorer,
        columns, config.penalties, 0,
    )  # fmt: skip


def normalised(predicted: NDArray, means: NDArray, signal: NDArray) -> NDArray[np.float64]:
    """CC_norm (Schoppe et al. 2016) of every neuron."""
    p, m = predicted - predicted.mean(axis=0), means - means.mean(axis=0)
    covariance = (p * m).mean(axis=0)
    # the signal power is that of means with unit variance
    return np.asarray(
        covariance / np.sqrt(np.maximum(signal, 1e-9) * np.maximum((p**2).mean(axis=0), 1e-12))
        / m.std(axis=0)
    )  # fmt: skip


def partial_least_squares(
    recording: Recording, config: Model, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Predictions of PLS for half of the images, and which."""
    front_end = FrontEnd.from_config(config)
    maps = WindowFrontEnd(front_end, recording.screen, config.window.spacing_deg)
    fitter = WindowFitter(recording.images, maps, config.window)
    order = np.random.default_rng([seed, 9]).permutation(len(recording.images))
    train, test = np.array_split(order, 2)
    features = (fitter.channels * fitter.scale(train)).reshape(len(order), -1)
    regression = PLSRegression(COMPONENTS, scale=False)
    regression.fit(features[train], recording.means[train])
    return regression.predict(features[test]), test


def summary(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean score by data and model, with a bootstrap interval over neurons."""
    rows = []
    rng = np.random.default_rng(seed)
    parts = table.assign(part=np.where(table["data"] == "mouse V1", "", table["recording"]))
    for (data, part, model), own in parts.groupby(["data", "part", "model"], sort=False):
        values = own["score"].to_numpy()
        means = rng.choice(values, (2000, len(values))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        rows.append(
            {
                "data": f"{data}, {part}" if part else data,
                "model": model,
                "neurons": len(values),
                "score": values.mean(),
                "low": low,
                "high": high,
                "weight": own["weight"].mean(),
            }
        )
    return pd.DataFrame(rows)


@log_to_stderr()
def main() -> None:
    """Print the summary, and each recording's scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--images", type=int, nargs="*", default=[118])
    parser.add_argument("--lag", type=int, default=1, help="0: the image's own window, an artefact")
    parser.add_argument("--members", nargs="*", default=Model().members)
    parser.add_argument("--prior", choices=["equal", "session"], default=Model().stacking_prior)
    parser.add_argument("--stride", type=int, default=Model().stride)
    parser.add_argument("--core", type=Path, help="file of a published core, for core_window")
    parser.add_argument("--together", action="store_true", help="mice as one population")
    parser.add_argument("--gain", action="store_true", help="fit mice at one state of their gain")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--cells", type=Path, help="scores of every neuron, CSV")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    config = parse_config(
        {
            "model": {
                "base_models": options.members,
                "stacking_prior": options.prior,
                "stride": options.stride,
                "network": {"core": str(options.core) if options.core else None},
            }
        }
    ).model
    mice = [*mouse(options.folder, options.scenes, options.lag, options.gain)]
    if options.together and mice:
        mice = [together(mice)]
    recordings = [
        *mice,
        *monkey(options.folder, options.images, options.seed),
    ]
    tables = []
    for recording in recordings:
        tables.append(scores(recording, config, options.seed, options.threads))
        means = tables[-1].groupby("model", sort=False)["score"].mean()
        print(f"{recording.data}, {recording.name}: {means.round(2).to_dict()}", flush=True)
    table = pd.concat(tables)
    if options.cells:
        table.to_csv(options.cells, index=False, float_format="%.5f")
    found = summary(table, options.seed)
    print(found.round(3).to_string(index=False))
    if options.csv:
        found.to_csv(options.csv, index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
