"""The figures of one neuron's page."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.figures.models import neuron_scores
from meiflow.figures.neuron import (
    ascent_figure,
    mei_figure,
    prediction_figure,
    reliability_figure,
    responses_figure,
    rivals_figure,
)
from meiflow.figures.recorded import TuningView, tuning_figure
from meiflow.figures.spectrum import profiles_figure
from meiflow.figures.trials import Shown, psth, raster_figure, strip_figure
from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.drawing import Drawing, drawing, drawing_of_file, image_table
from meiflow.report.session_data import SessionData, mask_of
from meiflow.tables.image_spikes import AFTER_S, BEFORE_S

_SPECTRA = ("best_natural", "windowed_natural", "recorded_gabor", "best_gabor", "mei")


def neuron_drawings(data: SessionData, neuron: str) -> list[Drawing]:
    """Every figure of a neuron, in the order of its page.

    Parameters
    ----------
    data : SessionData
    neuron : str
        Selected.
    """
    return [
        *_stimuli(data, neuron),
        _trials(data, neuron),
        _reliability(data, neuron),
        _prediction(data, neuron),
        _scores(data, neuron),
        _spectra(data, neuron),
        *_tuning(data.tuning.get(neuron), neuron),
        *_experiments(data, neuron),
    ]


def _stimuli(data: SessionData, neuron: str) -> list[Drawing]:
    grid = data.config.image.geometry
    files = data.files(neuron)
    images = data.images(neuron)
    comparison = read_csv(files.comparison)
    trace = read_csv(files.mei_trace, ("step", "response"))
    truth = data.true_fraction(neuron)
    mei = comparison.set_index("stimulus").loc["mei"]
    x, y = float(mei["x_deg"]), float(mei["y_deg"])
    share = float(mei["tight_fraction"])
    where = (
        f"centred {number(x, 0)} degrees right and {number(y, 0)} up of the screen's centre, "
        f"{number(mei['peak_frequency_cpd'], 3)} cycles per degree, "
        f"{number(mei['size_deg'], 0)} degrees wide"
    )
    columns = ["stimulus", "predicted_response", "mei_ratio", "mei_ratio_low", "mei_ratio_high"]
    responses = comparison[columns]
    if truth:
        responses = responses.assign(true_fraction=responses["stimulus"].map(truth))
    counts = ", ".join(
        f"{row['stimulus'].replace('_', ' ')} {number(row['predicted_response'])}"
        for _, row in comparison.iterrows()
    )
    return [
        drawing(
            "mei",
            "Most exciting input",
            f"Most exciting input of neuron {neuron}: {where}.",
            "The image that the model wants most, at the common mean and contrast. Yellow: the "
            f"tight mask, which holds {share:.0%} of the response, and its centre.",
            mei_figure(images["mei"], mask_of(data, neuron), (x, y), grid),
            image_table(images["mei"], grid.x, grid.y),
        ),
        drawing(
            "rivals",
            "Against Gabors and natural images",
            f"Stimuli of neuron {neuron} with predicted counts: {counts}.",
            "Same mean and RMS contrast; above each the count the model predicts. Every picture's "
            "grey scale is stretched to its own range.",
            rivals_figure(images, comparison, grid),
            comparison,
        ),
        drawing(
            "responses",
            "What each does to the neuron",
            f"Predicted counts of neuron {neuron} relative to the MEI"
            + (" and true drives relative to the best possible." if truth else "."),
            "Bars: predicted. Lines: 95 % interval over the models of the folds; it does not know "
            "that the MEI was chosen by this very model."
            + (" Diamonds: the simulated neuron itself, in closed loop." if truth else ""),
            responses_figure(comparison, truth),
            responses,
        ),
        drawing(
            "ascent",
            "How the MEI was climbed",
            f"Predicted count over {len(trace)} steps of gradient ascent, ending at "
            f"{number(float(trace['response'].iloc[-1]))}.",
            "The best step is kept. A curve whose upper edge is flat at its end has arrived; large "
            "early steps may swing about the optimum.",
            ascent_figure(trace),
            trace,
        ),
    ]


def _trials(data: SessionData, neuron: str) -> Drawing:
    shown = data.best_and_worst(neuron)
    grid = data.config.image.geometry
    best = [one.label for one in shown if one.best]
    worst = [one.label for one in shown if not one.best]
    said = (
        f"Single trials of neuron {neuron}: {' and '.join(best)} drive it most (mean count "
        f"{number(float(shown[0].counts.mean()))}), {' and '.join(worst)} least "
        f"({number(float(shown[-1].counts.mean()))})."
    )
    if data.spikes is None:
        mean = float(data.responses.means[:, data.responses.column(neuron)].mean())
        return drawing(
            "trials",
            "Best and worst images, trial by trial",
            said,
            "One circle per trial; bars are means; grey: the mean over all images. This session "
            "came as counts, so that there is no raster.",
            strip_figure(shown, mean, grid),
            _counts_table(shown),
        )
    everywhere = psth(data.all_spikes(neuron), -BEFORE_S, AFTER_S)
    return drawing(
        "trials",
        "Best and worst images: raster and PSTH",
        said,
        "Two best and two worst images with their mean count; spikes of every trial; rate in bins "
        "of 20 ms. Grey line: mean over all images. Shaded: the window in which spikes are "
        "counted. The next image comes at once: what follows the window belongs to it.",
        raster_figure(shown, everywhere, data.window, grid),
        _spikes_table(shown),
    )


def _counts_table(shown: list[Shown]) -> pd.DataFrame:
    rows = [(one.label, k + 1, int(c)) for one in shown for k, c in enumerate(one.counts)]
    return pd.DataFrame(rows, columns=["image", "trial", "count"])


def _spikes_table(shown: list[Shown]) -> pd.DataFrame:
    rows = [
        (one.label, k + 1, round(float(time), 4))
        for one in shown
        for k, times in enumerate(one.spikes)
        for time in times
    ]
    return pd.DataFrame(rows, columns=["image", "trial", "spike_s"])


def _reliability(data: SessionData, neuron: str) -> Drawing:
    table = data.by_image(neuron)
    own = data.table.set_index(data.table["neuron_id"].astype(str)).loc[neuron]
    text = f"Oracle correlation {number(own['oracle'])}"
    if np.isfinite(own["oracle_low"]):
        text += f" (95 % interval {number(own['oracle_low'])} to {number(own['oracle_high'])})"
    text += f", against {number(own['oracle_null_95'])} when trials are dealt out at random"
    return drawing(
        "reliability",
        "Reliability",
        f"Counts of neuron {neuron} over odd against even trials, and images ranked by mean count. "
        f"{text}.",
        f"Left: one dot per image. Right: mean counts with their standard error. {text}; a "
        f"perfect model can reach a correlation of {number(own['cc_max'])}.",
        reliability_figure(
            table[["odd", "even"]].to_numpy().T, table["mean"].to_numpy(), table["sem"].to_numpy()
        ),
        table,
    )


def _prediction(data: SessionData, neuron: str) -> Drawing:
    import xarray as xr

    column = data.responses.column(neuron)
    search = data.search
    measured = data.responses.means[:, column]
    predicted = search["prediction_model"][:, column]
    place = float(search["x"][column]), float(search["y"][column])
    axes = {"y_deg": search["place_y"], "x_deg": search["place_x"]}
    numbers = {"image_id": data.responses.image_ids, "measured": measured, "predicted": predicted}
    return drawing(
        "prediction",
        "Prediction of images it has not seen",
        f"Measured against predicted mean counts of neuron {neuron}, and the score of every place "
        f"on the screen, highest at {place[0]:.0f}, {place[1]:.0f} degrees.",
        "Left: each image predicted by a model that has not seen it. Right: how well a readout at "
        "each place does; circle: the place chosen.",
        prediction_figure(
            measured,
            predicted,
            xr.DataArray(search["place_score"][..., column], axes, list(axes)),
            place,
        ),
        pd.DataFrame(numbers),
    )


def _scores(data: SessionData, neuron: str) -> Drawing:
    scores = read_csv(data.files(neuron).scores, ("model", "cc_norm"))
    curve = data.curve[data.curve["neuron_id"].astype(str) == neuron]
    images = data.training_images
    parts = [scores.assign(images=images), curve.drop(columns="neuron_id").assign(model="model")]
    columns = ["model", "images", "cc_norm", "cc_norm_low", "cc_norm_high"]
    said = ", ".join(f"{r['model']} {number(r['cc_norm'])}" for _, r in scores.iterrows())
    return drawing(
        "scores",
        "Against baselines, and with fewer images",
        f"Normalised correlation on held-out images for neuron {neuron}: {said}.",
        "Correlation with the noise removed (1 is perfect) and its 95 % interval over images. The "
        "control went through the same procedure with images dealt out at random. "
        + (
            "Right: a curve that still rises says that more images would help."
            if len(curve)
            else ""
        ),
        neuron_scores(scores, curve, images),
        pd.concat([part for part in parts if len(part)])[columns],
    )


def _spectra(data: SessionData, neuron: str) -> Drawing:
    table = read_csv(data.files(neuron).spectra, ("stimulus", "profile"))
    stimuli = [name for name in _SPECTRA if (table["stimulus"] == name).any()]
    return drawing(
        "spectra",
        "Power spectra",
        f"Mean power of the stimuli of neuron {neuron} over spatial frequency and over direction.",
        "Directions are those of the modulation, counter-clockwise: 0 is a vertical grating. The "
        f"spectra in two dimensions: neurons/{neuron}/spectra.svg.",
        profiles_figure(table, stimuli),
        table,
    )


def _tuning(view: TuningView | None, neuron: str) -> list[Drawing]:
    if view is None:
        return []
    rows = []
    for kind, field in view.maps.items():
        counts = field.to_series()
        places = [f"{x:g} {y:g}" for y, x in counts.index]
        rows.append(pd.DataFrame({"curve": "position", "value": places, kind: counts.to_numpy()}))
    maps = [rows[0].assign(predicted=rows[1]["predicted"])] if len(rows) == 2 else []
    for name, (values, recorded, error, predicted) in view.curves.items():
        columns = {"value": values, "recorded": recorded, "sem": error, "predicted": predicted}
        maps.append(pd.DataFrame({"curve": name} | columns))
    known = view.scores["cc_abs"].dropna()
    said = ", ".join(f"{str(k).replace('_', ' ')} {v:.2f}" for k, v in known.items())
    return [
        drawing(
            "tuning",
            "Tuning, recorded against predicted",
            f"Recorded and predicted responses of neuron {neuron} to Gabors and gratings; "
            f"correlations: {said}.",
            "The session showed these stimuli, too; the model was fitted to natural images and "
            "predicts them. Bars: standard error. Ceiling: what a perfect model would reach, given "
            "the noise.",
            tuning_figure(view),
            pd.concat(maps),
        )
    ]


def _experiments(data: SessionData, neuron: str) -> list[Drawing]:
    table = data.experiments
    if table.empty:
        return []
    own = table[table["neuron_id"].astype(str) == neuron].dropna(axis=1, how="all")
    names = ", ".join(dict.fromkeys(own["experiment"]))
    return [
        drawing_of_file(
            "experiments",
            "Experiments on the model",
            f"Predicted tuning of neuron {neuron} in experiments on its model: {names}.",
            "Predictions all: what a physiologist would do with the neuron, done with its model.",
            data.files(neuron).experiments_svg,
            own.drop(columns="neuron_id"),
        )
    ]
