"""The summary stage: one row per fitted neuron, collected from its files."""

from __future__ import annotations

import pandas as pd

from meiflow.config.sections import Config
from meiflow.io.files import read_csv, write_csv
from meiflow.models.scores import chance_level
from meiflow.models.table import CONSTANT
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import selected_neurons
from meiflow.tables.identity import identify

_FROM_SELECTION = ["oracle", "oracle_p", "cc_max", "fev", "variance"]
_LEVELS = ["mean_rate_hz", "mean_response"]  # one of them
_FROM_MEI = {
    "orientation_deg": "mei_orientation_deg",
    "peak_frequency_cpd": "mei_peak_frequency_cpd",
    "x_deg": "mei_x_deg",
    "y_deg": "mei_y_deg",
    "size_deg": "mei_size_deg",
    "symmetry_1": "mei_symmetry_1",
    "symmetry_2": "mei_symmetry_2",
    "bandwidth_octaves": "mei_bandwidth_octaves",
    "gabor_r2": "mei_gabor_r2",
    "gabor_wavelength_deg": "mei_gabor_wavelength_deg",
    "gabor_orientation_deg": "mei_gabor_orientation_deg",
}


_FROM_TRUST = (
    "trusted",
    "expected_fraction",
    "cc_norm_low",
    "fold_agreement",
    "peak_ratio",
    "trust_reason",
    "nuisance",
)
_COMPARED = ("best_gabor", "windowed_natural", "best_natural")
_ENDS = ("", "_low", "_high")
_ERRORS = ("field_error_deg", "orientation_error_deg", "frequency_error_octaves")


_FROM_INVARIANCE = (
    "invariance_deg",
    "phase_tolerance_deg",
    "shift_tolerance_deg",
    "size_tolerance_octaves",
)
_FROM_EXPERIMENTS = (
    "cell_type",
    "f1_f0",
    "preferred_orientation_deg",
    "osi",
    "preferred_frequency_cpd",
    "preferred_size_deg",
    "suppression_index",
)


def write_summary(config: Config, results: Layout, has: SessionHas) -> None:
    """Write one row per fitted neuron: identity, selection, scores, comparison and validation."""
    neurons = selected_neurons(results.fitted_neurons)
    judged = config.model.custom is None
    write_csv(summarise(config, results, has, neurons, judged), results.summary)


def summarise(
    config: Config, results: Layout, has: SessionHas, neurons: list[str], judged: bool
) -> pd.DataFrame:
    """Collect one row per neuron.

    The response to a stimulus that could not be matched in mean and contrast is empty.
    ``model_above_chance`` is whether the model's held-out correlation is above 95 % of the shuffled
    controls in the session.

    Parameters
    ----------
    config : Config
    results : Layout
    has : SessionHas
    neurons : list of str
        Fitted neurons.
    judged : bool
        Whether the confidence in their MEIs was judged.
    """
    measures = read_csv(results.selection)
    measures.index = measures["neuron_id"].astype(str)
    kept = [*_FROM_SELECTION, *(name for name in _LEVELS if name in measures)]
    loop = read_csv(results.closed_loop) if has.truth else None
    tuning = _recorded_tuning(results) if has.conditions else {}
    experiments = [*config.experiments.make, *config.experiments.custom]
    measured = _experiments(results) if experiments else {}
    verdicts = _trust(results) if judged else {}
    who = identify(read_csv(results.units, ("neuron_id",)))
    control = read_csv(results.cross_validation)
    limit = chance_level(control.loc[control["model"] == "model_shuffled", "cc_abs"])
    rows = []
    for neuron in neurons:
        files = results.neuron(neuron)
        all_scores = read_csv(files.scores).set_index("model")
        scores = all_scores["cc_norm"]
        stimuli = read_csv(
            files.comparison, ("stimulus", "predicted_response", "matched")
        ).set_index("stimulus")
        row: dict[str, object] = {"neuron_id": neuron} | who.loc[neuron].to_dict()
        row |= measures.loc[neuron, kept].to_dict()
        row |= {f"cc_norm_{m}": score for m, score in scores.items() if m != CONSTANT}
        own = all_scores.loc["model"]
        # unknown for a custom module, whose training images are not known
        row["model_above_chance"] = bool(own["cc_abs"] > limit) if own["folds"] > 0 else None
        row |= verdicts.get(neuron, {})
        fair = stimuli["predicted_response"].where(stimuli["matched"])
        row |= {f"{s}_response": r for s, r in fair.items()}
        if "grey_response" in stimuli:
            row["grey_response"] = stimuli.loc["mei", "grey_response"]
        row |= {new: stimuli.loc["mei", old] for old, new in _FROM_MEI.items()}
        for other in _COMPARED:
            if other in stimuli.index and stimuli.loc[other, "matched"]:
                ratio = stimuli.loc[other]
                row |= {f"mei_over_{other}{end}": ratio[f"mei_ratio{end}"] for end in _ENDS}
        if "best_gabor" in stimuli.index:
            gabor = stimuli.loc["best_gabor"]
            row["mei_gabor_similarity"] = gabor["similarity_to_mei"]
            row["mei_gabor_shifted_similarity"] = gabor["shifted_similarity_to_mei"]
        if config.experiments.invariance:
            found = read_csv(files.invariance, _FROM_INVARIANCE)
            row |= found.loc[0, [*_FROM_INVARIANCE]].to_dict()
        row |= measured.get(neuron, {}) | tuning.get(neuron, {})
        if loop is not None:
            own = loop[loop["neuron_id"].astype(str) == neuron].set_index("stimulus")
            row["kind"] = own["kind"].iloc[0]
            row |= {
                f"{s}_true_fraction": own.loc[s, "fraction_of_optimum"]
                for s in own.index
                if s != "optimum"
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _recorded_tuning(results: Layout) -> dict[str, dict[str, object]]:
    """Agreement of recorded and predicted tuning, by neuron."""
    curves = read_csv(results.recorded_tuning, ("neuron_id", "curve", "tuned", "cc_abs"))
    found: dict[str, dict[str, object]] = {}
    for _, row in curves.iterrows():
        own = found.setdefault(str(row["neuron_id"]), {})
        own[f"{row['curve']}_tuned"] = row["tuned"]
        own[f"{row['curve']}_cc_abs"] = row["cc_abs"]
    differences = read_csv(results.preferences, ("neuron_id",))
    for _, row in differences.iterrows():
        found[str(row["neuron_id"])] |= {name: row[name] for name in _ERRORS if name in row}
    return found


def _experiments(results: Layout) -> dict[str, dict[str, object]]:
    """Measures from the experiments, by neuron."""
    table = read_csv(results.experiment_summary, ("neuron_id",)).set_index("neuron_id")
    kept = table[[name for name in _FROM_EXPERIMENTS if name in table]]
    return {str(neuron): row.to_dict() for neuron, row in kept.iterrows()}


def _trust(results: Layout) -> dict[str, dict[str, object]]:
    """Confidence in the MEIs, by neuron."""
    table = read_csv(results.trust, ("neuron_id", *_FROM_TRUST)).set_index("neuron_id")
    return {str(neuron): row.to_dict() for neuron, row in table[[*_FROM_TRUST]].iterrows()}
