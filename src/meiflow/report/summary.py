"""One row per selected neuron, gathered from its files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meiflow.files import read_csv
from meiflow.selection.select import selected_neurons

_FROM_SELECTION = ["oracle", "oracle_p", "cc_max", "fev", "variance", "mean_rate_hz"]
_FROM_MEI = {
    "orientation_deg": "mei_orientation_deg",
    "peak_frequency_cpd": "mei_peak_frequency_cpd",
    "x_deg": "mei_x_deg",
    "y_deg": "mei_y_deg",
    "size_deg": "mei_size_deg",
    "symmetry_1": "mei_symmetry_1",
    "symmetry_2": "mei_symmetry_2",
}


def summarise(results: Path) -> pd.DataFrame:
    """Gather selection, scores, comparison and, if simulated, closed loop of every neuron."""
    selection = results / "selection" / "neurons.csv"
    measures = read_csv(selection)
    measures.index = measures["neuron_id"].astype(str)
    loop_path = results / "validation" / "closed_loop.csv"
    loop = read_csv(loop_path) if loop_path.exists() else None
    rows = []
    for neuron in selected_neurons(selection):
        folder = results / "neurons" / neuron
        scores = read_csv(folder / "scores.csv").set_index("model")["cc_norm"]
        stimuli = read_csv(folder / "comparison.csv").set_index("stimulus")
        row: dict[str, object] = {"neuron_id": neuron}
        row |= measures.loc[neuron, _FROM_SELECTION].to_dict()
        row |= {f"cc_norm_{m}": scores[m] for m in ("v1", "pixel_ridge", "v1_shuffled")}
        row |= {f"{s}_response": r for s, r in stimuli["predicted_response"].items()}
        row |= {new: stimuli.loc["mei", old] for old, new in _FROM_MEI.items()}
        if "best_gabor" in stimuli.index:
            row["mei_gabor_similarity"] = stimuli.loc["best_gabor", "similarity_to_mei"]
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
