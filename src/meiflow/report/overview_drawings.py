"""The figures about all neurons."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.config.names import PICTURED_PROCEDURES
from meiflow.figures.models import learning_curves, model_scores
from meiflow.figures.overview import closed_loop, gallery, response_ratios
from meiflow.figures.style import save_both
from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.drawing import Drawing, drawing, drawing_of_file
from meiflow.report.session_data import SessionData
from meiflow.report.trust import surest_first, trust_of
from meiflow.results.stimuli import read_procedure

_GALLERY = 8


def ranked(data: SessionData) -> list[str]:
    """Neurons in the order in which they are shown: the surest first."""
    return list(surest_first(data.summary)["neuron_id"].astype(str))


def _titles(data: SessionData) -> dict[str, str]:
    titles = {}
    for row in data.summary.to_dict("records"):
        trust = trust_of(row)
        verdict = f"\n{trust.mark} {trust.text}" if trust is not None else ""
        neuron = str(row["neuron_id"])
        titles[neuron] = f"{neuron}{verdict}\nCC_norm {number(row['cc_norm_model'])}"
    return titles


def overview_drawings(data: SessionData) -> dict[str, Drawing]:
    """All figures of the overview by name; those made here are also saved."""
    made = _made(data)
    for name, (figure, _) in made.items():
        save_both(figure, data.results.figures(name)[0].parent, name)
    words = _WORDS | {"gallery": _gallery_words(data)}
    found = {
        name: drawing(name, *words[name], figure, numbers)
        for name, (figure, numbers) in made.items()
    }
    return found | _from_files(data)


def _made(data: SessionData) -> dict[str, tuple[Figure, pd.DataFrame]]:
    geometry = data.config.image.geometry
    best = ranked(data)[:_GALLERY]
    shown = {neuron: data.images(neuron) for neuron in best}
    titles = _titles(data)
    summary = data.summary
    rows = summary[summary["neuron_id"].astype(str).isin(best)]
    chosen = data.scores[data.scores["neuron_id"].astype(str).isin(data.neurons)]
    counts = [c for c in summary.columns if c.endswith("_response")]
    made = {
        "gallery": (gallery(shown, geometry, titles), rows),
        "responses": (response_ratios(summary), summary[["neuron_id", *counts, "model_holds"]]),
        "scores": (model_scores(data.scores, data.neurons), chosen),
    }
    further = _further_images(data, best)
    if any(further.values()):
        mine = {n: {"mei": shown[n]["mei"]} | further[n] for n in best}
        made["procedures"] = (gallery(mine, geometry, titles), rows)
    if len(data.curve):
        figure = learning_curves(data.curve, data.scores, data.training_images)
        made["learning"] = (figure, data.curve)
    if data.loop is not None:
        made["closed_loop"] = (closed_loop(data.loop), data.loop)
    return made


def _further_images(data: SessionData, neurons: list[str]) -> dict[str, dict[str, NDArray]]:
    """What the procedures made for some neurons, as it was made."""
    found: dict[str, dict[str, NDArray]] = {neuron: {} for neuron in neurons}
    for procedure, name in PICTURED_PROCEDURES.items():
        if procedure not in data.config.stimuli.make:
            continue
        images = read_procedure(data.results, procedure, neurons)
        for neuron, image in zip(neurons, images, strict=True):
            found[neuron][name] = image
    return found


def _from_files(data: SessionData) -> dict[str, Drawing]:
    """Figures that other stages have drawn."""
    found = {}
    for name in ("oracle", "measures", "rastermap"):
        picture = data.results.selection_figures(name)[1]
        found[name] = drawing_of_file(name, *_WORDS[name], picture, data.table)
    if data.tuning:
        numbers = read_csv(data.results.recorded_tuning)
        picture = data.results.recorded_svg
        found["recorded"] = drawing_of_file("recorded", *_WORDS["recorded"], picture, numbers)
    return found


def _gallery_words(data: SessionData) -> tuple[str, str, str]:
    luck = ""
    if "recorded_gabor_response" in data.summary and data.has.gabors:
        shown = read_csv(data.results.gabor_responses, ("repeats",))
        repeats = int(shown["repeats"].median())
        luck = (
            f" The best recorded Gabor is the highest of many conditions, shown {repeats} times "
            "each: with few repeats, luck has its part in it."
        )
    return (
        "MEI, Gabors and natural images side by side",
        "Most exciting inputs, best Gabors and best natural images of the first neurons",
        "All images of a neuron have the same mean luminance and RMS contrast; each picture's grey "
        "scale is stretched to its own range." + luck,
    )


# Title, alternative text, caption.
_WORDS = {
    "responses": (
        "MEI against Gabor against natural image",
        "Predicted counts for Gabors and natural images relative to the MEI, one dot per neuron",
        "What the models predict for each stimulus at the same mean and contrast; bar: median. A "
        "dot beyond the line would beat the MEI. Open: the model is not better than chance.",
    ),
    "closed_loop": (
        "Closed loop",
        "True drive as a fraction of the best possible, by kind of neuron and stimulus",
        "Each stimulus shown to the simulated neuron. Bars: mean; dots: neurons. The best possible "
        "is found by gradient ascent on the truth itself, at the same mean and contrast.",
    ),
    "procedures": (
        "By other procedures",
        "The same neurons' stimuli by other procedures: from noise alone, Walker et al., the "
        "notebook, faded natural images, linear fields, suppressive images",
        "Images as each procedure left them, whatever their contrast. A suppressive image must "
        "spend its contrast somewhere: what lies far from the field says nothing. Linear fields of "
        "complex cells are faint, whatever they look like here.",
    ),
    "scores": (
        "Models",
        "Cross-validated correlation of the model, its members, the pixel ridge and the control",
        "Held-out images; place and penalty are chosen inside each fold. One dot per selected "
        "neuron; line: mean.",
    ),
    "learning": (
        "Would more images help?",
        "Score on held-out images against the number of images learned from",
        "The same models fitted with a part of the training images; grey: neurons. A curve that "
        "still rises at its right end says yes.",
    ),
    "oracle": (
        "Reliability",
        "Oracle correlation of every neuron with its interval, ranked, over the shuffled null",
        "Correlation of single trials with the mean of the other trials of the same image. Bars: "
        "95 % bootstrap interval over images. Grey: trials dealt to images at random.",
    ),
    "measures": (
        "Measures of the selection",
        "Entropy, variance and oracle correlation of all neurons against each other",
        "Crosses: outliers of an isolation forest.",
    ),
    "rastermap": (
        "Activity during the images",
        "Binned activity of all neurons, similar ones side by side",
        "Similar neurons side by side; triangles mark the selected ones.",
    ),
    "recorded": (
        "Recorded against predicted tuning",
        "Correlation of recorded with predicted tuning to Gabors and gratings, with ceilings and "
        "controls, and recorded against predicted preferences",
        "The session showed Gabors and static gratings to the same neurons; the models, fitted to "
        "natural images, predict the responses. Neurons whose recorded tuning is significant "
        "(p ≤ 0.001), one dot each. Controls: the models of the other neurons, and the 95th "
        "percentile when the points of the curve are dealt out anew.",
    ),
}
