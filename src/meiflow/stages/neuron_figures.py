"""Figures of single neurons for a publication, drawn from the results when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from meiflow.comparison.compare import image_masks
from meiflow.errors import MeiflowError, closest
from meiflow.figures import neuron as draw
from meiflow.figures.experiments import neuron_figure
from meiflow.figures.models import neuron_scores
from meiflow.figures.recorded import tuning_figure
from meiflow.figures.spectrum import PROFILE_ORDER, SpectrumView, profiles_figure, spectrum_figure
from meiflow.figures.style import relabelled, save_figure
from meiflow.figures.trials import psth, raster_figure, strip_figure
from meiflow.images.spectrum import power_spectrum
from meiflow.io.files import read_csv
from meiflow.report.page import config_of_report
from meiflow.report.session_data import SessionData, mask_of, read_session_data
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected
from meiflow.tables.image_spikes import AFTER_S, BEFORE_S


def _mei(data: SessionData, neuron: str) -> Figure:
    comparison = read_csv(data.files(neuron).comparison, ("stimulus", "x_deg", "y_deg"))
    mei = comparison.set_index("stimulus").loc["mei"]
    centre = float(mei["x_deg"]), float(mei["y_deg"])
    image, grid = data.images(neuron)["mei"], data.config.image.geometry
    return draw.mei_figure(image, mask_of(data, neuron), centre, grid)


def _transparent(data: SessionData, neuron: str) -> Figure | None:
    found = data.transparent.get(neuron)
    if found is None:
        return None
    return draw.transparent_figure(found.image, found.alpha, data.config.image.geometry)


def _rivals(data: SessionData, neuron: str) -> Figure:
    comparison = read_csv(data.files(neuron).comparison)
    return draw.rivals_figure(data.images(neuron), comparison, data.config.image.geometry)


def _responses(data: SessionData, neuron: str) -> Figure:
    comparison = read_csv(data.files(neuron).comparison)
    return draw.responses_figure(comparison, data.true_fraction(neuron))


def _ascent(data: SessionData, neuron: str) -> Figure:
    return draw.ascent_figure(read_csv(data.files(neuron).mei_trace, ("step", "response")))


def _trials(data: SessionData, neuron: str) -> Figure:
    shown, grid = data.best_and_worst(neuron), data.config.image.geometry
    if data.spikes is None:
        mean = float(data.responses.means[:, data.responses.column(neuron)].mean())
        return strip_figure(shown, mean, grid)
    everywhere = psth(data.all_spikes(neuron), -BEFORE_S, AFTER_S)
    return raster_figure(shown, everywhere, data.window, grid)


def _reliability(data: SessionData, neuron: str) -> Figure:
    table = data.by_image(neuron)
    halves = table[["odd", "even"]].to_numpy().T
    return draw.reliability_figure(halves, table["mean"].to_numpy(), table["sem"].to_numpy())


def _prediction(data: SessionData, neuron: str) -> Figure:
    column, search = data.responses.column(neuron), data.search
    axes = {"y_deg": search["rf_map_y_deg"], "x_deg": search["rf_map_x_deg"]}
    return draw.prediction_figure(
        data.responses.means[:, column],
        search["prediction_model"][:, column],
        xr.DataArray(search["rf_map"][..., column], axes, list(axes)),
        (float(search["rf_x_deg"][column]), float(search["rf_y_deg"][column])),
    )


def _scores(data: SessionData, neuron: str) -> Figure:
    scores = read_csv(data.files(neuron).scores, ("model", "cc_norm"))
    curve = data.curve[data.curve["neuron_id"].astype(str) == neuron]
    return neuron_scores(scores, curve)


def _profiles(data: SessionData, neuron: str) -> Figure:
    table = read_csv(data.files(neuron).spectra, ("stimulus", "profile"))
    return profiles_figure(table, [n for n in PROFILE_ORDER if (table["stimulus"] == n).any()])


def _spectra(data: SessionData, neuron: str) -> Figure:
    from meiflow.stages.common import open_models

    config, geometry = data.config, data.config.image.geometry
    model = open_models(config, data.results).model(neuron, config.model.custom)
    views = []
    for name, pixels in data.images(neuron).items():
        image = pixels.astype(float)
        masks = image_masks(
            image, geometry, config.comparison, lambda seen: model.predict(seen) - model.baseline
        )
        views.append(SpectrumView(name, image, masks.measured, power_spectrum(image, geometry)))
    return spectrum_figure(views, geometry)


def _tuning(data: SessionData, neuron: str) -> Figure | None:
    return tuning_figure(data.tuning[neuron]) if neuron in data.tuning else None


def _experiments(data: SessionData, neuron: str) -> Figure | None:
    found = data.experiments
    if found is None or neuron not in found.tables:
        return None
    return neuron_figure(
        found.tables[neuron], found.maps.get(neuron, {}), found.summary.loc[neuron]
    )


FIGURES: dict[str, Callable[[SessionData, str], Figure | None]] = {
    "mei": _mei,
    "transparent": _transparent,
    "rivals": _rivals,
    "responses": _responses,
    "ascent": _ascent,
    "trials": _trials,
    "reliability": _reliability,
    "prediction": _prediction,
    "scores": _scores,
    "profiles": _profiles,
    "spectra": _spectra,
    "tuning": _tuning,
    "experiments": _experiments,
}
_WHY = {
    "transparent": "no transparent MEI was made of this neuron (stimuli.make), or it is silent",
    "tuning": "neither Gabors nor static gratings were shown in this session",
    "experiments": "no experiments were run on this neuron (experiments.make)",
}


def draw_figures(
    results: Layout, neurons: Sequence[str], names: Sequence[str], suffix: str, output: Path | None
) -> list[Path]:
    """Draw figures of neurons of a finished session.

    Parameters
    ----------
    results : Layout
    neurons : sequence of str
        Ids; all fitted neurons if empty.
    names : sequence of str
        Names of `FIGURES`; all that the session has if empty.
    suffix : {"pdf", "svg", "png"}
    output : Path or None
        A file, for one figure of one neuron, or a folder; by default ``neurons/{id}/figures``.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    MeiflowError
        If a neuron or a name is unknown, or if the session does not have what a figure shows.
    """
    for name in names:
        if name not in FIGURES:
            raise MeiflowError(
                f"figure {name!r}: unknown{closest(name, FIGURES)}; allowed: {', '.join(FIGURES)}"
            )
    config = config_of_report(results.report)
    for neuron in neurons:
        require_selected(results.fitted_neurons, neuron)
    data = read_session_data(config, results, SessionHas.found(results))
    written = []
    for neuron in neurons or data.neurons:
        for name in names or FIGURES:
            figure = FIGURES[name](data, neuron)
            if figure is None:
                if names:
                    raise MeiflowError(f"figure {name}: {_WHY[name]}")
                continue
            path = _path(results, neuron, name, suffix, output, len(neurons) == len(names) == 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_figure(relabelled(figure, data.response), path)
            written.append(path)
    return written


def _path(
    results: Layout, neuron: str, name: str, suffix: str, output: Path | None, single: bool
) -> Path:
    if output is None:
        return results.neuron(neuron).figure(name, suffix)
    if output.suffix.removeprefix(".") == suffix:
        if not single:
            raise MeiflowError(
                f"--output {output}: one file cannot hold several figures; name a folder, or one "
                "neuron and one figure"
            )
        return output
    return output / f"{neuron}-{name}.{suffix}"
