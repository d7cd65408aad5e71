"""Figures on the page of a neuron."""

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
from meiflow.figures.recorded import tuning_figure
from meiflow.figures.spectrum import profiles_figure
from meiflow.figures.trials import PresentedImage, psth, raster_figure, strip_figure
from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.drawing import Drawing, drawing, drawing_of_file, image_table
from meiflow.report.session_data import SessionData, mask_of
from meiflow.response_type import ResponseType
from meiflow.tables.image_spikes import AFTER_S, BEFORE_S

_SPECTRA = ("best_natural", "windowed_natural", "recorded_gabor", "best_gabor", "mei")


def neuron_drawings(data: SessionData, neuron: str) -> list[Drawing]:
    """All figures of a neuron, in the order of its page.

    Parameters
    ----------
    data : SessionData
    neuron : str
        Id of a fitted neuron.
    """
    found = [
        *_stimuli(data, neuron),
        _trials(data, neuron),
        _reliability(data, neuron),
        _prediction(data, neuron),
        _scores(data, neuron),
        _spectra(data, neuron),
        *_tuning(data, neuron),
        *_experiments(data, neuron),
    ]
    return [figure.reworded(data.called) for figure in found]


def _stimuli(data: SessionData, neuron: str) -> list[Drawing]:
    grid = data.config.image.geometry
    files = data.files(neuron)
    images = data.images(neuron)
    comparison = read_csv(files.comparison, ("stimulus", "predicted_response"))
    trace = read_csv(files.mei_trace, ("step", "response"))
    truth = data.true_fraction(neuron)
    mei = comparison.set_index("stimulus").loc["mei"]
    x, y = float(mei["x_deg"]), float(mei["y_deg"])
    share = float(mei["tight_fraction"])
    where = (
        f"centred {number(x, 0)} degrees to the right of and {number(y, 0)} above the centre of "
        "the screen, "
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
            "The image with the highest predicted response at the common mean and contrast. "
            f"Yellow: the tight mask, which retains {100 * share:.0f} % of the response, and its "
            "centre.",
            mei_figure(images["mei"], mask_of(data, neuron), (x, y), grid),
            image_table(images["mei"], grid.x, grid.y),
        ),
        drawing(
            "rivals",
            "Comparison with Gabors and natural images",
            f"Stimuli of neuron {neuron} with predicted counts: {counts}.",
            "All have the same mean and RMS contrast; the predicted count is given above each. The "
            "grey scale of each picture is stretched to its own range.",
            rivals_figure(images, comparison, grid),
            comparison,
        ),
        drawing(
            "responses",
            "Response to each stimulus",
            f"Predicted counts of neuron {neuron} relative to the MEI"
            + (" and true drives relative to the maximal drive." if truth else "."),
            "Bars: predictions. Lines: 95 % interval over the fold models, which does not account "
            "for the fact that the MEI was chosen with this model."
            + (" Diamonds: the simulated neuron itself, in closed loop." if truth else ""),
            responses_figure(comparison, truth),
            responses,
            data.response,
        ),
        drawing(
            "ascent",
            "Optimisation of the MEI",
            f"Predicted count over {len(trace)} steps of gradient ascent, ending at "
            f"{number(float(trace['response'].iloc[-1]))}.",
            "The best step is kept. The optimisation has converged if the upper edge of the curve "
            "is flat at the end; early, large steps may oscillate around the optimum.",
            ascent_figure(trace),
            trace,
            data.response,
        ),
    ]


def _trials(data: SessionData, neuron: str) -> Drawing:
    shown = data.best_and_worst(neuron)
    grid = data.config.image.geometry
    best = [one.label for one in shown if one.best]
    worst = [one.label for one in shown if not one.best]
    alt = (
        f"Single trials of neuron {neuron}: {' and '.join(best)} drive it most (mean count "
        f"{number(shown[0].centre)}), {' and '.join(worst)} least "
        f"({number(shown[-1].centre)})."
    )
    if data.spikes is None:
        mean = float(data.responses.means[:, data.responses.column(neuron)].mean())
        return drawing(
            "trials",
            "Best and worst images, trial by trial",
            alt,
            "One circle per trial; bars: means; grey: mean over all images. There is no raster "
            "because only spike counts are available for this session.",
            strip_figure(shown, mean, grid),
            _counts_table(shown, data.response),
            data.response,
        )
    later = "The next image follows immediately, so later spikes are responses to that image."
    if data.config.session.source not in ("simulated", "allen"):  # there may be gaps
        later = "Later spikes may be responses to the next image."
    everywhere = psth(data.all_spikes(neuron), -BEFORE_S, AFTER_S)
    return drawing(
        "trials",
        "Best and worst images: raster and PSTH",
        alt,
        "The two best and two worst images with their mean count; spikes of every trial; rate in "
        "bins of 20 ms. Grey line: mean over all images. Shaded: counting window. " + later,
        raster_figure(shown, everywhere, data.window, grid),
        _spikes_table(shown),
    )


def _counts_table(shown: list[PresentedImage], response: ResponseType) -> pd.DataFrame:
    kind = float if response.real else int
    rows = [(one.label, k + 1, kind(c)) for one in shown for k, c in enumerate(one.counts)]
    return pd.DataFrame(rows, columns=["image", "trial", response.noun])


def _spikes_table(shown: list[PresentedImage]) -> pd.DataFrame:
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
    text += f"; 95th percentile for permuted trials {number(own['oracle_null_95'])}"
    return drawing(
        "reliability",
        "Reliability",
        f"Mean counts of neuron {neuron} in odd and even trials, and images ranked by mean count. "
        f"{text}.",
        f"Left: one dot per image. Right: mean counts with standard errors. {text}; a "
        f"perfect model would reach a correlation of {number(own['cc_max'])}.",
        reliability_figure(
            table[["odd", "even"]].to_numpy().T, table["mean"].to_numpy(), table["sem"].to_numpy()
        ),
        table,
        data.response,
    )


def _prediction(data: SessionData, neuron: str) -> Drawing:
    import xarray as xr

    column = data.responses.column(neuron)
    search = data.search
    measured = data.responses.means[:, column]
    predicted = search["prediction_model"][:, column]
    place = float(search["rf_x_deg"][column]), float(search["rf_y_deg"][column])
    axes = {"y_deg": search["rf_map_y_deg"], "x_deg": search["rf_map_x_deg"]}
    numbers = {"image_id": data.responses.image_ids, "measured": measured, "predicted": predicted}
    return drawing(
        "prediction",
        "Prediction of held-out images",
        f"Measured and predicted mean counts of neuron {neuron}, and its RF map, which is "
        f"highest at {place[0]:.0f}, {place[1]:.0f} degrees.",
        "Left: predictions by models that were not fitted to the image. Right: RF map, the score "
        "of a readout at each position; circle: the chosen RF position.",
        prediction_figure(
            measured,
            predicted,
            xr.DataArray(search["rf_map"][..., column], axes, list(axes)),
            place,
        ),
        pd.DataFrame(numbers),
        data.response,
    )


def _scores(data: SessionData, neuron: str) -> Drawing:
    scores = read_csv(data.files(neuron).scores, ("model", "cc_norm"))
    curve = data.curve[data.curve["neuron_id"].astype(str) == neuron]
    images = data.training_images
    parts = [scores.assign(images=images), curve.drop(columns="neuron_id").assign(model="model")]
    columns = ["model", "images", "cc_norm", "cc_norm_low", "cc_norm_high"]
    values = ", ".join(f"{r['model']} {number(r['cc_norm'])}" for _, r in scores.iterrows())
    return drawing(
        "scores",
        "Comparison with baselines, and learning curve",
        f"Normalised correlation on held-out images for neuron {neuron}: {values}.",
        "Noise-corrected correlation (1 is perfect) with its 95 % interval over images. The "
        "shuffled control is the same procedure on responses permuted across images. "
        + ("Right: if the curve still rises, more images would help." if len(curve) else ""),
        neuron_scores(scores, curve, images),
        pd.concat([part for part in parts if len(part)])[columns],
    )


def _spectra(data: SessionData, neuron: str) -> Drawing:
    table = read_csv(data.files(neuron).spectra, ("stimulus", "profile"))
    stimuli = [name for name in _SPECTRA if (table["stimulus"] == name).any()]
    return drawing(
        "spectra",
        "Power spectra",
        f"Mean power of the stimuli of neuron {neuron} as a function of spatial frequency and "
        "direction.",
        "Direction is that of the modulation, counter-clockwise: 0 is a vertical grating. "
        f"Two-dimensional spectra: neurons/{neuron}/spectra.svg.",
        profiles_figure(table, stimuli),
        table,
    )


def _tuning(data: SessionData, neuron: str) -> list[Drawing]:
    view = data.tuning.get(neuron)
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
    correlations = ", ".join(f"{str(k).replace('_', ' ')} {v:.2f}" for k, v in known.items())
    return [
        drawing(
            "tuning",
            "Recorded and predicted tuning",
            f"Recorded and predicted responses of neuron {neuron} to Gabors and gratings; "
            f"correlations: {correlations}.",
            "These stimuli were shown in the same session; a model that was not fitted to "
            "this kind of stimulus predicts the responses. Bars: standard error. Ceiling: "
            "correlation that a perfect model would reach, given the noise.",
            tuning_figure(view),
            pd.concat(maps),
            data.response,
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
            "Standard physiology experiments, run on the model. All curves are predictions.",
            data.files(neuron).experiments_svg,
            own.drop(columns="neuron_id"),
        )
    ]
