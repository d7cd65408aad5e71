"""Figures on the page of a neuron: their words, and the data from which the page draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.figures.models import KINDS, curve_title
from meiflow.figures.recorded import verdict
from meiflow.figures.spectrum import PROFILE_ORDER
from meiflow.figures.style import STIMULUS_NAMES
from meiflow.figures.trials import PresentedImage, psth
from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.experiment_plots import contrast_plots, experiment_plots
from meiflow.report.plot import Plot, columns, grey_pixels, outline, pixels, shrunk, values
from meiflow.report.session_data import SessionData
from meiflow.response_type import ResponseType
from meiflow.results.layout import NeuronLayout
from meiflow.results.stimuli import read_ascent
from meiflow.tables.image_spikes import AFTER_S, BEFORE_S

_SMALL = 48  # about the width of images on the way to the MEI
_MORE_IMAGES = "if the curve still rises, more images would help."
_MOST_COUNT = 254  # highest count that the raster keeps exactly; 255 marks a missing trial


def neuron_plots(
    data: SessionData, neuron: str, images: Mapping[str, NDArray], mask: NDArray
) -> list[Plot]:
    """All figures of a neuron, in the order of its page.

    Parameters
    ----------
    data : SessionData
    neuron : str
        Id of a fitted neuron.
    images : mapping of str to ndarray
        Its stimuli by name, each of shape (height, width).
    mask : ndarray, shape (height, width)
        Tight mask of its MEI.
    """
    found = [
        *_stimuli(data, neuron, images, mask),
        *_transparent(data, neuron),
        _trials(data, neuron),
        _reliability(data, neuron),
        _prediction(data, neuron),
        _scores(data, neuron),
        _spectra(data, neuron),
        *_tuning(data, neuron),
        *contrast_plots(data, neuron),
        _raster(data, neuron),
        *experiment_plots(data, neuron),
    ]
    return [plot.reworded(data.called) for plot in found]


def _stimuli(
    data: SessionData, neuron: str, images: Mapping[str, NDArray], mask: NDArray
) -> list[Plot]:
    files = data.files(neuron)
    comparison = read_csv(files.comparison, ("stimulus", "predicted_response"))
    trace = read_csv(files.mei_trace, ("step", "response"))
    truth = data.true_fraction(neuron)
    mei = comparison.set_index("stimulus").loc["mei"]
    x, y = float(mei["x_deg"]), float(mei["y_deg"])
    share = float(mei["tight_fraction"])
    where = (
        f"centred {number(abs(x), 0)} degrees to the {'right' if x >= 0 else 'left'} of and "
        f"{number(abs(y), 0)} {'above' if y >= 0 else 'below'} the centre of the screen, "
        f"{number(mei['peak_frequency_cpd'], 3)} cycles per degree, "
        f"{number(mei['size_deg'], 0)} degrees wide"
    )
    names = ["stimulus", "predicted_response", "mei_ratio", "mei_ratio_low", "mei_ratio_high"]
    responses = comparison[names]
    if truth:
        responses = responses.assign(true_fraction=responses["stimulus"].map(truth))
    counts = "; ".join(
        f"{STIMULUS_NAMES[row['stimulus']]} {number(row['predicted_response'])}"
        for _, row in comparison.iterrows()
    )
    starts = data.config.mei.restarts
    return [
        Plot(
            "mei",
            "Most exciting input",
            f"Most exciting input of neuron {neuron}: {where}.",
            "The image with the highest predicted response at the common mean and contrast. "
            f"Yellow: the tight mask, which retains {100 * share:.0f} % of the response, and its "
            "centre.",
            {
                "image": grey_pixels(images["mei"], bits=16),
                "mask": outline(mask),
                "centre": values([x, y]),
            },
        ),
        Plot(
            "rivals",
            "Comparison with Gabors and natural images",
            f"Stimuli of neuron {neuron} with predicted counts: {counts}.",
            "All have the same mean and RMS contrast; the predicted count is given above each. The "
            "grey scale of each picture is stretched to its own range.",
            {
                "images": {
                    name: grey_pixels(images[name])
                    for name in STIMULUS_NAMES
                    if name in images and name != "mei"
                },
                "table": columns(comparison),
            },
        ),
        Plot(
            "responses",
            "Response to each stimulus",
            f"Predicted counts of neuron {neuron} relative to the MEI"
            + (" and true drives relative to the maximal drive." if truth else "."),
            "Bars: predictions. Lines: 95 % interval over the fold models, which does not account "
            "for the fact that the MEI was chosen with this model."
            + (" Diamonds: the simulated neuron itself, in closed loop." if truth else ""),
            {"table": columns(responses)},
        ),
        Plot(
            "ascent",
            "Optimisation of the MEI",
            f"Predicted count over {len(trace)} steps of gradient ascent, ending at "
            f"{number(float(trace['response'].iloc[-1]))}.",
            f"The best of {starts + 1} starts: {starts} of noise, and the best Gabor. The best "
            "step is kept. The optimisation has converged if the upper edge of the curve "
            "is flat at the end; early, large steps may oscillate around the optimum. The image "
            "is that of the step chosen below, at first the MEI; its grey scale is stretched to "
            "its own range.",
            {"table": columns(trace), "images": _ascent(files)},
        ),
    ]


def _transparent(data: SessionData, neuron: str) -> list[Plot]:
    found = data.transparent.get(neuron)
    if found is None:
        return []
    row, options = found.row, data.config.stimuli
    share = f"{100 * float(row['fraction_of_mei']):.0f} %"
    area, energy = (number(row[name], 0) for name in ("mask_deg2", "mei_energy_deg2"))
    behind = "noise" if options.transparent_background == "noise" else "images"
    return [
        Plot(
            "transparent",
            "Which pixels matter",
            f"Most exciting input of neuron {neuron} with an alpha channel: {area} square degrees "
            f"are opaque and retain {share} of the response.",
            "The MEI with an alpha channel, optimised together; where the chequerboard is seen, "
            f"pixels do not matter. On {behind} not used to optimise it, it retains {share} of the "
            f"response to the MEI. Opaque (yellow): {area} square degrees; 90 % of the MEI's "
            f"energy lies in {energy}. A larger mask hides surroundings that would suppress the "
            "neuron.",
            {
                "image": grey_pixels(found.image, bits=16),
                "alpha": pixels(found.alpha, 0.0, 1.0),
                "table": columns(row.to_frame().T.infer_objects().drop(columns="neuron_id")),
            },
        )
    ]


def _ascent(files: NeuronLayout) -> dict[str, dict[str, Any]]:
    """Small images on the way to the MEI, by step; the last, the MEI itself, is empty."""
    *way, (last, _) = read_ascent(files).items()
    return {str(step): grey_pixels(shrunk(image, _SMALL)) for step, image in way} | {str(last): {}}


def _trials(data: SessionData, neuron: str) -> Plot:
    shown = data.best_and_worst(neuron)
    best = [one.label for one in shown if one.best]
    worst = [one.label for one in shown if not one.best]
    alt = (
        f"Single trials of neuron {neuron}: {' and '.join(best)} drive it most (mean count "
        f"{number(shown[0].centre)}), {' and '.join(worst)} least "
        f"({number(shown[-1].centre)})."
    )
    trials = _range([len(one.counts) for one in shown])
    document: dict[str, Any] = {
        "images": [_presented(one) for one in shown],
    }
    if data.spikes is None:
        mean = float(data.responses.means[:, data.responses.column(neuron)].mean())
        return Plot(
            "trials",
            "Best and worst images, trial by trial",
            alt,
            f"One circle per trial (n = {trials} per image); bars: {data.response.average}s; grey: "
            "mean of these over all images. There is no raster because only spike counts are "
            "available for this session.",
            document | {"mean": mean, "table": columns(_counts_table(shown, data.response))},
        )
    later = "The next image follows immediately, so later spikes are responses to that image."
    if data.config.session.source not in ("simulated", "allen"):  # there may be gaps
        later = "Later spikes may be responses to the next image."
    times = data.all_spikes(neuron)
    edges, everywhere = psth(times, -BEFORE_S, AFTER_S)
    rates = [psth(one.spikes, -BEFORE_S, AFTER_S)[1] for one in shown]
    return Plot(
        "trials",
        "Best and worst images: raster and PSTH",
        alt,
        "The two best and two worst images with their mean count; spikes of every trial "
        f"(n = {trials} per image); rate in "
        f"bins of 20 ms. Grey line: mean over all {data.responses.means.shape[0]} images. Shaded: "
        "counting window. " + later,
        document
        | {
            "edges": values(edges),
            "everywhere": values(everywhere),
            "rates": [values(rate) for rate in rates],
            "window": values(data.window),
            "table": columns(_spikes_table(shown)),
        },
    )


def _range(numbers: ArrayLike) -> str:
    """The lowest and the highest number, or the only one."""
    found = np.asarray(numbers)
    return " to ".join(map(str, dict.fromkeys([int(found.min()), int(found.max())])))


def _presented(one: PresentedImage) -> dict[str, Any]:
    return {
        "label": one.label,
        "picture": grey_pixels(one.picture),
        "best": one.best,
        "centre": values([one.centre])[0],
        "trials": len(one.counts),
    }


def _raster(data: SessionData, neuron: str) -> Plot:
    trials = data.trials_by_image(neuron)
    real = data.response.real
    low = float(np.nanmin(trials)) if real else 0.0
    high = float(np.nanmax(trials, initial=low))
    if not real and high <= _MOST_COUNT:
        high = float(_MOST_COUNT)  # one level per count
    step = (high - low) / _MOST_COUNT or 1.0
    most = np.isfinite(trials).sum(1)
    return Plot(
        "raster",
        "Every image and trial",
        f"Counts of neuron {neuron} in each trial of {len(trials)} images, by their mean count.",
        f"Rows: {len(trials)} images; columns: their trials in the order of presentation "
        f"(n = {_range(most)}); colour: count. Right: measured mean count (black; "
        "bars: standard error over trials) and prediction by models that were not fitted to the "
        "image (orange). Point at a row to see its image.",
        {"trials": pixels(np.where(np.isfinite(trials), trials, np.inf), low, low + 255 * step)},
        wide=True,
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


def _reliability(data: SessionData, neuron: str) -> Plot:
    table = data.by_image(neuron)
    own = data.row_of(neuron)
    text = f"Oracle correlation {number(own['oracle'])}"
    if np.isfinite(own["oracle_low"]):
        text += f" (95 % interval {number(own['oracle_low'])} to {number(own['oracle_high'])})"
    text += f"; 95th percentile for permuted trials {number(own['oracle_null_95'])}"
    ceiling = "how well a perfect model would do is not known"
    if np.isfinite(own["cc_max"]):
        ceiling = f"a perfect model would reach a correlation of {number(own['cc_max'])}"
    return Plot(
        "reliability",
        "Reliability",
        f"Mean counts of neuron {neuron} in odd and even trials, and images ranked by mean count. "
        f"{text}.",
        f"Left: one dot per image (n = {len(table)}). Right: mean counts; band: standard error "
        f"over trials. {text}; {ceiling}.",
        {"table": columns(table)},
    )


def _prediction(data: SessionData, neuron: str) -> Plot:
    column = data.responses.column(neuron)
    search = data.search
    measured = data.responses.means[:, column]
    predicted = search["prediction_model"][:, column]
    place = float(search["rf_x_deg"][column]), float(search["rf_y_deg"][column])
    field = search["rf_map"][..., column]
    numbers = {"image_id": data.responses.image_ids, "measured": measured, "predicted": predicted}
    return Plot(
        "prediction",
        "Prediction of held-out images",
        f"Measured and predicted mean counts of neuron {neuron}, and its RF map, which is "
        f"highest at {place[0]:.0f}, {place[1]:.0f} degrees.",
        f"Left: predictions by models that were not fitted to the image, one dot per image "
        f"(n = {len(measured)}). Right: RF map, the score "
        "of a readout at each position; circle: the chosen RF position.",
        {
            "map": _field(field, search["rf_map_x_deg"], search["rf_map_y_deg"], 0.05),
            "place": values(place),
            "table": columns(pd.DataFrame(numbers)),
        },
    )


def _field(field: Any, x: Any, y: Any, least: float = 1e-9) -> dict[str, Any]:
    """A map (y, x) from 0 up to its maximum, which is at least `least`, with its axes."""
    top = max(float(np.max(field)), least)
    return pixels(field, 0.0, top) | {"x": values(x), "y": values(y)}


def _scores(data: SessionData, neuron: str) -> Plot:
    scores = read_csv(data.files(neuron).scores, ("model", "cc_norm"))
    curve = data.curve[data.curve["neuron_id"].astype(str) == neuron]
    images = data.training_images
    # its last point is one of the scores, if it is the curve of one model
    repeated = curve["model"].isin(scores["model"]) & (curve["images"] == images)
    parts = [scores.assign(images=images), curve[~repeated]]
    names = ["model", "images", "cc_norm", "cc_norm_low", "cc_norm_high"]
    shown = ", ".join(f"{r['model']} {number(r['cc_norm'])}" for _, r in scores.iterrows())
    kinds = [kind for kind in KINDS if (scores["model"] == kind[0]).any()]
    return Plot(
        "scores",
        "Comparison with baselines, and learning curve",
        f"Normalised correlation on held-out images for neuron {neuron}: {shown}.",
        "Noise-corrected correlation (1 is perfect, dotted). Bars: 95 % interval over "
        f"{data.responses.means.shape[0]} images. The "
        "shuffled control is the same procedure on responses permuted across images. "
        + (f"Right ({curve_title(curve)}): {_MORE_IMAGES}" if len(curve) else ""),
        {
            "kinds": kinds,
            "images": images,
            "curve": str(curve["model"].iloc[0]) if len(curve) else "",
            "curve_title": curve_title(curve) if len(curve) else "",
            "table": columns(pd.concat([part for part in parts if len(part)])[names]),
        },
    )


def _spectra(data: SessionData, neuron: str) -> Plot:
    table = read_csv(data.files(neuron).spectra, ("stimulus", "profile"))
    return Plot(
        "spectra",
        "Power spectra",
        f"Mean power of the stimuli of neuron {neuron} as a function of spatial frequency and "
        "direction.",
        "Left: mean over directions, by frequency. Right: mean over frequencies, by direction of "
        "the modulation, counter-clockwise: 0 is a vertical grating. "
        f"Two-dimensional spectra: meiflow figure {neuron} spectra.",
        {
            "stimuli": [name for name in PROFILE_ORDER if (table["stimulus"] == name).any()],
            "table": columns(table),
        },
    )


def _tuning(data: SessionData, neuron: str) -> list[Plot]:
    view = data.tuning.get(neuron)
    if view is None:
        return []
    rows = []
    for kind, field in view.maps.items():
        counts = field.to_series()
        places = [f"{x:g} {y:g}" for y, x in counts.index]
        rows.append(pd.DataFrame({"curve": "position", "value": places, kind: counts.to_numpy()}))
    maps = [rows[0].assign(predicted=rows[1]["predicted"])] if len(rows) == 2 else []
    for name, (value, recorded, error, predicted) in view.curves.items():
        shown = {"value": value, "recorded": recorded, "sem": error, "predicted": predicted}
        maps.append(pd.DataFrame({"curve": name} | shown))
    known = view.scores["cc_abs"].dropna()
    correlations = ", ".join(f"{str(k).replace('_', ' ')} {v:.2f}" for k, v in known.items())
    top = max((float(field.max()) for field in view.maps.values()), default=0.0)
    return [
        Plot(
            "tuning",
            "Recorded and predicted tuning",
            f"Recorded and predicted responses of neuron {neuron} to Gabors and gratings; "
            f"correlations: {correlations}.",
            "These stimuli were shown in the same session; a model that was not fitted to "
            "this kind of stimulus predicts the responses. Bars: standard error over trials. "
            "Ceiling: correlation that a perfect model would reach, given the noise.",
            {
                "maps": {
                    kind: _field(field.to_numpy(), field["x_deg"], field["y_deg"], top)
                    for kind, field in view.maps.items()
                },
                "verdicts": {
                    name: verdict(view.scores, name)
                    for name in ("position", *view.curves)
                    if name in view.scores.index
                },
                "table": columns(pd.concat(maps)),
            },
        )
    ]
