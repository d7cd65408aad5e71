"""Responses to parametric stimuli (Gabors, gratings, flashes): trials, means, errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.errors import MeiflowError, shorten
from meiflow.images.geometry import Geometry
from meiflow.progress import logger
from meiflow.response_type import COUNTS, ResponseType
from meiflow.tables.columns import line_of
from meiflow.tables.counts import Trials, trial_columns, trials_from_table

# Two means count as equal if they differ by at most this many standard errors.
_STANDARD_ERRORS = 2.0

# Prefix of the tables of each stimulus.
STEMS = {
    "gabors": "gabor",
    "static_gratings": "grating",
    "drifting_gratings": "drifting",
    "flashes": "flash",
}


@dataclass(frozen=True)
class Conditions:
    """Counts for every presentation of a parametric stimulus.

    Parameters
    ----------
    parameters : DataFrame, one row per condition
        Parameters of each condition (columns `PARAMETRIC` of the stimulus), sorted.
    trial_ids : ndarray, shape (trials,)
        Trial ids in order of presentation.
    condition : ndarray of int, shape (trials,)
        Row of `parameters` shown in each trial.
    neuron_ids : list of str
    counts : ndarray, shape (trials, neurons)
    """

    parameters: pd.DataFrame
    trial_ids: NDArray
    condition: NDArray[np.int64]
    neuron_ids: list[str]
    counts: NDArray

    @classmethod
    def of(cls, presentations: pd.DataFrame, counts: NDArray, neuron_ids: list[str]) -> Conditions:
        """Build from presentations with the stimulus parameters as columns, indexed by trial id."""
        keys = list(presentations.columns)
        parameters = presentations.drop_duplicates().sort_values(keys).reset_index(drop=True)
        code = presentations.groupby(keys, sort=True).ngroup().to_numpy()
        return cls(parameters, presentations.index.to_numpy(), code, neuron_ids, counts)

    @property
    def repeats(self) -> NDArray[np.int64]:
        """Number of trials of every condition, shape (conditions,)."""
        return np.bincount(self.condition, minlength=len(self.parameters))

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean counts, shape (conditions, neurons)."""
        return self._sums(self.counts) / self.repeats[:, None]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of `means`; NaN for a condition with a single trial."""
        n = self.repeats[:, None]
        squares = self._sums((self.counts - self.means[self.condition]) ** 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n > 1, np.sqrt(squares / (n - 1) / n), np.nan)

    def _sums(self, values: NDArray) -> NDArray[np.float64]:
        sums = np.zeros((len(self.parameters), values.shape[1]))
        np.add.at(sums, self.condition, values)
        return sums

    def of_neuron(self, neuron: str) -> int:
        """Column of a neuron.

        Raises
        ------
        MeiflowError
            If there is no such neuron.
        """
        if neuron not in self.neuron_ids:
            raise MeiflowError(f"no counts for neuron {neuron} in the Gabor or grating trials")
        return self.neuron_ids.index(neuron)

    def of_neurons(self, neurons: list[str]) -> Conditions:
        """The same trials, restricted to some neurons."""
        columns = [self.of_neuron(neuron) for neuron in neurons]
        counts = self.counts[:, columns]
        return Conditions(self.parameters, self.trial_ids, self.condition, neurons, counts)

    def mean_table(self) -> pd.DataFrame:
        """condition_id, parameters, repeats, then one column of mean counts per neuron."""
        table = self.parameters.assign(repeats=self.repeats)
        table.insert(0, "condition_id", np.arange(len(table)))
        return pd.concat([table, pd.DataFrame(self.means, columns=self.neuron_ids)], axis=1)

    def trial_table(self) -> pd.DataFrame:
        """trial_id, condition_id, parameters, then one column of counts per neuron."""
        table = self.parameters.iloc[self.condition].reset_index(drop=True)
        table.insert(0, "condition_id", self.condition)
        table.insert(0, "trial_id", self.trial_ids)
        return pd.concat([table, pd.DataFrame(self.counts, columns=self.neuron_ids)], axis=1)


def condition_columns(stimulus: str, response: ResponseType = COUNTS) -> tuple[str, ...]:
    """Columns of a long table of trials with a parametric stimulus.

    Examples
    --------
    >>> condition_columns("gabors")
    ('trial_id', 'neuron_id', 'spike_count', 'x_position', 'y_position', 'orientation')
    """
    return ("trial_id", "neuron_id", response.column, *PARAMETRIC[stimulus])


def rivals_of_best(means: NDArray, errors: NDArray) -> float:
    """Number of other conditions that are not clearly worse than the best one of a neuron.

    Their mean is below the highest by at most two standard errors of the difference, i.e. of the
    standard errors of both means added in quadrature.

    Parameters
    ----------
    means, errors : ndarray, shape (conditions,)
        Mean counts and their standard errors.

    Returns
    -------
    float
        A whole number, or NaN if a standard error is unknown.

    Examples
    --------
    >>> means, errors = np.array([5.0, 4.1, 3.9]), np.array([0.3, 0.4, 0.4])
    >>> rivals_of_best(means, errors)
    1
    """
    if not np.isfinite(errors).all():
        return np.nan
    best = int(np.argmax(means))
    near = means[best] - means <= _STANDARD_ERRORS * np.hypot(errors[best], errors)
    return int(near.sum()) - 1


def conditions_from_table(
    table: pd.DataFrame,
    path: str | Path,
    stimulus: str,
    neuron_ids: list[str],
    geometry: Geometry,
    option: str,
    response: ResponseType = COUNTS,
) -> Conditions:
    """Validate a user's long table of trials with stimulus parameters; see `trials_from_table`.

    Parameters
    ----------
    table : DataFrame
        Table with the columns `condition_columns` of the stimulus.
    path : path
        Path of the table, used in messages.
    stimulus : str
        Name of a parametric stimulus, such as gabors.
    neuron_ids : list of str
        Neurons of the session; those that are missing in a table of counts are silent.
    geometry : Geometry
        Geometry of the screen, within which Gabors must be positioned.
    option : str
        Configuration key, used in messages.
    response : ResponseType

    Raises
    ------
    MeiflowError
        As `trials_from_table`; also for parameters that are not numbers or are out of range, trials
        with two stimuli, and neurons that are not in the session.
    """
    keys = PARAMETRIC[stimulus]
    table = table.copy()
    for key in keys:
        numbers = pd.to_numeric(table[key], errors="coerce")
        wrong = ~np.isfinite(numbers.to_numpy(float))
        if wrong.any():
            value = str(table[key].iloc[int(np.flatnonzero(wrong)[0])])
            raise MeiflowError(
                f"{option}: {key} is {value[:60]!r} in row {line_of(table, wrong)} of {path}; "
                "expected a number"
            )
        table[key] = numbers.astype(float)
    _check_range(table, keys, geometry, f"{option}: ", path)
    parameters = table[keys].drop_duplicates().sort_values(keys).reset_index(drop=True)
    table["image_id"] = table.groupby(keys, sort=True).ngroup()
    several = table.groupby("trial_id", observed=True)["image_id"].nunique() > 1
    if several.any():
        raise MeiflowError(
            f"{option}: trial {shorten(several.index[several], 3)} in {path} has more than one "
            "stimulus"
        )
    trials = trials_from_table(table[list(trial_columns(response))], str(path), response)
    unknown = [n for n in trials.neuron_ids if n not in neuron_ids]
    if unknown:
        raise MeiflowError(
            f"{option}: neuron {shorten(unknown, 3)} in {path} does not occur in session.trials; "
            "provide the same neurons"
        )
    missing = [n for n in neuron_ids if n not in trials.neuron_ids]
    if response.real and missing:
        raise MeiflowError(
            f"{option}: {path} has no rows of neuron {shorten(missing, 3)}; real responses need a "
            "row for every trial and neuron"
        )
    return Conditions(
        parameters, trials.trial_ids, trials.image_ids, neuron_ids, _of_all(trials, neuron_ids)
    )


def _check_range(
    table: pd.DataFrame, keys: list[str], geometry: Geometry, option: str, path: str | Path
) -> None:
    """Reject parameters that are out of range, e.g. because of wrong units."""
    ranges = {
        "x_position": (-geometry.width_deg / 2, geometry.width_deg / 2, "degrees, on the screen"),
        "y_position": (-geometry.height_deg / 2, geometry.height_deg / 2, "degrees, on the screen"),
        "orientation": (-360.0, 360.0, "degrees"),
        "spatial_frequency": (1e-4, 10.0, "cycles per degree"),
        "phase": (-1.0, 1.0, "cycles"),
        "temporal_frequency": (0.0, 100.0, "Hz"),
        "color": (-1.0, 1.0, "(dark to bright)"),
    }
    for key in keys:
        low, high, unit = ranges[key]
        wrong = ~table[key].between(low, high).to_numpy()
        if wrong.any():
            value = table[key].iloc[int(np.flatnonzero(wrong)[0])]
            raise MeiflowError(
                f"{option}{key} is {value:g} in row {line_of(table, wrong)} of {path}; expected "
                f"{low:g} to {high:g} {unit}"
            )
    if "color" in keys:
        other = ~table["color"].isin((-1.0, 1.0)).to_numpy()
        if other.any():
            value = table["color"].iloc[int(np.flatnonzero(other)[0])]
            raise MeiflowError(
                f"{option}color is {value:g} in row {line_of(table, other)} of {path}; expected -1 "
                "(dark) or 1 (bright)"
            )
    limit = 0.5 / min(geometry.dx, geometry.dy)
    if "spatial_frequency" in keys and (table["spatial_frequency"] > limit).any():
        logger.info(
            f"{option}spatial frequencies above {limit:.3g} cycles per degree cannot be resolved "
            "at this image size and appear uniform to the models"
        )


def _of_all(trials: Trials, neuron_ids: list[str]) -> NDArray:
    """Counts with a column for every neuron; missing neurons have zero counts."""
    counts = np.zeros((len(trials.trial_ids), len(neuron_ids)), trials.counts.dtype)
    counts[:, [neuron_ids.index(n) for n in trials.neuron_ids]] = trials.counts
    silent = len(neuron_ids) - len(trials.neuron_ids)
    if silent:
        logger.info(f"{silent} of {len(neuron_ids)} neurons have no rows and are treated as silent")
    return counts
