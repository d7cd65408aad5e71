"""Figures of the overview, about all neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.config.names import PICTURED_PROCEDURES, PROCEDURES
from meiflow.figures.models import learning_curves, model_scores
from meiflow.figures.overview import closed_loop, gallery, response_ratios
from meiflow.figures.style import relabelled, save_both
from meiflow.io.files import read_csv
from meiflow.report.columns import corrected
from meiflow.report.drawing import Drawing, drawing, drawing_of_file
from meiflow.report.session_data import SessionData
from meiflow.report.trust import sort_by_confidence, trust_of, trusted_rows
from meiflow.results.stimuli import read_procedure
from meiflow.validation.recorded import CURVES

_GALLERY = 8
Words = tuple[str, str, str]  # title, alternative text, caption


def ranked(data: SessionData) -> list[str]:
    """Neurons in display order: those with the highest confidence first."""
    return list(sort_by_confidence(data.summary)["neuron_id"].astype(str))


def _titles(data: SessionData) -> dict[str, str]:
    titles = {}
    for row in data.summary.to_dict("records"):
        trust = trust_of(row)
        verdict = f"\n{trust.mark} {trust.text}" if trust is not None else ""
        neuron = str(row["neuron_id"])
        titles[neuron] = f"{neuron}{verdict}\nCC_norm {corrected(row['cc_norm_model'])}"
    return titles


def overview_drawings(data: SessionData) -> dict[str, Drawing]:
    """All figures of the overview by name; those made here are also saved with the report."""
    made = _made(data)
    for name, (figure, _) in () if data.provisional else made.items():
        save_both(figure, data.results.figures(name)[0].parent, name)
    words = _WORDS | {
        "gallery": _gallery_words(data),
        "responses": _response_words(trusted_rows(data.summary) is not None),
        "procedures": _procedure_words(data.config.stimuli.make),
    }
    if not data.has.spike_times:
        words |= {"rastermap": _RESPONSES_OF_TRIALS}
    found = {
        name: drawing(name, *words[name], figure, numbers)
        for name, (figure, numbers) in made.items()
    }
    found |= {} if data.provisional else _from_files(data, words)
    return {name: figure.reworded(data.called) for name, figure in found.items()}


def _made(data: SessionData) -> dict[str, tuple[Figure, pd.DataFrame]]:
    geometry = data.config.image.geometry
    best = ranked(data)[:_GALLERY]
    shown = {neuron: data.images(neuron) for neuron in best}
    titles = _titles(data)
    summary = data.summary
    rows = summary[summary["neuron_id"].astype(str).isin(best)]
    chosen = data.scores[data.scores["neuron_id"].astype(str).isin(data.neurons)]
    counts = [c for c in summary.columns if c.endswith("_response")]
    trusted = trusted_rows(summary)
    counted = None if trusted is None else trusted.to_numpy()
    judged = [] if trusted is None else ["trusted"]
    made = {
        "gallery": (gallery(shown, geometry, titles), rows),
        "responses": (
            relabelled(response_ratios(summary, counted), data.response),
            summary[["neuron_id", *counts, "model_above_chance", *judged]],
        ),
        "scores": (model_scores(data.scores, data.neurons), chosen),
    }
    further = _further_images(data, best)
    if any(further.values()):
        mine = {n: {"mei": shown[n]["mei"]} | further[n] for n in best}
        made["procedures"] = (gallery(mine, geometry, titles), rows)
    if len(data.curve):
        figure = learning_curves(data.curve)
        made["learning"] = (figure, data.curve)
    if data.loop is not None:
        made["closed_loop"] = (closed_loop(data.loop), data.loop)
    return made


def _further_images(data: SessionData, neurons: list[str]) -> dict[str, dict[str, NDArray]]:
    """Stimuli made by the procedures for some neurons, unmodified."""
    found: dict[str, dict[str, NDArray]] = {neuron: {} for neuron in neurons}
    for procedure, name in PICTURED_PROCEDURES.items():
        if procedure not in data.config.stimuli.make:
            continue
        images = read_procedure(data.results, procedure, neurons)
        for neuron, image in zip(neurons, images, strict=True):
            found[neuron][name] = image
    return found


def _from_files(data: SessionData, words: Mapping[str, Words]) -> dict[str, Drawing]:
    """Figures drawn by other stages."""
    found = {}
    for name in ("oracle", "measures", "rastermap"):
        picture = data.results.selection_figures(name)[1]
        found[name] = drawing_of_file(name, *words[name], picture, data.table)
    if data.tuning:
        numbers = read_csv(data.results.recorded_tuning)
        picture = data.results.recorded_svg
        own = _recorded_words(numbers)
        found["recorded"] = drawing_of_file("recorded", *own, picture, numbers)
    return found


def _gallery_words(data: SessionData) -> tuple[str, str, str]:
    luck = ""
    if "recorded_gabor_response" in data.summary and data.has.gabors:
        shown = read_csv(data.results.gabor_responses, ("repeats",))
        repeats = int(shown["repeats"].median())
        luck = (
            f" The best recorded Gabor is the highest of many conditions, each shown {repeats} "
            "times; with few repeats this choice is affected by noise."
        )
    return (
        "MEIs, Gabors and natural images",
        "Most exciting inputs, best Gabors and best natural images of the first neurons",
        "All images of a neuron have the same mean luminance and RMS contrast; the grey scale of "
        "each picture is stretched to its own range." + luck,
    )


def _response_words(judged: bool) -> tuple[str, str, str]:
    rest = "neurons that are not trusted" if judged else "models no better than chance"
    return (
        "MEI compared with Gabors and natural images",
        "Predicted counts for Gabors and natural images relative to the MEI, one dot per neuron",
        "Predicted count for each stimulus, at the same mean and contrast. A dot to the right of "
        f"the line would be better than the MEI. Open circles: {rest}; bar: median of the others.",
    )


def _procedure_words(made: Sequence[str]) -> tuple[str, str, str]:
    shown = sorted((PROCEDURES[n] for n in PICTURED_PROCEDURES if n in made), key=lambda p: p.place)
    caption = "Images as made by each procedure, at different contrasts."
    if "suppressive" in made:
        caption += (
            " A suppressive image must place its contrast somewhere, so parts far from the "
            "receptive field are meaningless."
        )
    if "receptive_field" in made:
        caption += " Linear RFs of complex cells are faint, although this is not visible here."
    labels = ", ".join(procedure.label for procedure in shown)
    return "Other procedures", f"Stimuli of the same neurons: {labels}", caption


def _recorded_words(table: pd.DataFrame) -> tuple[str, str, str]:
    """What was shown, and whether models that are compared were fitted to it."""
    kinds = {name: CURVES[name][0] for name in table["curve"].unique()}
    names = {"gabors": "Gabors", "static_gratings": "static gratings"}
    shown = " and ".join(text for name, text in names.items() if name in kinds.values())
    learned = {kinds[name] for name in table.loc[table["learned"].astype(bool), "curve"]}
    fitted = " and ".join(text for name, text in names.items() if name in learned)
    caption = f"{shown[:1].upper()}{shown[1:]} were shown to the same neurons. "
    caption += (
        f"The models were also fitted to {fitted}, so these are not predictions. "
        if fitted
        else "Models that were not fitted to them predict the responses. "
    )
    return (
        "Recorded and predicted tuning",
        f"Correlation between recorded and predicted tuning to {shown}, with ceilings and "
        "controls, and recorded and predicted preferences",
        f"{caption}One dot per neuron with significant recorded tuning (p ≤ 0.001). Controls: the "
        "models of the other neurons, and the 95th percentile when the points of the curve are "
        "permuted.",
    )


_RESPONSES_OF_TRIALS = (
    "Activity during the images",
    "Count in every trial of all neurons, with similar neurons next to each other",
    "Counts in the order of the trials; similar neurons are next to each other; triangles mark "
    "selected neurons.",
)
_WORDS: dict[str, Words] = {
    "closed_loop": (
        "Closed loop",
        "True drive as a fraction of the maximal drive, by kind of neuron and stimulus",
        "Each stimulus is shown to the simulated neuron. Bars: mean; dots: neurons. The maximal "
        "drive is found by gradient ascent on the true neuron, at the same mean and contrast.",
    ),
    "scores": (
        "Models",
        "Cross-validated correlation of the model, its base models, the pixel ridge and the "
        "control",
        "Held-out images; RF position and penalty are chosen within each fold. One dot per "
        "fitted neuron; line: mean.",
    ),
    "learning": (
        "Would more images help?",
        "Score on held-out images as a function of the number of training images",
        "The models in the legend, fitted to part of the training images; grey: neurons. If the "
        "curve still rises at its right end, more images would help.",
    ),
    "oracle": (
        "Reliability",
        "Oracle correlation of every neuron with its interval, ranked, and the shuffled null",
        "Correlation between single trials and the mean of the other trials of the same image. "
        "Bars: 95 % bootstrap interval over images. Grey: trials permuted across images.",
    ),
    "measures": (
        "Selection measures",
        "Pairwise scatter plots of entropy, variance and oracle correlation of all neurons",
        "Crosses: outliers found by an isolation forest.",
    ),
    "rastermap": (
        "Activity during the images",
        "Binned activity of all neurons, with similar neurons next to each other",
        "Similar neurons are next to each other; triangles mark selected neurons.",
    ),
}
