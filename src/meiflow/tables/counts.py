"""Count tables from spikes or trial lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError, closest, shorten
from meiflow.io.paths import is_name
from meiflow.progress import logger
from meiflow.response_type import COUNTS, ResponseType
from meiflow.tables.columns import line_of, real_numbers, whole_numbers
from meiflow.tables.stack import BinnedMovie

BLANK = -1
TRIAL_COLUMNS = ("trial_id", "neuron_id", "spike_count", "image_id")
# Columns of tables that also have one column per neuron.
RESERVED = {
    "trial_id",
    "image_id",
    "condition_id",
    "repeats",
    "x_position",
    "y_position",
    "orientation",
    "spatial_frequency",
    "phase",
    "movie",
    "first_frame",
    "last_frame",
}
MOST_COUNTS = 500_000_000  # limit for trials times neurons, eight bytes each


@dataclass(frozen=True)
class Trials:
    """Spike counts, or other responses, of every trial and every neuron.

    Parameters
    ----------
    trial_ids : ndarray, shape (trials,)
    neuron_ids : list of str, length neurons
    image_ids : ndarray of int, shape (trials,)
        Image shown in each trial; -1 is the grey blank.
    counts : ndarray, shape (trials, neurons)
        Whole numbers, or the real numbers of `response`.
    response : ResponseType
    """

    trial_ids: NDArray
    neuron_ids: list[str]
    image_ids: NDArray[np.int64]
    counts: NDArray
    response: ResponseType = COUNTS

    def to_frame(self) -> pd.DataFrame:
        """Long table of all trials and neurons, with the columns `trial_columns`."""
        n_trials, n_neurons = self.counts.shape
        return pd.DataFrame(
            {
                "trial_id": np.repeat(self.trial_ids, n_neurons),
                "neuron_id": np.tile(np.array(self.neuron_ids, dtype=object), n_trials),
                self.response.column: self.counts.ravel(),
                "image_id": np.repeat(self.image_ids, n_neurons),
            }
        )

    def of_images(self) -> Trials:
        """The same trials without the blank."""
        keep = self.image_ids != BLANK
        shown = self.image_ids[keep], self.counts[keep]
        return Trials(self.trial_ids[keep], self.neuron_ids, *shown, self.response)


@dataclass(frozen=True)
class Responses:
    """Images and the mean response of every neuron to each image.

    ``image_ids`` (images,), ``images`` (images, height, width) luminance in [0, 1],
    ``neuron_ids`` (neurons,) and ``means`` (images, neurons) in spikes per presentation, or in the
    unit of ``response``. ``movies`` are those whose bins are the images, if no natural scenes were
    shown. ``tests`` (images,) are images for testing only, if there are any.
    """

    image_ids: NDArray[np.int64]
    images: NDArray[np.float32]
    neuron_ids: list[str]
    means: NDArray[np.float64]
    movies: tuple[BinnedMovie, ...] = ()
    response: ResponseType = COUNTS
    tests: NDArray[np.bool_] | None = None

    def column(self, neuron: str) -> int:
        """Index of a neuron.

        Raises
        ------
        MeiflowError
            If the session has no such neuron.
        """
        if neuron not in self.neuron_ids:
            raise MeiflowError(
                f"neuron {neuron!r} is not in the tables of this session"
                f"{closest(neuron, self.neuron_ids)}; tables/units.csv lists all neurons"
            )
        return self.neuron_ids.index(neuron)


def count_spikes(
    spike_times: list[NDArray], starts: ArrayLike, stops: ArrayLike
) -> NDArray[np.int64]:
    """Count spikes in windows.

    Parameters
    ----------
    spike_times : list of ndarray
        Sorted spike times of every neuron, in seconds.
    starts, stops : array_like, shape (presentations,)
        Limits in seconds, in any order; spikes in ``(start, stop]`` are counted, as in AllenSDK's
        ``presentationwise_spike_times``.

    Returns
    -------
    ndarray of int, shape (presentations, neurons)

    Examples
    --------
    >>> spikes = [np.array([0.1, 0.2, 1.1]), np.array([1.25])]
    >>> count_spikes(spikes, starts=[0.0, 1.0], stops=[0.25, 1.25])
    array([[2, 0],
           [1, 1]])
    """
    edges = np.stack([np.asarray(starts, dtype=float), np.asarray(stops, dtype=float)])
    counts = np.empty((edges.shape[1], len(spike_times)), dtype=np.int64)
    for column, times in enumerate(spike_times):
        before = np.searchsorted(times, edges, side="right")
        counts[:, column] = before[1] - before[0]
    return counts


def counting_windows(
    presentations: pd.DataFrame, window_s: tuple[float, float | None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Start and stop of the counting window of every presentation, in seconds.

    Parameters
    ----------
    presentations : DataFrame
        Presentations with start_time and stop_time.
    window_s : tuple
        Start and stop after onset in seconds; a stop of None is the end of the presentation.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [1.0, 2.0], "stop_time": [1.3, 2.2]})
    >>> counting_windows(shown, (0.0, 0.25))
    (array([1., 2.]), array([1.25, 2.25]))
    >>> counting_windows(shown, (0.0, None))
    (array([1., 2.]), array([1.3, 2.2]))
    """
    onset = presentations["start_time"].to_numpy(float)
    end = presentations["stop_time"].to_numpy(float) if window_s[1] is None else onset + window_s[1]
    empty = end <= onset + window_s[0]
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise MeiflowError(
            f"session.window_s: the window starts {window_s[0]:g} s after onset, but presentation "
            f"{presentations.index[row]} ends after {end[row] - onset[row]:.4g} s; start earlier"
        )
    return onset + window_s[0], end


def outside(
    presentations: pd.DataFrame,
    window_s: tuple[float, float | None],
    intervals: ArrayLike,
    name: str,
    required: bool = True,
) -> pd.DataFrame:
    """Presentations whose counting windows do not overlap any of the intervals.

    Parameters
    ----------
    presentations : DataFrame
        Presentations with start_time and stop_time.
    window_s : tuple
        As in `counting_windows`.
    intervals : array_like, shape (n, 2)
        Starts and stops in seconds.
    name : str
        Name of the stimulus, used in the message about excluded presentations.
    required : bool
        Whether at least one presentation must remain.

    Raises
    ------
    MeiflowError
        If no presentation remains, but one is required.
    """
    from_, to = counting_windows(presentations, window_s)
    from_ = np.minimum(from_, presentations["start_time"])
    to = np.maximum(to, presentations["stop_time"])
    touched = np.zeros(len(presentations), dtype=bool)
    for start, stop in np.asarray(intervals, dtype=float):
        touched |= ((to > start) & (from_ < stop)).to_numpy()
    if touched.any():
        logger.info(
            f"{name}: excluded {touched.sum()} of {len(presentations)} presentations during which "
            "a probe missed spikes (invalid times in the file)"
        )
    if required and touched.all() and len(presentations):
        raise MeiflowError(
            f"session.nwb: a probe in session.area missed spikes during all {name}; choose areas "
            "on another probe"
        )
    return presentations[~touched]


def trial_columns(response: ResponseType) -> tuple[str, ...]:
    """Columns of a long table of trials.

    Examples
    --------
    >>> trial_columns(ResponseType(real=True))
    ('trial_id', 'neuron_id', 'response', 'image_id')
    """
    return tuple(response.column if name == "spike_count" else name for name in TRIAL_COLUMNS)


def trials_from_table(table: pd.DataFrame, origin: str, response: ResponseType = COUNTS) -> Trials:
    """Validate a long trial table, and zero-fill that of counts.

    Parameters
    ----------
    table : DataFrame
        Columns `trial_columns`. A missing (trial, neuron) pair counts as zero spikes; of real
        numbers, every pair is required.
    origin : str
        File name, used in messages.
    response : ResponseType

    Raises
    ------
    MeiflowError
        For missing values, negative or fractional counts, responses that are not finite, ids that
        are not whole numbers, duplicate pairs, and trials with more than one image.

    Examples
    --------
    >>> rows = [(0, "a", 2, 7), (0, "b", 1, 7), (1, "b", 3, 8)]
    >>> trials = trials_from_table(pd.DataFrame(rows, columns=TRIAL_COLUMNS), "trials.csv")
    >>> trials.neuron_ids, trials.image_ids, trials.counts.tolist()
    (['a', 'b'], array([7, 8]), [[2, 1], [0, 3]])
    """
    if table.empty:
        raise MeiflowError(f"{origin}: no trials")
    for column in trial_columns(response):
        missing = table[column].isna()
        if missing.any():
            raise MeiflowError(
                f"{origin}: {column} is empty in row {line_of(table, missing)}; every row needs a "
                "value"
            )
    for column in (response.column, "image_id"):
        real = response.real and column == response.column
        if pd.api.types.is_bool_dtype(table[column]):
            raise MeiflowError(
                f"{origin}: {column} contains True and False; expected "
                f"{'' if real else 'whole '}numbers"
            )
        lowest = 0 if column == "spike_count" else BLANK
        numbers = (
            real_numbers(table, column, origin)
            if real
            else whole_numbers(table, column, origin, lowest)
        )
        table = table.assign(**{column: numbers})
    trial_codes, trial_ids = _factorized(table["trial_id"])
    neuron_codes, neuron_ids = _factorized(table["neuron_id"])
    check_names(trial_ids, neuron_ids, origin)
    if len(trial_ids) * len(neuron_ids) > MOST_COUNTS:
        raise MeiflowError(
            f"{origin}: {len(trial_ids):,} different trial_ids and {len(neuron_ids):,} neuron_ids "
            f"give more than {MOST_COUNTS:,} counts; check the columns trial_id and neuron_id, or "
            "split the recording"
        )
    n_neurons = len(neuron_ids)
    pair = trial_codes * n_neurons + neuron_codes
    again = np.bincount(pair, minlength=len(trial_ids) * n_neurons) > 1
    if again.any():
        double = int(np.flatnonzero(again[pair])[0])
        rows = shorten(table.index[pair == pair[double]] + 2, 3)
        raise MeiflowError(
            f"{origin}: duplicate rows {rows} for trial {trial_ids[trial_codes[double]]}, neuron "
            f"{neuron_ids[neuron_codes[double]]}; keep one"
        )
    images = table.groupby(trial_codes)["image_id"].agg(["min", "max"])
    mixed = images.index[images["min"] != images["max"]]
    if len(mixed):
        raise MeiflowError(
            f"{origin}: trial {shorten(trial_ids[mixed], 3)} has more than one image_id; every "
            "trial needs exactly one"
        )
    if response.real and len(pair) < len(again):
        missing = int(np.bincount(pair, minlength=len(again)).argmin())
        trial, neuron = divmod(missing, n_neurons)
        raise MeiflowError(
            f"{origin}: no row for trial {trial_ids[trial]}, neuron {neuron_ids[neuron]}; real "
            "responses need a row for every trial and neuron, because only counts can be zero "
            "without one"
        )
    counts = np.zeros((len(trial_ids), n_neurons), dtype=float if response.real else np.int64)
    counts[trial_codes, neuron_codes] = table[response.column].to_numpy()
    return Trials(trial_ids, list(neuron_ids), images["min"].to_numpy(), counts, response)


def check_names(trial_ids: Iterable[str], neuron_ids: Iterable[str], origin: str) -> None:
    """Check that ids can be printed, and that those of neurons can be names of folders."""
    for name in trial_ids:
        if not name.isprintable():
            raise MeiflowError(
                f"{origin}: trial_id {name[:80]!r} contains non-printable characters; check for an "
                "unclosed quotation mark"
            )
    for name in neuron_ids:
        if not is_name(name):
            raise MeiflowError(
                f"{origin}: invalid neuron_id {name[:80]!r}; use up to 64 letters, digits, '_', "
                "'-' and '.', starting with a letter or digit"
            )
        if name in RESERVED:
            raise MeiflowError(f"{origin}: neuron_id {name!r} is reserved for a table column")


def _factorized(column: pd.Series) -> tuple[NDArray[np.int64], NDArray]:
    """Code of every row, and the ids; each distinct id is converted only once."""
    raw_codes, raw_ids = pd.factorize(column)
    codes, ids = pd.factorize(np.array([identifier(value) for value in raw_ids], dtype=object))
    return codes[raw_codes], ids


def identifier(value: object) -> str:
    """An id as text; a whole number that was read as a float loses its ``.0``."""
    return re.sub(r"^(\d+)\.0$", r"\1", str(value).strip())


def mean_responses(trials: Trials) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Mean count per presentation of every image, or the average of its real-valued responses.

    Returns
    -------
    image_ids : ndarray, shape (images,)
        Image ids in increasing order.
    means : ndarray, shape (images, neurons)
        Medians, if `trials.response` asks for them.

    Examples
    --------
    >>> values, shown = np.array([[0.1], [-0.1], [9.0], [0.2]]), np.array([5, 5, 5, 7])
    >>> trials = Trials(np.arange(4), ["a"], shown, values, ResponseType(True, "median"))
    >>> mean_responses(trials)[1].ravel()
    array([0.1, 0.2])
    """
    image_ids, codes = np.unique(trials.image_ids, return_inverse=True)
    if trials.response.average == "median":
        medians = [np.median(trials.counts[codes == i], axis=0) for i in range(len(image_ids))]
        return image_ids, np.array(medians)
    repeats = np.bincount(codes)
    sums = np.zeros((len(image_ids), trials.counts.shape[1]))
    np.add.at(sums, codes, trials.counts)
    return image_ids, sums / repeats[:, None]


def responses_table(image_ids: NDArray, means: NDArray, neuron_ids: list[str]) -> pd.DataFrame:
    """Wide table: image_id, then one column per neuron."""
    return pd.concat(
        [pd.Series(image_ids, name="image_id"), pd.DataFrame(means, columns=neuron_ids)], axis=1
    )
