"""Results of single neurons from an earlier run, for stages that make those of all neurons.

When a neuron is added to a finished session, Snakemake runs every stage that makes results of all
neurons in one job again. Such a stage keeps what it makes of each neuron, with a key: a hash of the
configuration, of all results that it reads according to the registry, and of custom code. Neurons
with the same key are not computed again. Only jobs of a run reuse results: a command that is called
by hand, or a stage that Snakemake is told to run (``--forcerun``), computes all neurons.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_arrays, write_arrays
from meiflow.io.tracking import fingerprint
from meiflow.progress import logger
from meiflow.results.layout import Layout
from meiflow.stages.inputs import input_paths
from meiflow.stages.registry import STAGES

if TYPE_CHECKING:
    import pandas as pd

# Environment variables that the Snakefile sets for the jobs of a run: a hash of version and custom
# code, and the stages that compute all neurons.
STATE, FORCED = "MEIFLOW_STATE", "MEIFLOW_FORCED"
EVERY_STAGE = "*"
_KEY = "key"


@dataclass(frozen=True)
class Made:
    """Results of some neurons by name: tables with a column neuron_id, arrays (neurons, ...)."""

    tables: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, NDArray] = field(default_factory=dict)


def of_neurons(
    make: Callable[[list[str]], Made],
    stage: str,
    config: Config,
    results: Layout,
    neurons: list[str],
    *,
    further: Iterable[str] = (),
    own: Mapping[str, str] | None = None,
    aside: Collection[str] = (),
) -> Made:
    """Make the results of all neurons, except those of an earlier run that nothing would change.

    Parameters
    ----------
    make : callable
        Makes the results of some neurons, which must not depend on the other neurons, except for
        rounding.
    stage : str
    config : Config
        As given to the stage.
    results : Layout
    neurons : list of str
    further : iterable of str
        What the results depend on besides configuration, custom code and results.
    own : mapping of str to str, optional
        The same for each neuron.
    aside : collection of str
        Inputs in the registry that `make` does not read, or of which `own` contains a hash.

    Returns
    -------
    Made
        As from ``make(neurons)``.

    Examples
    --------
    By hand, nothing is reused:

    >>> ones = lambda neurons: Made({}, {"images": np.ones(len(neurons))})
    >>> of_neurons(ones, "natural", Config(), Layout("results/demo"), ["7"]).arrays
    {'images': array([1.])}
    """
    if STATE not in os.environ or not neurons:
        return make(neurons)
    path = results.kept(stage)
    keys = _keys(stage, config, results, neurons, further, own or {}, aside)
    known = {} if _is_forced(stage) else _read(results, stage)
    parts = {n: known[n] for n in neurons if str(known.get(n, {}).get(_KEY)) == keys[n]}
    missing = [neuron for neuron in neurons if neuron not in parts]
    if parts:
        logger.info(f"{stage}: {len(parts)} of {len(neurons)} neurons are as in an earlier run")
    if missing:
        parts |= _split(make(missing), missing, keys)
        named = {f"{n}/{name}": parts[n][name] for n in neurons for name in parts[n]}
        write_arrays(named, path)
    return _joined([parts[neuron] for neuron in neurons])


def _is_forced(stage: str) -> bool:
    forced = os.environ.get(FORCED, EVERY_STAGE).split()
    return stage in forced or EVERY_STAGE in forced


def _keys(
    stage: str,
    config: Config,
    results: Layout,
    neurons: Iterable[str],
    further: Iterable[str],
    own: Mapping[str, str],
    aside: Collection[str],
) -> dict[str, str]:
    """Hash, by neuron, of all that its results depend on."""
    apart = {"fitted_neurons", *aside}  # the list of neurons does not change what is made of each
    names = tuple(name for name in STAGES[stage].inputs if name not in apart)
    shared = replace(STAGES[stage], inputs=names)
    each = replace(shared, inputs=tuple(name for name in names if name.startswith("neuron.")))
    common = [os.environ[STATE], config.model_dump_json(), *further]
    common.append(fingerprint(input_paths(shared, results, [])))

    def key(neuron: str) -> str:
        files = fingerprint(input_paths(each, results, [neuron]))
        texts = "\0".join([*common, neuron, files, own.get(neuron, "")])
        return hashlib.sha256(texts.encode()).hexdigest()

    return {neuron: key(neuron) for neuron in neurons}


def _read(results: Layout, stage: str) -> dict[str, dict[str, NDArray]]:
    """What was kept, by neuron; nothing if the file is missing or damaged."""
    found: dict[str, dict[str, NDArray]] = {}
    try:
        kept = read_arrays(results.kept(stage))
    except MeiflowError:
        return found
    for name, array in kept.items():
        neuron, _, part = name.partition("/")
        found.setdefault(neuron, {})[part] = array
    return found


def _split(
    made: Made, neurons: Sequence[str], keys: Mapping[str, str]
) -> dict[str, dict[str, NDArray]]:
    parts: dict[str, dict[str, NDArray]] = {n: {_KEY: np.array(keys[n])} for n in neurons}
    for name, values in made.arrays.items():
        for neuron, value in zip(neurons, values, strict=True):
            parts[neuron][name] = value
    for name, table in made.tables.items():
        ids = table["neuron_id"].astype(str)
        for neuron in neurons:
            parts[neuron][name] = _records(table[ids == neuron])
    return parts


def _records(table: pd.DataFrame) -> NDArray:
    """The rows of a table as a structured array without objects; a missing text is empty."""
    import pandas as pd

    columns = {
        str(name): values.to_numpy()
        if pd.api.types.is_numeric_dtype(values)
        else values.fillna("").to_numpy(str)
        for name, values in table.items()
    }
    rows = np.empty(len(table), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    return rows


def _joined(parts: Sequence[Mapping[str, NDArray]]) -> Made:
    import pandas as pd

    own = {name: [part[name] for part in parts] for name in parts[0] if name != _KEY}
    tables = {
        name: pd.DataFrame({c: _column([part[c] for part in rows]) for c in rows[0].dtype.names})
        for name, rows in own.items()
        if rows[0].dtype.names
    }
    return Made(tables, {name: np.stack(own[name]) for name in own if name not in tables})


def _column(parts: Sequence[NDArray]) -> NDArray:
    """A column of a table: numbers, or objects where there are texts or missing truth values."""
    kinds = {part.dtype.kind for part in parts}
    if "U" not in kinds and (kinds == {"b"} or "b" not in kinds):
        return np.concatenate(parts)
    return np.concatenate([part.astype(object) for part in parts])
