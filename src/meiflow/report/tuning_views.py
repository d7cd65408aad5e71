"""Read recorded and predicted tuning for figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meiflow.figures.recorded import TuningView
from meiflow.io.files import read_csv
from meiflow.session.schedule import PARAMETRIC
from meiflow.tables.conditions import STEMS, Conditions, read_conditions
from meiflow.validation.recorded import Curve, curves_of, position_maps

_NOTHING = (np.empty(0), np.empty(0))


def of_neurons(recorded: Conditions, neurons: list[str]) -> Conditions:
    """The same trials, restricted to some neurons."""
    columns = [recorded.of_neuron(neuron) for neuron in neurons]
    counts = recorded.counts[:, columns]
    return Conditions(recorded.parameters, recorded.trial_ids, recorded.condition, neurons, counts)


def tuning_views(tables: Path, output: Path, neurons: list[str]) -> dict[str, TuningView]:
    """Data of every neuron for `meiflow.figures.recorded.tuning_figure`."""
    scores = read_csv(output / "recorded.csv", ("neuron_id", "curve"))
    curves = read_curves(tables, output, neurons)
    maps, x, y = position_maps(curves["position"]) if "position" in curves else ({}, *_NOTHING)
    views = {}
    for n, neuron in enumerate(neurons):
        views[neuron] = TuningView(
            {kind: fields[n] for kind, fields in maps.items()},
            x,
            y,
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


def read_curves(tables: Path, output: Path, neurons: list[str]) -> dict[str, Curve]:
    """Read the curves written by `compare_recorded`."""
    curves: dict[str, Curve] = {}
    for stimulus, stem in STEMS.items():
        path = output / f"predicted_{stem}s.csv"
        if not path.exists():
            continue
        recorded = of_neurons(read_conditions(tables, stimulus), neurons)
        predicted = read_csv(path, (*PARAMETRIC[stimulus], *neurons))[neurons].to_numpy(float)
        curves |= curves_of(stimulus, recorded, predicted)
    return curves
