"""All data that the report uses, read once."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.experiments.measures import MAPS, SUMMARY_COLUMNS, untidy
from meiflow.figures.recorded import TuningView
from meiflow.figures.trials import PresentedImage
from meiflow.io.checksums import verify_checksum
from meiflow.io.files import read_array, read_arrays, read_csv
from meiflow.models.folds import GUARD_S, fold_stream, folds_of
from meiflow.report.tuning_views import tuning_views
from meiflow.response_type import ResponseType
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout, NeuronLayout
from meiflow.results.neurons import failed_fits, selected_neurons
from meiflow.results.stimuli import Transparent, read_stimuli, read_transparent
from meiflow.results.tables import read_image_spikes, read_responses, read_trials
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import medians
from meiflow.tables.counts import Responses, Trials
from meiflow.tables.image_spikes import ImageSpikes

_BEST_AND_WORST = 2
# Words of the report, and what is true of movies.
_OF_MOVIES = {
    "natural image": "movie frame",
    "Natural image": "Movie frame",
    "on responses permuted across images": "on responses shifted in time",
}


@dataclass(frozen=True)
class Experiments:
    """Results of the experiments on the models.

    Parameters
    ----------
    tables : dict of str to dict of str to DataFrame
        experiments/tuning.csv by neuron and experiment.
    summary : DataFrame
        experiments/summary.csv, indexed by neuron.
    maps : dict of str to dict of str to DataFrame
        RF maps by neuron and name; rows are y, columns x.
    """

    tables: dict[str, dict[str, pd.DataFrame]]
    summary: pd.DataFrame
    maps: dict[str, dict[str, pd.DataFrame]]


def read_experiments(results: Layout) -> Experiments:
    """Read the results of the experiments.

    Raises
    ------
    MeiflowError
        If a file is missing or damaged.
    """
    table = read_csv(results.experiment_tuning, ("neuron_id", "experiment", "response"))
    summary = read_csv(results.experiment_summary, ("neuron_id", *SUMMARY_COLUMNS))
    arrays = read_arrays(results.experiment_maps)
    axes = arrays["y_deg"], arrays["x_deg"]
    return Experiments(
        {str(neuron): untidy(rows) for neuron, rows in table.groupby("neuron_id", sort=False)},
        summary.set_index("neuron_id", drop=False),
        {
            str(neuron): {k: pd.DataFrame(arrays[k][i], *axes) for k in MAPS if k in arrays}
            for i, neuron in enumerate(arrays["neuron_id"])
        },
    )


@dataclass(frozen=True)
class SessionData:
    """Tables and arrays of a finished session, as needed by the figures of the report.

    Parameters
    ----------
    config : Config
    results : Layout
    has : SessionHas
    summary, table, scores, curve : DataFrame
        summary.csv, selection/neurons.csv, models/cross_validation.csv and learning_curve.csv.
    loop : DataFrame or None
        closed_loop.csv of a simulated session.
    neurons : list of str
        Selected neurons that have a model.
    failed : dict of str to str
        Selected neurons without a model, and why.
    responses : Responses
    trials : Trials
        Without the blank.
    spikes : ImageSpikes or None
        None for source tables, which have no spike times.
    search : dict of str to ndarray
        models/search.npz.
    tuning : dict of str to TuningView
        Tuning by neuron; empty if only images were shown.
    experiments : Experiments or None
        None if no experiments were run.
    transparent : dict of str to Transparent
        Transparent MEIs by neuron, where they were made.
    units : dict of str to int
        Number of units ``in_file``, ``in_areas``, and that ``passed`` the quality filters.
    fitted : int
        Number of fitted neurons, of which `neurons` are the first in a provisional report.
    provisional : bool
        Whether results of all neurons together are not known yet.
    """

    config: Config
    results: Layout
    has: SessionHas
    summary: pd.DataFrame
    table: pd.DataFrame
    scores: pd.DataFrame
    curve: pd.DataFrame
    loop: pd.DataFrame | None
    neurons: list[str]
    failed: dict[str, str]
    responses: Responses
    trials: Trials
    spikes: ImageSpikes | None
    search: dict[str, NDArray]
    tuning: dict[str, TuningView]
    experiments: Experiments | None
    transparent: dict[str, Transparent]
    units: dict[str, int]
    fitted: int
    provisional: bool = False

    @property
    def selected(self) -> int:
        """Number of selected neurons, with and without a model."""
        return self.fitted + len(self.failed)

    @property
    def simulated(self) -> bool:
        """Whether the ground truth is known."""
        return self.loop is not None

    @property
    def window(self) -> tuple[float, float]:
        """Counting window in seconds after onset; 0.25 s if it ends with each presentation."""
        movies = self.responses.movies
        if movies:
            lag = self.config.session.movies.lag_s
            return lag, lag + movies[0].bin_s
        start, stop = self.config.session.window_s
        return start, 0.25 if stop is None else stop

    @property
    def training_images(self) -> int:
        """Number of images to which a model is fitted in each fold."""
        shown = self.responses
        folds = max(int(self.scores["folds"].max()), 2)
        stream = fold_stream(self.config.seed)
        return folds_of(shown.images, shown.movies, folds, stream, shown.tests).training_images

    @property
    def response(self) -> ResponseType:
        """What the responses are."""
        return self.responses.response

    @property
    def without_scenes(self) -> str:
        """What took the place of natural scenes, in a sentence or two; empty if they were shown."""
        movies = self.responses.movies
        if not movies:
            return ""
        return (
            "This session showed no natural scenes. Frames of "
            f"{', '.join(movie.name for movie in movies)} take their place: "
            f"{len(self.responses.images)} means of {self.config.session.movies.frames_per_bin} "
            f"successive frames ({1000 * movies[0].bin_s:.0f} ms), each shown in every pass. "
            "“Image” and “natural image” below mean such a movie frame. Models are scored on "
            f"contiguous stretches of the movie that are held out with {GUARD_S:g} s on both "
            "sides, and the shuffled control is fitted to responses shifted in time. Intervals "
            "over images are too narrow, because neighbouring frames are alike."
        )

    def called(self, text: str) -> str:
        """A text that holds for these responses, and for movie frames in place of images."""
        text = self.response.words(text)
        if not self.responses.movies:
            return text
        for word, ours in _OF_MOVIES.items():
            text = text.replace(word, ours)
        return text

    def label(self, image: int) -> str:
        """Name of an image: its number, or the frames of a movie."""
        first = 0
        for movie in self.responses.movies:
            if image < first + movie.bins:
                frame = (image - first) * self.config.session.movies.frames_per_bin
                return f"frame {frame}"
            first += movie.bins
        return f"image {image}"

    def files(self, neuron: str) -> NeuronLayout:
        """Paths of the neuron's files."""
        return self.results.neuron(neuron)

    def images(self, neuron: str) -> dict[str, NDArray]:
        """The neuron's stimuli by name."""
        return {s.name: s.image for s in read_stimuli(self.files(neuron), self.has.gabors)}

    def true_fraction(self, neuron: str) -> dict[str, float]:
        """Fraction of the maximal drive by stimulus; empty for a recorded session."""
        if self.loop is None:
            return {}
        own = self.loop[self.loop["neuron_id"].astype(str) == neuron]
        return dict(zip(own["stimulus"], own["fraction_of_optimum"], strict=True))

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row (image) and column (how often it was shown before) of every trial."""
        images = pd.Series(self.trials.image_ids)
        rows = pd.Index(self.responses.image_ids).get_indexer(images)
        return rows, images.groupby(images).cumcount().to_numpy()

    def trials_by_image(self, neuron: str) -> NDArray[np.float64]:
        """Responses (images, trials) in the order of presentation; NaN where there is no trial."""
        rows, places = self._places
        found = np.full((len(self.responses.image_ids), int(places.max()) + 1), np.nan)
        found[rows, places] = self.trials.counts[:, self.trials.neuron_ids.index(neuron)]
        return found

    def by_image(self, neuron: str) -> pd.DataFrame:
        """Average over trials of each image, its standard error, and averages of odd and even ones.

        The averages are means, or medians if the session has these.
        """
        trials = self.trials_by_image(neuron)
        average = np.nanmedian if self.response.average == "median" else np.nanmean
        shown = np.isfinite(trials).sum(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # single trials
            sem = np.nanstd(trials, axis=1, ddof=1) / np.sqrt(shown)
            table = pd.DataFrame({"image_id": self.responses.image_ids})
            table["mean"], table["sem"] = average(trials, axis=1), sem
            for first, name in enumerate(("odd", "even")):
                part = trials[:, first::2]
                table[name] = average(part, axis=1) if part.shape[1] else np.nan
        if self.response.average == "median":
            column = self.trials.neuron_ids.index(neuron)
            own = self.trials.counts[:, [column]].astype(float)
            variance = medians(own, TrialGroups.of(self.trials.image_ids))[1][:, 0]
            table["sem"] = np.where(shown > 1, np.sqrt(variance), np.nan)
        return table

    def row_of(self, neuron: str) -> pd.Series:
        """The neuron's row of selection/neurons.csv."""
        return self.table[self.table["neuron_id"].astype(str) == neuron].iloc[0]

    def best_and_worst(self, neuron: str) -> list[PresentedImage]:
        """The images that drive the neuron most, then those that drive it least."""
        column = self.responses.column(neuron)
        counts = self.trials.counts[:, self.trials.neuron_ids.index(neuron)]
        order = np.argsort(-self.responses.means[:, column], kind="stable")
        n, average = min(_BEST_AND_WORST, len(order) // 2), self.response.average
        shown = []
        for best, rows in ((True, order[:n]), (False, order[-n:])):
            for row in rows:
                image = int(self.responses.image_ids[row])
                times = self.spikes.of_neuron(neuron, image) if self.spikes is not None else []
                own = counts[self.trials.image_ids == image]
                label = self.label(image)
                picture = self.responses.images[row]
                shown.append(PresentedImage(label, picture, own, tuple(times), best, average))
        return shown

    def all_spikes(self, neuron: str) -> list[NDArray]:
        """Spike times of all trials of all images."""
        if self.spikes is None:
            return []
        return [
            times
            for image in self.responses.image_ids
            for times in self.spikes.of_neuron(neuron, int(image))
        ]


def read_session_data(config: Config, results: Layout, has: SessionHas) -> SessionData:
    """Read the results of a finished session.

    Raises
    ------
    MeiflowError
        If a file is missing or damaged, or no neuron was selected.
    """
    neurons = selected_neurons(results.fitted_neurons)
    if not neurons:
        raise MeiflowError("no neuron was selected; there is nothing to report")
    make, curve = config.experiments, read_csv(results.learning_curve, ("neuron_id",))
    return SessionData(
        summary=read_csv(results.summary, ("neuron_id", "cc_norm_model", "model_above_chance")),
        curve=curve[curve["neuron_id"].isin(neurons)],
        loop=read_csv(results.closed_loop) if has.truth else None,
        neurons=neurons,
        tuning=tuning_views(results, has, neurons) if has.conditions else {},
        experiments=read_experiments(results) if make.make or make.custom else None,
        transparent=read_transparent(results, neurons)
        if "transparent" in config.stimuli.make
        else {},
        fitted=len(neurons),
        **_of_neurons(config, results, has),
    )


def read_first_data(
    config: Config, results: Layout, has: SessionHas, neurons: list[str], summary: pd.DataFrame
) -> SessionData:
    """Read what is known when the stimuli of the first neurons are made.

    Parameters
    ----------
    config : Config
        Configuration without the stages that are made of all neurons together.
    results : Layout
    has : SessionHas
    neurons : list of str
        The first neurons.
    summary : DataFrame
        One row for each of these, as in summary.csv.
    """
    return SessionData(
        **_of_neurons(config, results, has),
        summary=summary,
        curve=pd.DataFrame(columns=["neuron_id", "model", "images"]),
        loop=None,
        neurons=neurons,
        tuning={},
        experiments=None,
        transparent={},
        fitted=len(selected_neurons(results.fitted_neurons)),
        provisional=True,
    )


def _of_neurons(config: Config, results: Layout, has: SessionHas) -> dict[str, Any]:
    """What every report reads, by name in `SessionData`."""
    return {
        "config": config,
        "results": results,
        "has": has,
        "table": read_csv(results.selection),
        "scores": read_csv(results.cross_validation),
        "failed": failed_fits(results.fitted_neurons),
        "responses": read_responses(results, config.image.geometry),
        "trials": read_trials(results).of_images(),
        "spikes": read_image_spikes(results) if has.spike_times else None,
        "search": read_arrays(results.model_search),
        "units": _units(results.unit_counts),
    }


def _units(path: Path) -> dict[str, int]:
    verify_checksum(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: int(found[name]) for name in ("in_file", "in_areas", "passed")}
    except (OSError, ValueError, KeyError, TypeError):
        raise MeiflowError(f"{path}: missing or unreadable; rebuild the tables") from None


def mask_of(data: SessionData, neuron: str) -> NDArray:
    """The tight mask of the neuron's MEI: (height, width), 1 inside."""
    return read_array(data.files(neuron).mei_mask)
