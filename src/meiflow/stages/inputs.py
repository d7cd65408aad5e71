"""Paths of the results that a stage reads, from its entry in the registry."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from meiflow.results.layout import Layout
from meiflow.stages.stage import Stage


def input_paths(stage: Stage, results: Layout, neurons: Iterable[str]) -> list[Path]:
    """Paths of the results of a session that a stage reads.

    Parameters
    ----------
    stage : Stage
    results : Layout
    neurons : iterable of str
        Neurons whose files are read: one, all, or a wildcard.

    Examples
    --------
    >>> from meiflow.stages.registry import STAGES
    >>> paths = input_paths(STAGES["experiments"], Layout("results/demo"), ["7"])
    >>> [path.as_posix() for path in paths[-2:]]
    ['results/demo/neurons/7/best_gabor.csv', 'results/demo/neurons/7/mei.npy']
    """
    folders = [results.neuron(neuron) for neuron in neurons]
    found: list[Path] = []
    for name in stage.inputs:
        kind, _, own = name.rpartition(".")
        match kind:
            case "neuron":
                found += [path for folder in folders for path in folder.named(own)]
            case "procedure":
                files = results.procedure(own)
                found += [files.images, files.table]
            case "picture":
                found.append(results.procedure(own).picture)
            case "figure":
                found += results.selection_figures(own)[1:]
            case _:
                found += results.named(own)
    return found
