"""What was found, in sentences; every number comes from the tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from meiflow.io.files import read_csv
from meiflow.report.columns import number
from meiflow.report.session_data import SessionData
from meiflow.report.trust import Calibration, trust_of
from meiflow.results.layout import Layout

_MORE = 1.02  # times the best Gabor's response: less is no difference worth telling
_ORACLE_P = 0.001
_NAMED = 12


@dataclass(frozen=True)
class Stage:
    """A step of the funnel: how many units are left, and what it asks of them."""

    count: int
    label: str
    meaning: str


def funnel(data: SessionData) -> list[Stage]:
    """How many units are left at each stage, from the file to those that can be trusted."""
    stages = []
    if data.config.session.source != "tables":
        areas = data.config.session.areas
        where = f"in {', '.join(areas)}" if areas else "in all areas"
        stages += [
            Stage(data.units["in_file"], "units in the file", "every sorted unit"),
            Stage(data.units["in_areas"], f"of them {where}", "session.area"),
            Stage(data.units["passed"], "pass the quality filters", "session.quality"),
        ]
    else:
        stages.append(Stage(data.units["passed"], "neurons in the tables", "session.trials"))
    significant = int((data.table["oracle_p"] <= _ORACLE_P).sum())
    held = data.summary["model_holds"]
    stages += [
        Stage(significant, "respond reliably", f"oracle correlation, p ≤ {_ORACLE_P:g}"),
        Stage(
            len(data.summary) + len(data.failed),
            "selected",
            "section selection of the configuration",
        ),
    ]
    if data.failed:
        stages.append(Stage(len(data.summary), "have a model", "the fit of the others failed"))
    if held.notna().any():
        meaning = "held-out correlation above the shuffled controls"
        stages.append(Stage(int(held.isin([True]).sum()), "model better than chance", meaning))
    verdicts = [trust_of(row) for row in data.summary.to_dict("records")]
    judged = [v for v in verdicts if v is not None and v.kind != "unknown"]
    if judged:
        trusted = sum(v.kind == "yes" for v in judged)
        stages.append(Stage(trusted, "trusted", "the MEI can be expected to drive the neuron"))
    return stages


def believe(data: SessionData, calibration: Calibration | None) -> list[str]:
    """Which neurons can be believed."""
    rows = data.summary.to_dict("records")
    verdicts = {str(row["neuron_id"]): trust_of(row) for row in rows}
    judged = {n: v for n, v in verdicts.items() if v is not None and v.kind != "unknown"}
    weak = [str(row["neuron_id"]) for row in rows if row["model_holds"] is False]
    lines = []
    if data.failed:
        told = [f"{neuron} ({why})" for neuron, why in data.failed.items()]
        lines.append(
            f"No model, because the fit failed: {_listed(told[:_NAMED], len(told))}. They are in "
            "nothing below."
        )
    if judged:
        bad = [n for n, v in judged.items() if v.kind == "no"]
        lines.append(f"Those marked ✓ trusted: {len(judged) - len(bad)} of {len(judged)}.")
        if calibration is not None:
            lines.append(calibration.source)
        if bad:
            lines.append(
                f"Not trusted (✗): {_listed(bad[:_NAMED], len(bad))}. The reason stands on the "
                "neuron's page."
            )
    elif data.config.model.custom:
        lines.append(
            "That is yours to say: the models are your own module, and nobody here knows which "
            "images they have seen."
        )
    else:
        lines.append(
            f"The models of {len(rows) - len(weak)} of {len(rows)} neurons predict images they "
            "have not seen better than the shuffled controls."
        )
    if weak:
        lines.append(
            f"The model is not better than chance, so that the MEI means nothing, for "
            f"{_listed(weak[:_NAMED], len(weak))}."
        )
    return lines


def _listed(named: list[str], total: int) -> str:
    more = f" and {total - len(named)} more" if total > len(named) else ""
    return ", ".join(named) + more


def want(data: SessionData) -> list[str]:
    """What the neurons want to see."""
    summary = data.summary
    lines = [
        f"MEIs have a median of {number(summary['mei_peak_frequency_cpd'].median(), 3)} cycles "
        f"per degree and a median size of {number(summary['mei_size_deg'].median(), 0)} degrees; "
        f"a single Gabor describes {int((summary['mei_gabor_r2'] >= 0.9).sum())} of "
        f"{len(summary)} of them (R² ≥ 0.9)."
    ]
    if "cell_type" in summary and summary["cell_type"].notna().any():
        kinds = summary["cell_type"].value_counts()
        said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        lines.append(f"By the phase of gratings, the models are {said}.")
    lines.append(_beaten(summary))
    return lines


def _beaten(summary: pd.DataFrame) -> str:
    beaten = int((summary["mei_response"] > summary["best_natural_response"]).sum())
    ratio = summary["best_gabor_response"] / summary["mei_response"]
    return (
        f"The model predicts more spikes for the MEI than for the best natural image in {beaten} "
        f"of {len(summary)} neurons, at equal mean and contrast; the best Gabor in silico reaches "
        f"{number(ratio.mean())} of the MEI's predicted response on average{sure(summary)}. A "
        "prediction alone proves nothing."
    )


def sure(summary: pd.DataFrame) -> str:
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


def findings(data: SessionData) -> list[str]:
    """How well the models predict, and what the closed loop and recorded tuning say."""
    summary = data.summary
    lines = [
        "On images it had not seen, the model reaches a mean normalised correlation of "
        f"{number(summary['cc_norm_model'].mean())} (pixel ridge "
        f"{number(summary['cc_norm_pixel_ridge'].mean())}, shuffled control "
        f"{number(summary['cc_norm_model_shuffled'].mean())})."
    ]
    if data.loop is not None:
        mei = summary["mei_true_fraction"]
        natural = summary["best_natural_true_fraction"]
        lines.append(
            "Closed loop, shown to the simulated neurons themselves: the MEI reaches "
            f"{number(mei.mean())} of the best drive any such image can give (lowest "
            f"{number(mei.min())}), the best Gabor in silico "
            f"{number(summary['best_gabor_true_fraction'].mean())}, the best natural image "
            f"{number(natural.mean())}; the MEI beats the natural image in "
            f"{int((mei > natural).sum())} of {int(mei.notna().sum())}."
        )
    if data.tuning:
        lines.append(agreement_line(data.results))
    return lines


def agreement_line(results: Layout) -> str:
    """How well the recorded tuning is predicted, in a sentence."""
    table = read_csv(results.recorded_tuning)
    errors = read_csv(results.preferences)
    parts = []
    for curve, name, error, unit in (
        ("position", "Gabor positions", "field_error_deg", "degrees"),
        ("orientation", "grating orientations", "orientation_error_deg", "degrees"),
        ("spatial_frequency", "spatial frequencies", "frequency_error_octaves", "octaves"),
    ):
        rows = table[(table["curve"] == curve) & table["tuned"] & table["cc_abs"].notna()]
        if len(rows):
            others = errors[f"{error}_others"].median()
            parts.append(
                f"{name} {number(rows['cc_abs'].mean())} (ceiling "
                f"{number(rows['cc_max'].mean())}, models of other neurons "
                f"{rows['cc_others'].mean():.2f}; preferences a median "
                f"{number(errors[error].median())} {unit} apart, "
                f"{number(others)} with other neurons' models; "
                f"{len(rows)} neurons)"
            )
    if not parts:
        return "No neuron has significant recorded tuning to compare the predictions with."
    seen = " and the gratings: no prediction of these" if table["learned"].any() else ""
    return (
        "Recorded against predicted, over neurons with significant recorded tuning: mean "
        f"correlation for {', '.join(parts)}. The models were fitted to the natural images{seen}."
    )
