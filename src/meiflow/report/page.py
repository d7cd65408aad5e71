"""The report stage: figures on disk and one self-contained HTML page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow import __version__
from meiflow.comparison.compare import read_procedure, read_stimuli
from meiflow.figures.models import learning_curves, model_scores
from meiflow.figures.neuron import NeuronView, neuron_figure
from meiflow.figures.overview import (
    closed_loop,
    gallery,
    response_ratios,
)
from meiflow.figures.recorded import tuning_figure
from meiflow.figures.style import as_data_uri, save_both
from meiflow.files import read_arrays, read_csv, write_text
from meiflow.progress import track
from meiflow.sections import Config
from meiflow.selection.select import selected_neurons
from meiflow.stimuli.names import SHOWN_PROCEDURES
from meiflow.tables.load import load_responses
from meiflow.validation.views import tuning_views

_GALLERY = 10
_MORE = 1.02  # times the best Gabor's response: less is no difference worth telling


def _number(value: object, digits: int = 2) -> str:
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "–"
        small = 0 < abs(float(value)) < 0.5 * 10**-digits
        return f"{value:.1e}" if small else f"{value:.{digits}f}"
    return str(value)


def _picture(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _sure(summary: pd.DataFrame) -> str:
    """In how many neurons the models of the folds agree that the MEI excites more."""
    if "mei_over_best_gabor_low" not in summary:
        return ""
    low = summary["mei_over_best_gabor_low"].dropna()
    return (
        f" (in {int((low > _MORE).sum())} of {len(low)} neurons it falls short by {_MORE - 1:.0%} "
        "or more, with 95 % confidence over the models of the folds)"
        if len(low)
        else ""
    )


def _headline(summary: pd.DataFrame, table: pd.DataFrame, simulated: bool) -> list[str]:
    """What was found, in sentences; every number comes from the tables."""
    lines = [
        f"{len(summary)} of {len(table)} neurons were selected.",
        "On images it had not seen, the model reaches a mean normalised correlation of "
        f"{_number(summary['cc_norm_model'].mean())} (pixel ridge "
        f"{_number(summary['cc_norm_pixel_ridge'].mean())}, shuffled control "
        f"{_number(summary['cc_norm_model_shuffled'].mean())}).",
    ]
    weak = int((~summary["model_holds"]).sum())
    if weak:
        lines.append(
            f"For {weak} of them the model is not better than chance (held-out correlation within "
            "the shuffled controls): do not believe their MEIs. They are marked below."
        )
    beaten = (summary["mei_response"] > summary["best_natural_response"]).sum()
    lines.append(
        f"The model predicts more spikes for the MEI than for the best natural image in {beaten} "
        f"of {len(summary)} neurons, at equal mean and contrast; the best Gabor in silico reaches "
        f"{_number((summary['best_gabor_response'] / summary['mei_response']).mean())} of the "
        f"MEI's predicted response on average{_sure(summary)}. A prediction alone proves nothing."
    )
    if simulated:
        mei = summary["mei_true_fraction"]
        natural = summary["best_natural_true_fraction"]
        lines.append(
            "Closed loop, shown to the simulated neurons themselves: the MEI reaches "
            f"{_number(mei.mean())} of the best drive any such image can give (lowest "
            f"{_number(mei.min())}), the best Gabor in silico "
            f"{_number(summary['best_gabor_true_fraction'].mean())}, the best natural image "
            f"{_number(natural.mean())}; the MEI beats the natural image in "
            f"{int((mei > natural).sum())} of {int(mei.notna().sum())}."
        )
    return lines


def _neuron_views(
    config: Config, results: Path, neurons: list[str], loop: pd.DataFrame | None
) -> list[NeuronView]:
    search = read_arrays(results / "models" / "search.npz")
    responses = load_responses(results / "tables", config.image.geometry)
    views = []
    for neuron in neurons:
        folder = results / "neurons" / neuron
        column = responses.column(neuron)
        comparison = read_csv(folder / "comparison.csv")
        fractions: dict[str, float] = {}
        if loop is not None:
            own = loop[loop["neuron_id"].astype(str) == neuron]
            fractions = dict(zip(own["stimulus"], own["fraction_of_optimum"], strict=True))
        views.append(
            NeuronView(
                images={
                    s.name: s.image
                    for s in read_stimuli(folder, "recorded_gabor" in set(comparison["stimulus"]))
                },
                comparison=comparison,
                trace=read_csv(folder / "mei_trace.csv"),
                measured=responses.means[:, column],
                predicted=search["prediction_model"][:, column],
                place_score=search["place_score"][..., column],
                place_x=search["place_x"],
                place_y=search["place_y"],
                x=float(search["x"][column]),
                y=float(search["y"][column]),
                true_fraction=fractions,
            )
        )
    return views


def _further_images(
    results: Path, made: list[str], neurons: list[str]
) -> dict[str, dict[str, NDArray]]:
    """What the procedures made for some neurons, as it was made."""
    found: dict[str, dict[str, NDArray]] = {neuron: {} for neuron in neurons}
    for procedure, name in (SHOWN_PROCEDURES | {"suppressive": "suppressive"}).items():
        if procedure not in made:
            continue
        images = read_procedure(results / "stimuli", procedure, neurons)
        for neuron, image in zip(neurons, images, strict=True):
            found[neuron][name] = image
    return found


def _gallery_titles(summary: pd.DataFrame) -> dict[str, str]:
    return {
        str(row["neuron_id"]): f"{row['neuron_id']}\nCC_norm {_number(row['cc_norm_model'])}"
        + (f", truth {_number(row['mei_true_fraction'])}" if "mei_true_fraction" in row else "")
        for _, row in summary.iterrows()
    }


def _agreement_line(results: Path) -> str:
    """How well the recorded tuning is predicted, in a sentence."""
    table = read_csv(results / "validation" / "recorded.csv")
    errors = read_csv(results / "validation" / "preferences.csv")
    parts = []
    for curve, name, error, unit in (
        ("position", "Gabor positions", "field_error_deg", "degrees"),
        ("orientation", "grating orientations", "orientation_error_deg", "degrees"),
        ("spatial_frequency", "spatial frequencies", "frequency_error_octaves", "octaves"),
    ):
        rows = table[(table["curve"] == curve) & table["tuned"] & table["cc_abs"].notna()]
        if len(rows):
            parts.append(
                f"{name} {_number(rows['cc_abs'].mean())} (ceiling "
                f"{_number(rows['cc_max'].mean())}, models of other neurons "
                f"{rows['cc_others'].mean():.2f}; preferences a median "
                f"{_number(errors[error].median())} {unit} apart, "
                f"{_number(errors[f'{error}_others'].median())} with other neurons' models; "
                f"{len(rows)} neurons)"
            )
    if not parts:
        return "No neuron has significant recorded tuning to compare the predictions with."
    seen = " and the gratings: no prediction of these" if table["learned"].any() else ""
    return (
        "Recorded against predicted, over neurons with significant recorded tuning: mean "
        f"correlation for {', '.join(parts)}. The models were fitted to the natural images{seen}."
    )


def write_report(
    config: Config,
    results: Path,
    loop_path: Path | None,
    recorded: bool,
    figures: Path,
    output: Path,
) -> None:
    """Write ``report.html`` and the overview figures (PNG and SVG).

    Parameters
    ----------
    config : Config
        The whole configuration; printed on the page.
    results : path
        Results folder of the session, complete.
    loop_path : path or None
        closed_loop.csv of a simulated session.
    recorded : bool
        Whether recorded tuning was compared with what the models predict.
    figures : path
        Folder for the figures.
    output : path
        The page: one file that opens without a network.
    """
    from jinja2 import Environment, PackageLoader

    summary = read_csv(results / "summary.csv")
    table = read_csv(results / "selection" / "neurons.csv")
    neurons = selected_neurons(results / "selection" / "neurons.csv")
    loop = read_csv(loop_path) if loop_path is not None else None
    scores = read_csv(results / "models" / "cross_validation.csv")
    geometry = config.image.geometry
    views = _neuron_views(config, results, neurons, loop)

    ranked = summary.sort_values("cc_norm_model", ascending=False)["neuron_id"].astype(str)
    best = list(ranked[:_GALLERY])
    shown: dict[str, dict[str, NDArray]] = {n: views[neurons.index(n)].images for n in best}
    drawn: dict[str, Any] = {
        "gallery": gallery(shown, geometry, _gallery_titles(summary)),
        "scores": model_scores(scores, neurons),
        "responses": response_ratios(summary),
    }
    further = _further_images(results, list(config.stimuli.make), best)
    if any(further.values()):
        mine = {n: {"mei": shown[n]["mei"]} | further[n] for n in best}
        drawn["procedures"] = gallery(mine, geometry, _gallery_titles(summary))
    curve = read_csv(results / "models" / "learning_curve.csv")
    if len(curve):
        folds = int(scores["folds"].max())
        seen = len(read_csv(results / "tables" / "responses.csv"))
        drawn["learning"] = learning_curves(curve, scores, round(seen * (1 - 1 / folds)))
    if loop is not None:
        drawn["closed_loop"] = closed_loop(loop)
    for name, figure in drawn.items():
        save_both(figure, figures, name)

    headline = _headline(summary, table, loop is not None)
    tuning: dict[str, str] = {}
    if recorded:
        headline.append(_agreement_line(results))
        views_of = tuning_views(results / "tables", results / "validation", neurons)
        tuning = {n: as_data_uri(tuning_figure(v)) for n, v in views_of.items()}
    holds = dict(zip(summary["neuron_id"].astype(str), summary["model_holds"], strict=True))
    gabor = results / "tables" / "gabor_responses.csv"
    repeats = int(read_csv(gabor)["repeats"].median()) if "recorded_gabor" in shown[best[0]] else 0
    cards = [
        {
            "id": neuron,
            "figure": as_data_uri(neuron_figure(view, geometry)),
            "comparison": [
                {k: _number(v, 3) for k, v in row.items()}
                for row in view.comparison.to_dict("records")
            ],
            "tuning": tuning.get(neuron, ""),
            "target": f"{results}/neurons/{neuron}/comparison.csv",
            "holds": bool(holds[neuron]),
        }
        for neuron, view in track(
            list(zip(neurons, views, strict=True)), "drawing neurons", len(neurons)
        )
    ]
    columns = [c for c in summary.columns if not c.endswith("_true_fraction")]
    columns += [c for c in summary.columns if c.endswith("_true_fraction")]
    environment = Environment(
        loader=PackageLoader("meiflow.report"), autoescape=True, trim_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(
        title=config.report.title or f"meiflow: session {config.session.id}",
        simulated=loop is not None,
        session=config.session.model_dump(),
        headline=headline,
        tuning=_picture(results / "validation" / "recorded.png") if recorded else "",
        figures={name: _picture(figures / f"{name}.png") for name in drawn},
        movies=_picture(results / "stimuli" / "movies.png") if config.movie.model else "",
        selection={
            name: _picture(results / "selection" / f"{name}.png")
            for name in ("oracle", "measures", "rastermap")
        },
        selected=len(neurons),
        recorded=len(table),
        unstable=int((~table["is_stable"]).sum()),
        columns=columns,
        rows=[
            [{"text": _number(row[c], 3), "value": row[c]} for c in columns]
            for row in summary[columns].to_dict("records")
        ],
        cards=cards,
        config=config.model_dump_json(indent=2),
        config_extra=config.model.extra,
        experiments=bool(config.experiments.make or config.experiments.own),
        notebook=config.comparison.notebook,
        version=__version__,
        gallery_size=len(best),
        gabor_repeats=repeats,
    )
    write_text(page, output)
