"""Summary sentences of the report; all numbers are taken from the tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.session_data import SessionData
from meiflow.report.trust import TrustCalibration, trust_of, trusted_rows
from meiflow.results.layout import Layout
from meiflow.validation.recorded import CURVES

_MORE = 1.02  # times the best Gabor's response: smaller differences are not worth mentioning
_ORACLE_P = 0.001
_NAMED = 12


@dataclass(frozen=True)
class FunnelStep:
    """A step of the funnel: how many units remain, and the criterion they passed."""

    count: int
    label: str
    meaning: str


def funnel(data: SessionData) -> list[FunnelStep]:
    """Number of units remaining at each stage, from the file to the trusted neurons."""
    session, units = data.config.session, data.units
    if session.source == "sensorium":
        stages = [
            FunnelStep(units["in_file"], "neurons in the folder", "session.sensorium.folder"),
            FunnelStep(units["passed"], "used", "session.sensorium"),
        ]
    elif session.source == "tables":
        given = "session.trials" if session.trials else "session.movies.counts"
        stages = [FunnelStep(units["passed"], "neurons in the tables", given)]
    else:
        where = f"in {', '.join(session.areas)}" if session.areas else "in all areas"
        stages = [
            FunnelStep(units["in_file"], "units in the file", "all sorted units"),
            FunnelStep(units["in_areas"], f"units {where}", "session.area"),
            FunnelStep(units["passed"], "pass the quality filters", "session.quality"),
        ]
    highest_p = data.config.selection.oracle_p_max or _ORACLE_P
    significant = int((data.table["oracle_p"] <= highest_p).sum())
    held = data.summary["model_above_chance"]
    stages += [
        FunnelStep(significant, "respond reliably", f"oracle correlation, p ≤ {highest_p:g}"),
        FunnelStep(data.selected, "selected", "criteria of the section selection"),
    ]
    if data.failed:
        stages.append(FunnelStep(data.fitted, "have a model", "fitting failed for the others"))
    if data.provisional:
        stages.append(FunnelStep(len(data.neurons), "in this provisional report", "done first"))
    if held.notna().any():
        meaning = "held-out correlation above the shuffled controls"
        stages.append(FunnelStep(int(held.isin([True]).sum()), "model better than chance", meaning))
    verdicts = [trust_of(row) for row in data.summary.to_dict("records")]
    judged = [v for v in verdicts if v is not None and v.kind != "unknown"]
    if judged:
        trusted = sum(v.kind == "yes" for v in judged)
        stages.append(FunnelStep(trusted, "trusted", "the MEI is expected to drive the neuron"))
    return stages


_NOT_OF_MOVIES = (
    "These simulated neurons were shown natural scenes. How often the flag is right where there "
    "are only frames of a movie was not measured."
)
_NOT_OF_REAL = (
    "These simulations had spike counts. How often the flag is right for other responses, such as "
    "those of calcium imaging, was not measured."
)


def confidence_summary(data: SessionData, calibration: TrustCalibration | None) -> list[str]:
    """Which neurons can be trusted."""
    rows = data.summary.to_dict("records")
    verdicts = {str(row["neuron_id"]): trust_of(row) for row in rows}
    judged = {n: v for n, v in verdicts.items() if v is not None and v.kind != "unknown"}
    weak = [str(row["neuron_id"]) for row in rows if row["model_above_chance"] is False]
    lines = []
    if data.failed:
        failed = [f"{neuron} ({why})" for neuron, why in data.failed.items()]
        lines.append(
            f"No model could be fitted for {_listed(failed[:_NAMED], len(failed))}. These neurons "
            "are excluded from everything below."
        )
    if judged:
        bad = [n for n, v in judged.items() if v.kind == "no"]
        lines.append(f"Marked ✓ trusted: {len(judged) - len(bad)} of {len(judged)} neurons.")
        if calibration is not None:
            lines.append(calibration.source)
            if data.response.real:
                lines.append(_NOT_OF_REAL)
            if data.without_scenes:
                lines.append(_NOT_OF_MOVIES)
        if bad:
            lines.append(
                f"Not trusted (✗): {_listed(bad[:_NAMED], len(bad))}. See the neuron's page for "
                "the reason."
            )
    elif data.config.model.custom:
        lines.append(
            "The models are a custom module. meiflow cannot know which images they were trained "
            "on, so it cannot judge whether their MEIs can be trusted."
        )
    else:
        lines.append(
            f"The models of {len(rows) - len(weak)} of {len(rows)} neurons predict responses to "
            "held-out images better than the shuffled controls."
        )
    if weak:
        lines.append(
            f"For {_listed(weak[:_NAMED], len(weak))} the model does not predict better than "
            "chance; ignore the MEI."
        )
    return lines


def _listed(named: list[str], total: int) -> str:
    more = f" and {total - len(named)} more" if total > len(named) else ""
    return ", ".join(named) + more


@dataclass(frozen=True)
class Sentence:
    """A sentence of the summary; `dimmed` where it is about neurons that are not trusted."""

    text: str
    dimmed: bool = False


def mei_summary(data: SessionData) -> list[Sentence]:
    """What drives the neurons best: the trusted ones first, the others beside them."""
    summary, trusted = data.summary, trusted_rows(data.summary)
    if trusted is None:
        lines = [
            Sentence(
                f"The confidence in these MEIs was not judged{' yet' if data.provisional else ''}; "
                "all neurons are counted."
            ),
            *(Sentence(line) for line in _driven(summary)),
        ]
    else:
        sure, rest = summary[trusted], summary[~trusted]
        lines = [Sentence(line) for line in _driven(sure, "trusted ")]
        if not len(sure):
            lines = [Sentence("No MEI is trusted, so nothing can be said about what drives them.")]
        if len(rest):
            line = _driven(rest, "other ")[0]
            lines.append(Sentence(f"Not to be relied on: {line}", dimmed=True))
    return [Sentence(data.called(line.text), line.dimmed) for line in lines]


def _neurons(number: int, kind: str = "") -> str:
    return f"{number} {kind}neuron{'' if number == 1 else 's'}"


def _driven(summary: pd.DataFrame, kind: str = "") -> list[str]:
    """Sentences on the MEIs of some neurons, of which the first says all in short."""
    if not len(summary):
        return []
    lines = [
        f"MEIs of {_neurons(len(summary), kind)}: median spatial frequency "
        f"{number(summary['mei_peak_frequency_cpd'].median(), 3)} cycles per degree, median size "
        f"{number(summary['mei_size_deg'].median(), 0)} degrees; "
        "number well described by a single Gabor (R² ≥ 0.9): "
        f"{int((summary['mei_gabor_r2'] >= 0.9).sum())} of {len(summary)}."
    ]
    if "cell_type" in summary and summary["cell_type"].notna().any():
        kinds = summary["cell_type"].value_counts()
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        lines.append(
            f"Classified by their modulation with grating phase, their models are: {counts}."
        )
    return [*lines, _beaten(summary)]


def _beaten(summary: pd.DataFrame) -> str:
    beaten = int((summary["mei_response"] > summary["best_natural_response"]).sum())
    grey = summary.get("grey_response", 0.0)  # of real-valued responses only
    ratio = (summary["best_gabor_response"] - grey) / (summary["mei_response"] - grey)
    return (
        f"At equal mean and contrast, the model predicts more spikes for the MEI than for the best "
        f"natural image in {beaten} of {_neurons(len(summary))}; the best Gabor in silico "
        f"reaches {number(ratio.mean())} of the MEI's predicted response on average"
        f"{fold_agreement(summary)}. These are predictions, not measurements."
    )


def fold_agreement(summary: pd.DataFrame) -> str:
    """In how many neurons the fold models agree that the MEI is better than the best Gabor."""
    if "mei_over_best_gabor_low" not in summary:
        return ""
    low = summary["mei_over_best_gabor_low"].dropna()
    return (
        f" (in {int((low > _MORE).sum())} of {len(low)} neurons the MEI is better by more than "
        f"{100 * (_MORE - 1):.0f} %, with 95 % confidence over the fold models)"
        if len(low)
        else ""
    )


def findings(data: SessionData) -> list[Sentence]:
    """How well the models predict, and results of the closed loop and of recorded tuning."""
    summary, trusted = data.summary, trusted_rows(data.summary)
    network = ""
    if "cc_norm_cnn" in summary:
        network = f"the convolutional network alone {number(summary['cc_norm_cnn'].mean())}, "
    lines = [
        Sentence(
            f"On held-out images, the mean normalised correlation of all "
            f"{_neurons(len(summary))} is "
            f"{number(summary['cc_norm_model'].mean())} for the model ({network}pixel ridge "
            f"{number(summary['cc_norm_pixel_ridge'].mean())}, shuffled control "
            f"{number(summary['cc_norm_model_shuffled'].mean())})."
        )
    ]
    if data.loop is not None:
        groups = [(summary, "")] if trusted is None else [
            (summary[trusted], " of the trusted neurons"),
            (summary[~trusted], " of the neurons that are not trusted"),
        ]  # fmt: skip
        lines += [
            Sentence(_closed_loop(rows, whose), dimmed=n > 0)
            for n, (rows, whose) in enumerate(groups)
            if len(rows)
        ]
    if data.tuning:
        lines.append(Sentence(agreement_line(data.results)))
    return [Sentence(data.called(line.text), line.dimmed) for line in lines]


def _closed_loop(summary: pd.DataFrame, whose: str) -> str:
    mei, natural = summary["mei_true_fraction"], summary["best_natural_true_fraction"]
    return (
        f"Closed loop: shown to the simulated neurons themselves, the MEI{whose} reaches "
        f"{number(mei.mean())} of the maximal drive (lowest {number(mei.min())}), the best Gabor "
        f"in silico {number(summary['best_gabor_true_fraction'].mean())}, the best natural image "
        f"{number(natural.mean())}; the MEI is better than the natural image in "
        f"{int((mei > natural).sum())} of {_neurons(int(mei.notna().sum()))}."
    )


def tuned_rows(table: pd.DataFrame, curve: str) -> pd.DataFrame:
    """Rows of recorded.csv: one curve of the neurons whose recorded tuning is significant."""
    return table[(table["curve"] == curve) & table["tuned"] & table["cc_abs"].notna()]


def agreement_line(results: Layout) -> str:
    """One sentence on how well the recorded tuning is predicted."""
    table = read_csv(results.recorded_tuning)
    errors = read_csv(results.preferences)
    parts = []
    for curve, name, error, unit in (
        ("position", "Gabor positions", "field_error_deg", "degrees"),
        ("orientation", "grating orientations", "orientation_error_deg", "degrees"),
        ("spatial_frequency", "spatial frequencies", "frequency_error_octaves", "octaves"),
    ):
        rows = tuned_rows(table, curve)
        if len(rows):
            others = errors[f"{error}_others"].median()
            parts.append(
                f"{name} {number(rows['cc_abs'].mean())} (ceiling "
                f"{number(rows['cc_max'].mean())}, other neurons' models "
                f"{rows['cc_others'].mean():.2f}; median error of the preference "
                f"{number(errors[error].median())} {unit}, "
                f"{number(others)} with other neurons' models; "
                f"n = {len(rows)} neurons)"
            )
    if not parts:
        return "No neuron has significant recorded tuning with which to compare the predictions."
    fitted = "other stimuli of the session"
    learned = {CURVES[curve][0] for curve in table.loc[table["learned"], "curve"]}
    if learned:
        names = " and ".join(sorted("Gabors" if n == "gabors" else "gratings" for n in learned))
        fitted += f" and the {names}, so that the latter are not predictions"
    return (
        "Mean correlation between recorded and predicted tuning, over neurons with significant "
        f"recorded tuning: {', '.join(parts)}. The models were fitted to the {fitted}."
    )
