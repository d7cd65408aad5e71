"""Read recorded and predicted tuning for figures."""

from __future__ import annotations

from meiflow.config.parametric import PARAMETRIC
from meiflow.figures.recorded import TuningView
from meiflow.io.files import read_csv
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_conditions
from meiflow.validation.recorded import Curve, curves_of, position_maps


def tuning_views(results: Layout, has: SessionHas, neurons: list[str]) -> dict[str, TuningView]:
    """Data of every neuron for `meiflow.figures.recorded.tuning_figure`."""
    scores = read_csv(results.recorded_tuning, ("neuron_id", "curve"))
    curves = read_curves(results, has, neurons)
    maps = position_maps(curves["position"]) if "position" in curves else {}
    views = {}
    for n, neuron in enumerate(neurons):
        views[neuron] = TuningView(
            {kind: fields[n] for kind, fields in maps.items()},
            {
                name: (
                    curves[name].values[name].to_numpy(float),
                    curves[name].recorded[:, n],
                    curves[name].error[:, n],
                    curves[name].predicted[:, n],
                )
                for name in ("orientation", "spatial_frequency")
                if name in curves
            },
            scores[scores["neuron_id"] == neuron].set_index("curve"),
        )
    return views


def read_curves(results: Layout, has: SessionHas, neurons: list[str]) -> dict[str, Curve]:
    """Read the curves written by the stage of recorded tuning."""
    curves: dict[str, Curve] = {}
    for stimulus, shown, path in (
        ("gabors", has.gabors, results.predicted_gabors),
        ("static_gratings", has.gratings, results.predicted_gratings),
    ):
        if not shown:
            continue
        recorded = read_conditions(results, stimulus).of_neurons(neurons)
        if not len(recorded.trial_ids):
            continue
        predicted = read_csv(path, (*PARAMETRIC[stimulus], *neurons))[neurons].to_numpy(float)
        curves |= curves_of(stimulus, recorded, predicted)
    return curves
