"""Effect of each fault of the notebook on the numbers, one at a time.

``python -m benchmarks.notebook_faults`` takes about a minute: simulated counts, an isotropic neuron
whose best image is known, and image metrics on images with a known answer. ``--results
results/demo`` adds the Gabors of the selected neurons of a simulated session, with their faults
corrected one after another; ``--pictures docs/images`` draws the figures of docs/notebook.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.comparison.notebook import (
    NOTEBOOK,
    GaborRecipe,
    axial_symmetry,
    best_rows,
    disc_luminance,
    mean_gabor,
)
from meiflow.figures.overview import show_image
from meiflow.figures.style import BLUE, GREY, ORANGE, VERMILION, new_figure, save_figure, style
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.images.similarity import image_similarity
from meiflow.images.spectrum import power_spectrum, symmetry_index
from meiflow.io.files import read_array, read_csv
from meiflow.models.archive import ModelArchive
from meiflow.progress import log_to_stderr
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.results.tables import read_stack_info
from meiflow.selection.activity import response_entropy
from meiflow.selection.notebook import notebook_measures, with_gaps
from meiflow.selection.reliability import TrialGroups, oracle_correlation
from meiflow.session.schedule import build_schedule
from meiflow.stages.compare_notebook import read_gabor_trials
from meiflow.stimuli import most_exciting, noise_starts, notebook_mei, power_law
from meiflow.stimuli.optimiser import Optimised, optimise
from meiflow.stimuli.postprocessors import MeanContrast, MinMax, SpatialBlur
from meiflow.stimuli.preconditioning import FourierFilter, notebook_gain
from meiflow.stimuli.published import logged_response
from meiflow.stimuli.regularisers import ContrastPenalty
from meiflow.stimuli.schedules import LinearSchedule, RecursiveSchedule
from meiflow.stimuli.stoppers import Iterations
from meiflow.stimuli.updates import Ascent
from meiflow.tables.counts import Trials
from meiflow.tables.raster import Raster

GRID = Geometry(60, 96)
MEAN, CONTRAST = 0.5, 0.05
SHOWN_WAVELENGTH_PX = 12.5 / GRID.dx
STEPS = 1000

# Gabor recipes, each with one fault fewer than the one before; those of `PLACED` are at the
# position of the best condition instead of the centre of the screen.
_OWN = GaborRecipe(rows="own", best="conditions", number=1)
LADDER = {
    "as published": NOTEBOOK,
    "rows by id": GaborRecipe(rows="own"),
    "condition means": GaborRecipe(rows="own", best="conditions"),
    "the best alone": _OWN,
    "at its place": _OWN,
    "right axis": replace(_OWN, axis="columns"),
    "12.5 degrees": replace(_OWN, axis="columns", wavelength_px=SHOWN_WAVELENGTH_PX),
}
PLACED = ("at its place", "right axis", "12.5 degrees")


def heading(text: str) -> None:
    """Print the heading of a section."""
    print(f"\n{text}")


def measures() -> None:
    """Print the notebook's measures for Poisson neurons that no image drives."""
    rng = np.random.default_rng(0)
    rates = np.array([0.0, 0.1, 0.5, 2.0, 8.0])
    ids = np.tile(np.arange(-1, 118), 50)
    counts = rng.poisson(np.repeat(rates, 8), (len(ids), 8 * len(rates)))
    names = [str(i) for i in range(counts.shape[1])]
    table = notebook_measures(Trials(np.arange(len(ids)), names, ids, counts), 0)
    table["entropy"] = response_entropy(counts)
    table["dropped"] = (counts == 0).mean(axis=0)
    fired = np.where(counts > 0, counts, np.nan)
    table["mean_of_kept"] = [np.nanmean(c) if (c > 0).any() else np.nan for c in fired.T]
    columns = ["dropped", "mean_of_kept", "notebook_variance", "notebook_entropy", "entropy"]
    columns += ["notebook_anomaly_score"]
    heading("Untuned Poisson neurons, by mean count (118 images and the blank, 50 trials each)")
    print(table.groupby(np.repeat(rates, 8))[columns].mean().round(3).to_string())


def oracles() -> None:
    """Print the notebook's oracle and ours for neurons with the same tuning at different rates."""
    rng = np.random.default_rng(4)
    ids = np.tile(np.arange(118), 50)
    tuning = rng.lognormal(0.0, 0.5, (118, 20))
    tuning /= tuning.mean(axis=0)
    rates = np.array([0.05, 0.1, 0.3, 1.0, 4.0])
    counts = np.concatenate([rng.poisson(rate * tuning[ids]) for rate in rates], axis=1)
    untuned = np.concatenate([rng.poisson(rate, (len(ids), 20)) for rate in rates], axis=1)
    rows = []
    for kind, x in (("tuned", counts), ("untuned", untuned)):
        trials = Trials(np.arange(len(ids)), [str(i) for i in range(x.shape[1])], ids, x)
        theirs = notebook_measures(trials, 0)["notebook_oracle"].to_numpy()
        ours = oracle_correlation(x, TrialGroups.of(ids))
        for i, rate in enumerate(rates):
            part = slice(20 * i, 20 * i + 20)
            row = {"kind": kind, "mean count": rate, "jackknife": ours[part].mean()}
            rows.append(row | {"notebook": np.nanmean(theirs[part])})
    heading("Oracle correlation of neurons with the same tuning (and with none) at different rates")
    print(pd.DataFrame(rows).set_index(["kind", "mean count"]).round(3).to_string())


def raster() -> None:
    """Print the mean correlation of independent neurons, with and without gaps between blocks."""
    rng = np.random.default_rng(1)
    start = np.concatenate([900 * block + 0.1 * np.arange(4950) for block in range(3)])
    counts = rng.poisson(0.8, (len(start), 40))
    shown = Raster(counts, start, np.repeat([0, 1, 2], 4950), 0.1, np.arange(40).astype(str))
    pairs = np.triu_indices(40, 1)
    inside, gaps = (np.corrcoef(c.T)[pairs].mean() for c in (counts, with_gaps(shown)))
    heading("Raster of independent neurons (0.8 spikes per bin; three blocks, 405 s apart)")
    print(f"mean correlation {inside:.3f} within the blocks, {gaps:.3f} with the gaps")


class Isotropic:
    """A linear neuron with a round, nearly balanced centre and surround."""

    def __init__(self) -> None:
        weights = patterns.difference_of_gaussians(GRID, 0.0, 0.0, 5.0, 9.0, 0.9)
        self.weights = weights / np.linalg.norm(weights - weights.mean()) * 2.0
        self._weights = torch.as_tensor(self.weights, dtype=torch.float32)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return 3.0 + ((images - MEAN) * self._weights).sum((1, 2))

    def fraction(self, image: NDArray) -> float:
        """Drive at the common mean and contrast as a fraction of the maximal drive."""
        best = CONTRAST * np.linalg.norm(self.weights - self.weights.mean())
        shown = project_array(image[None], MEAN, CONTRAST)[0]
        return float(((shown - MEAN) * self.weights).sum() / (best * np.sqrt(shown.size)))


def direction(image: NDArray) -> tuple[float, float]:
    """Orientation of the power (degrees counter-clockwise, y up) and its coherence."""
    spectrum = power_spectrum(image.astype(float), GRID)
    inside = (spectrum.radius > 0) & (spectrum.radius < 0.3)
    power = spectrum.power[inside]
    vector = (power * np.exp(2j * spectrum.angle[inside])).sum() / power.sum()
    return float(np.rad2deg(np.angle(vector) / 2) % 180), float(np.abs(vector))


def corrected(neuron: Isotropic, scenes: NDArray, seed: int) -> dict[str, Optimised]:
    """MEIs by the notebook's procedure, with single faults corrected, and by meiflow."""
    plain = notebook_gain(GRID.shape)
    level = plain.gain.clone()
    level[0, 0] = level[0, 1]
    noise = torch.randn((1, *GRID.shape), generator=torch.Generator().manual_seed(seed))
    wanted = float(scenes.reshape(len(scenes), -1).std(axis=1, ddof=1).mean())
    found = {"the notebook": notebook_mei(neuron, GRID, scenes, seed, STEPS)}
    for name, smooth, sigma, last in (
        (
            "wrapped rows",
            power_law(GRID.shape, 0.25, keep_mean=True),
            RecursiveSchedule(7, 0.001),
            MinMax(),
        ),
        ("mean not amplified", FourierFilter(level), RecursiveSchedule(7, 0.001), MinMax()),
        ("linear sigma", plain, LinearSchedule(7.0, 0.001), MinMax()),
        ("fixed contrast", plain, RecursiveSchedule(7, 0.001), MeanContrast(MEAN, CONTRAST)),
    ):
        result = optimise(
            neuron,
            MinMax()(noise, 0, 1),
            regularisers=(ContrastPenalty(wanted, weight=2.0, correction=1),),
            preconditioners=(smooth,),
            update=Ascent(0.1),
            postprocessors=(SpatialBlur(sigma), last),
            stop=Iterations(STEPS),
            project_start=False,
        )
        found[name] = replace(result, stimuli=result.last)
    starts = noise_starts(4, GRID, 1.0, MEAN, CONTRAST, seed)
    best = most_exciting(neuron, starts, GRID, MEAN, CONTRAST)
    found["meiflow"] = replace(best, stimuli=best.stimuli[best.best : best.best + 1])
    return found


def meis(scenes: NDArray) -> tuple[Isotropic, dict[str, Optimised]]:
    """Print the properties of the isotropic neuron's MEIs."""
    neuron = Isotropic()
    rows = []
    for seed in range(3):
        found = corrected(neuron, scenes, seed)
        for name, result in found.items():
            image = result.images[0]
            angle, coherence = direction(image)
            row = {"procedure": name, "orientation": angle, "coherence": coherence}
            row |= {"std": image.std(), "mean": image.mean(), "fraction": neuron.fraction(image)}
            rows.append(row)
        if seed == 0:
            first = found
    table = pd.DataFrame(rows).groupby("procedure", sort=False)
    heading(
        "MEI of a round neuron: orientation (deg, y up) and coherence of its power, std and mean"
    )
    print("of the image, drive at equal contrast as a fraction of the maximal drive; 3 seeds")
    print(table.mean().round(3).to_string())
    trace = first["the notebook"].trace
    spread = trace.rms_contrast[:, 0]
    print(f"std at steps 0, 100, 300, 1000: {spread[[0, 100, 300, 1000]].round(3)}")
    response, logged = trace.objective[-1, 0], logged_response(first["the notebook"])[0]
    print(f"response to its MEI {response:.3f}, as logged {logged:.3f}")
    sigma, line = RecursiveSchedule(7.0, 0.001), LinearSchedule(7.0, 0.001)
    for step in (50, 100, 250, 500):
        now = sigma(step - 1, STEPS), line(step - 1, STEPS)
        print(f"sigma at step {step}: {now[0]:.3g} px by its recursion, {now[1]:.3g} px if linear")
    return neuron, first


def best_trials() -> None:
    """Print how often the trials with most spikes show a neuron's preferred condition."""
    rng = np.random.default_rng(2)
    rows = []
    for repeats in (5, 15):
        for peak in (1.0, 2.0, 4.0, 8.0):
            for _ in range(200):
                shown = build_schedule(1, 2, repeats, 0, rng).tables["gabors"]
                place = np.exp(
                    -(shown["x_position"] ** 2 + (shown["y_position"] - 10) ** 2) / (2 * 8.0**2)
                )
                tuning = shown["orientation"].map({0.0: 0.3, 45.0: 1.0, 90.0: 0.5})
                rate = 0.3 + (peak - 0.3) * place * tuning
                trials = shown[["orientation"]].assign(
                    trial_id=np.arange(len(shown)),
                    condition_id=shown.groupby(
                        ["x_position", "y_position", "orientation"]
                    ).ngroup(),
                    n=rng.poisson(rate),
                )
                row = {"repeats": repeats, "peak": peak}
                for name in ("trials", "conditions"):
                    own = best_rows(trials, "n", GaborRecipe(best=name, number=3))
                    right = trials["orientation"].to_numpy()
                    row[f"{name}: best condition"] = rate.iloc[own[0]] > 0.99 * rate.max()
                    row[f"{name}: correct orientation"] = (right[own] == 45).mean()
                    if name == "trials":
                        after = np.minimum(own + 1, len(trials) - 1)
                        row["row after: correct orientation"] = (right[after] == 45).mean()
                rows.append(row)
    heading(
        "Best of 243 Gabors by single trials and by means (Poisson, baseline 0.3; 200 neurons each)"
    )
    print(pd.DataFrame(rows).groupby(["repeats", "peak"]).mean().round(2).to_string())


def metrics() -> None:
    """Print the notebook's metrics for images with a known answer."""
    rng = np.random.default_rng(3)
    noise = rng.uniform(size=(20, *GRID.shape))
    round_one = patterns.difference_of_gaussians(GRID, 0, 0, 5.0, 9.0)
    images = {
        "white noise": list(noise),
        "round blob": [0.5 + 0.4 * round_one / np.abs(round_one).max()],
        "45 degree Gabor": [0.5 + 0.4 * patterns.gabor(GRID, 0, 0, 12.5, 45, 0, 6)],
        "45 degree Gabor, weak": [0.5 + 0.05 * patterns.gabor(GRID, 0, 0, 12.5, 45, 0, 6)],
        "plaid of 0 and 90": [
            0.5 + 0.2 * sum(patterns.gabor(GRID, 0, 0, 12.5, angle, 0, 6) for angle in (0, 90))
        ],
    }
    rows = []
    for name, group in images.items():
        row: dict[str, object] = {"image": name}
        for order in (1, 2):
            row[f"SI{order} notebook"] = np.mean([axial_symmetry(i, order) for i in group])
            row[f"SI{order} no mean"] = np.mean(
                [axial_symmetry(i, order, keep_mean=False) for i in group]
            )
            row[f"SI{order} ours"] = np.mean(
                [symmetry_index(power_spectrum(i, GRID), order) for i in group]
            )
        rows.append(row)
    heading("Symmetry indices")
    print(pd.DataFrame(rows).set_index("image").round(3).to_string())
    seams = [
        np.mean([axial_symmetry(n, 1, keep_mean=False, seam=seam) for n in noise])
        for seam in (True, False)
    ]
    print(f"white noise without its mean: {seams[0]:.3f} with the 33rd bin, {seams[1]:.3f} without")
    heading("Luminance of a uniform grey of 0.5 in the disc")
    grey = np.full(GRID.shape, 0.5)
    print(f"{disc_luminance(grey):.4f}; by its own pixels {disc_luminance(grey, by_circle=False)}")


def at_place(image: NDArray, x: float, y: float) -> NDArray[np.float32]:
    """Centred image shifted by whole pixels."""
    return np.roll(image, (-round(y / GRID.dy), round(x / GRID.dx)), axis=(0, 1))


def ladder(results: Layout) -> tuple[str, dict[str, NDArray], pd.DataFrame]:
    """Drive of the Gabors of `LADDER` relative to that of the MEI, in each neuron's model.

    Returns the neuron with the highest relative drive of a recorded Gabor, its images and all
    numbers.
    """
    mean = read_stack_info(results, GRID).mean_luminance
    conditions = read_csv(results.gabor_responses).set_index("condition_id")
    archive = ModelArchive(results.models, GRID)
    rows, pictures = {}, {}
    for neuron in fitted_neurons(results.fitted_neurons):
        files = results.neuron(neuron)
        model = archive.model(neuron)
        trials = read_gabor_trials(results, neuron)
        images = {
            name: mean_gabor(trials, neuron, GRID.shape, recipe).image
            for name, recipe in LADDER.items()
        }
        best = conditions[neuron].idxmax()
        place = conditions.loc[best, ["x_position", "y_position"]]
        for name in PLACED:
            images[name] = at_place(images[name], *place)
        images["as shown, best phase"] = read_array(files.gabor)
        images["MEI"] = read_array(files.mei)
        shown = project_array(np.stack(list(images.values())), mean, CONTRAST)
        grey = model.predict(np.full((1, *GRID.shape), mean, np.float32))[0]
        values = model.predict(shown) - grey
        rows[neuron] = dict(zip(images, values / values[-1], strict=True))
        rows[neuron]["similarity"] = image_similarity(images["as published"], images["MEI"])
        pictures[neuron] = images
    table = pd.DataFrame(rows).T
    heading(f"Drive of the Gabor relative to that of the MEI; models of {len(table)} neurons")
    print(table.agg(["mean", "median", "min", "max"]).T.round(3).to_string())
    chosen = str(table["as shown, best phase"].idxmax())
    return chosen, pictures[chosen], table.drop(columns="similarity")


def mei_picture(neuron: Isotropic, found: dict[str, Optimised]) -> Figure:
    """Draw the neuron's weights, its MEIs, and the course of the notebook's ascent."""
    images = {"the neuron's weights": neuron.weights}
    for name in ("the notebook", "wrapped rows", "meiflow"):
        images[name] = found[name].images[0]
    trace = found["the notebook"].trace
    steps = np.arange(len(trace.mean))
    with style():
        figure = new_figure(9.0, 3.9)
        upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
        for ax, (name, image) in zip(upper.subplots(1, 4), images.items(), strict=True):
            show_image(ax, image, GRID)
            angle, coherence = direction(image)
            note = f"{angle:.0f}°, coherence {coherence:.2f}" if coherence > 0.1 else "no direction"
            ax.set_title(f"{name}\n{note}")
            ax.set(xticks=[], yticks=[], xlim=(-40, 40), ylim=(-31, 31))
        spread, blur, score = lower.subplots(1, 3)
        spread.plot(steps, trace.rms_contrast[:, 0], color=ORANGE)
        spread.axhline(0.2656, color=GREY, lw=0.8)
        spread.text(STEPS, 0.27, "wanted", color=GREY, ha="right", va="bottom")
        spread.set(xlabel="step", ylabel="std of the image", ylim=(0, 0.32))
        own, line = RecursiveSchedule(7.0, 0.001), LinearSchedule(7.0, 0.001)
        blur.plot(steps[1:], [own(int(i) - 1, STEPS) for i in steps[1:]], color=ORANGE)
        blur.plot(steps[1:], [line(int(i) - 1, STEPS) for i in steps[1:]], color=BLUE)
        blur.set(xlabel="step", ylabel="blur, sigma (px)")
        blur.text(130, 0.4, "its recursion", color=ORANGE)
        blur.text(420, 4.4, "what its report means", color=BLUE)
        score.plot(steps, trace.objective[:, 0], color=VERMILION)
        score.plot(steps, (trace.objective - trace.penalty)[:, 0], color=ORANGE)
        score.set(xlabel="step", ylabel="count")
        score.text(
            STEPS, trace.objective[-1, 0], "response", color=VERMILION, ha="right", va="bottom"
        )
        low = float((trace.objective - trace.penalty)[-1, 0])
        score.text(STEPS, low - 0.15, "logged as the response", color=ORANGE, ha="right", va="top")
    return figure


def gabor_picture(neuron: str, images: dict[str, NDArray], table: pd.DataFrame) -> Figure:
    """Draw one neuron's Gabor, fault by fault, and the relative drive in all neurons' models."""
    with style():
        figure = new_figure(9.6, 4.6)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.3, 1.0])[:, 0]
        axes = upper.subplots(2, 5).ravel()
        for ax in axes:
            ax.axis("off")
        for ax, (name, image) in zip(axes, images.items(), strict=False):
            show_image(ax, image, GRID)
            ax.set_title(f"{name}: {round(table.loc[neuron, name], 2) + 0.0:.2f}", fontsize=7)
        ax = lower.subplots()
        places = np.arange(len(table.columns))
        for _, row in table.iterrows():
            ax.plot(places, row, color="#CCCCCC", lw=0.7)
        ax.plot(places, table.loc[neuron], color=ORANGE, lw=1.2)
        ax.plot(places, table.mean(), "o-", color="black", ms=4, lw=1.2)
        ax.set_xticks(places, [n.replace(" ", "\n", 1) for n in table.columns], fontsize=6.5)
        ax.set(ylabel="response / MEI's")
        ax.axhline(0, color=GREY, lw=0.6)
    return figure


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="of a simulated session, e.g. results/demo")
    parser.add_argument("--pictures", type=Path, help="folder for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measures()
    oracles()
    raster()
    rng = np.random.default_rng(0)
    scenes = rng.normal(0.5, 0.2656, (4, *GRID.shape))
    neuron, found = meis(scenes)
    best_trials()
    metrics()
    if arguments.pictures:
        save_figure(mei_picture(neuron, found), arguments.pictures / "notebook_mei.png")
    if arguments.results:
        chosen, images, table = ladder(Layout(arguments.results))
        if arguments.pictures:
            figure = gabor_picture(chosen, images, table)
            save_figure(figure, arguments.pictures / "notebook_gabor.png")


if __name__ == "__main__":
    main()
