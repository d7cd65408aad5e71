"""Registry of all stages, used by rules, commands and documentation.

Each entry gives the purpose of a stage, the configuration and results that it reads, and the
resources that it needs. The files that it writes are in `meiflow.results.layout`, by stage name.
The entries of the procedures are derived from `meiflow.config.names`.
"""

from __future__ import annotations

from collections.abc import Iterator

from meiflow.config.names import (
    CARD_PROCEDURES,
    PICTURED_PROCEDURES,
    PROCEDURES,
    SHOWN_PROCEDURES,
    Procedure,
)
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import (
    Comparison,
    Config,
    Experiments,
    Gabor,
    Model,
    Movie,
    StimulusParameters,
)
from meiflow.stages.stage import Stage

_TARGETS = ("mei.mean", "mei.contrast")
_ASCENT = (*_TARGETS, "mei.steps", "mei.step_size", "mei.smoothing_exponent")
_JUDGES = tuple(f"session.simulation.{key}" for key in ("truth", "judge", "truth_input"))
# Code of the user's that models may call.
_CODE = ("model.custom", "model.network.core")
_CURVE = ("learning_curve", "curve_models")
_NO_FIT = ("custom", "custom_files", *_CURVE)
_FIT = tuple(f"model.{key}" for key in Model.model_fields if key not in _NO_FIT)
_NOT_SHOWN = ("custom_files", "invariance", "invariance_fraction")
_EXPERIMENTS, _MOVIE = (
    tuple(f"{name}.{key}" for key in section.model_fields if key not in _NOT_SHOWN)
    for name, section in (("experiments", Experiments), ("movie", Movie))
)
_MODELS = ("fitted_neurons", "models", "image_info")
_MEANS = ("trials", "responses", "images", "image_info")
# Tables to which models are fitted.
_SHOWN = ("grating_responses", "gabor_responses", "drifting_responses", "movie_responses")
_LEARNED = (*_MEANS, "presentations", *_SHOWN, "movie_images", "movie_windows")
_WINDOWS = tuple(f"session.movies.{k}_s" for k in ("lag", "candidate_lags", "candidate_widths"))
_FITTED = ("session.stimulus_parameters", *_WINDOWS, "image", *_FIT, "seed", "device")
_TABLES = ("id", "source", "area", "quality", "columns", "trials", "movies", "window_s")
_RESPONSE = ("response", "response_unit", "average", "sensorium")
_SEARCH = tuple(f"gabor.{key}" for key in Gabor.model_fields if key != "merge_top")
_MEASURES = tuple(f"comparison.{key}" for key in Comparison.model_fields if key != "notebook")
_STIMULI = tuple(
    f"neuron.{name}" for name in ("mei", "gabor", "best_gabor", "best_natural", "windowed_natural")
)
# What the report of a session reads, also while neurons are missing.
_ON_EVERY_PAGE = (
    *("selection", "fitted_neurons", "cross_validation", "model_search"),
    *("trials", "responses", "images", "image_info", "image_spikes", "unit_counts"),
    *("notes", "gabor_responses", "grating_trials", "drifting_responses"),
    *("neuron.mei_trace", "neuron.mei_ascent", "neuron.mei_mask", *_STIMULI),
    *("neuron.comparison", "neuron.scores", "neuron.spectra"),
)
_GABORS = tuple(
    f"session.stimulus_parameters.{key}"
    for key in StimulusParameters.model_fields
    if key.startswith("gabor_")
)


def _procedure(entry: Procedure) -> Stage:
    inputs: tuple[str, ...] = _MODELS
    inputs += ("images",) if entry.needs_images else ()
    inputs += ("neuron.mei",) if entry.needs_mei else ()
    inputs += ("model_search",) if entry.needs_rf_map else ()
    return Stage(
        entry.name,
        entry.about,
        "procedures:make_procedure",
        keys=("image", *_CODE, *entry.keys, "device"),
        inputs=inputs,
        options=("name", "neurons"),
        memory_mb=4000,
        gradients=True,
    )


def _stages() -> Iterator[Stage]:
    yield Stage(
        "simulate",
        "Simulate a session: session file, natural-like images and ground truth of the neurons.",
        "simulate:simulate",
        keys=("session.id", "session.simulation", "seed"),
        memory_mb=4000,
    )
    yield Stage(
        "download",
        "Download a session and the templates of its images and movies, and write a record.",
        "download:download",
        keys=(
            *("session.id", "session.source", "session.warehouse", "session.bucket"),
            *("session.dandi", "session.stream", "session.columns", "session.nwb"),
            *("session.images", "session.movies.shown", "session.movies.stacks"),
        ),
        options=("data",),
        memory_mb=8000,
        minutes=720,
    )
    yield Stage(
        "tables",
        "Count spikes per trial, and write the tables and the image stack.",
        "tables:build_tables",
        keys=(*(f"session.{key}" for key in (*_TABLES, *_RESPONSE, *PARAMETRIC)), "image"),
        inputs=("session_file", "scenes", "movies"),
        options=("images", "nwb", "any_area", "movies"),
        memory_mb=8000,
    )
    yield Stage(
        "selection",
        "Measure all neurons, and select those that respond reliably.",
        "selection:select",
        keys=("session.window_s", "selection", "seed"),
        inputs=("trials", "image_info", "raster", "presentations", "movie_counts"),
        options=("has", "allow_empty"),
        memory_mb=4000,
        minutes=30,
    )
    yield Stage(
        "selection_figures",
        "Draw the figures of the selection.",
        "selection_figures:draw_selection",
        inputs=("raster", "units", "selection", "correlations", "image_info"),
        options=("has",),
        minutes=15,
    )
    yield Stage(
        "fit_models",
        "Fit the models and baselines of all neurons, and score them on held-out images.",
        "fit_models:fit_models",
        keys=_FITTED,
        inputs=_LEARNED,
        options=("has", "threads"),
        memory_mb=6000,
        threads=8,
    )
    yield Stage(
        "fitted_neurons",
        "List the selected neurons that have a model.",
        "fitted_neurons:take_fitted",
        inputs=("selection", "fit_status"),
        options=("allow_empty",),
        memory_mb=500,
        minutes=5,
    )
    yield Stage(
        "extract_neuron",
        "Write the model and the fold models of a single neuron as separate files.",
        "extract_neuron:extract_neuron",
        keys=("image",),
        inputs=("models", "fitted_neurons"),
        options=("neuron",),
        minutes=15,
    )
    yield Stage(
        "learning_curve",
        "Fit models of all neurons to fewer images, and score them.",
        "learning_curve:fit_learning_curve",
        keys=(*_FITTED, *(f"model.{key}" for key in _CURVE)),
        inputs=(*_LEARNED, "model_search", "fit_status"),
        options=("has", "threads"),
        memory_mb=6000,
        threads=8,
    )
    yield Stage(
        "nuisances",
        "Predict the responses of the fitted neurons from nuisances alone.",
        "nuisances:score_nuisances",
        keys=("image", "model.folds", "model.penalties", "seed"),
        inputs=(*_MEANS, "presentations", "model_search", "fitted_neurons"),
        options=("has",),
        memory_mb=4000,
        minutes=30,
    )
    yield Stage(
        "gabor_search",
        "Search for the best Gabors in silico of all fitted neurons.",
        "gabor_search:search_gabors",
        keys=("image", *_CODE, *_TARGETS, *_SEARCH, "device"),
        inputs=_MODELS,
        options=("threads",),
        memory_mb=4000,
        threads=8,
        gradients=True,
    )
    yield Stage(
        "stimuli",
        "Make the MEI, the best Gabors and the best natural images of a neuron.",
        "stimuli:make_stimuli",
        keys=(
            *_GABORS,
            "image",
            *_CODE,
            "mei",
            "gabor.merge_top",
            "comparison.mask_threshold",
            "seed",
            "device",
        ),
        inputs=(
            "fitted_neurons",
            "models",
            "images",
            "image_info",
            "gabor_trials",
            "procedure.best_gabors",
        ),
        options=("has", "neuron"),
        minutes=15,
        gradients=True,
    )
    yield from map(_procedure, PROCEDURES.values())
    yield Stage(
        "movie",
        "Make optimal movies for the custom spatio-temporal model (movie.model).",
        "movie:make_movies",
        keys=("image", *_MOVIE, "seed", "device"),
        memory_mb=8000,
        minutes=240,
        gradients=True,
    )
    yield Stage(
        "comparison",
        "Measure all stimuli of a neuron in the same way, and list the scores of its models.",
        "comparison:compare_neuron",
        keys=("image", *_CODE, *_TARGETS, *_MEASURES, "seed"),
        inputs=("fitted_neurons", "models", "image_info", "cross_validation", *_STIMULI),
        options=("has", "neuron"),
        minutes=15,
        gradients=True,
    )
    yield Stage(
        "compare_notebook",
        "Draw and measure a neuron's stimuli as the notebook did, next to ours.",
        "compare_notebook:compare_with_notebook",
        keys=("image", *_CODE, *_TARGETS, "comparison.mask_threshold"),
        inputs=(
            "fitted_neurons",
            "models",
            "image_info",
            "gabor_trials",
            "neuron.mei",
            "neuron.gabor",
            "procedure.notebook_mei",
        ),
        options=("has", "neuron"),
        minutes=15,
        gradients=True,
    )
    yield Stage(
        "experiments",
        "Run the in-silico experiments on every fitted neuron.",
        "experiments:make_experiments",
        keys=("image", *_CODE, *_EXPERIMENTS, "device"),
        inputs=("fitted_neurons", "models", "image_info", "neuron.best_gabor_table", "neuron.mei"),
        options=("neurons",),
        memory_mb=4000,
        gradients=True,
    )
    yield Stage(
        "invariance",
        "Find how far images can differ from a neuron's MEI and still drive it.",
        "invariance:measure_invariance",
        keys=("image", *_CODE, "experiments.invariance_fraction", "seed"),
        inputs=("fitted_neurons", "models", "neuron.mei", "neuron.best_gabor_table"),
        options=("neuron",),
        minutes=30,
        gradients=True,
    )
    yield Stage(
        "closed_loop",
        "Show the stimuli to the simulated neurons (closed loop).",
        "closed_loop:close_loop",
        keys=("image", *_JUDGES, *_TARGETS, "stimuli.make", "seed"),
        inputs=(
            "truth",
            "fitted_neurons",
            "image_info",
            *_STIMULI,
            *(f"procedure.{name}" for name in (*SHOWN_PROCEDURES, "transparent")),
        ),
        options=("has",),
        gradients=True,
    )
    yield Stage(
        "confidence",
        "Measure the confidence in every neuron's MEI, without using the ground truth.",
        "confidence:judge_neurons",
        keys=("image", "model.network.core", *_ASCENT, "seed", "device"),
        inputs=(*_MODELS, "responses", "images", "cross_validation", "nuisances", "neuron.mei"),
        gradients=True,
    )
    yield Stage(
        "recorded",
        "Compare recorded Gabor and grating tuning with the predictions of the models.",
        "recorded:compare_recorded",
        keys=(
            *("session.stimulus_parameters", "image", *_CODE),
            *("model.learn_from", "seed", "device"),
        ),
        inputs=("fitted_neurons", "models", "gabor_trials", "grating_trials"),
        options=("has",),
        gradients=True,
    )
    yield Stage(
        "summary",
        "Collect the main results, one row per fitted neuron.",
        "summary:write_summary",
        keys=("model.custom", *(f"experiments.{k}" for k in ("make", "custom", "invariance"))),
        inputs=(
            "units",
            "selection",
            "fitted_neurons",
            "cross_validation",
            "neuron.scores",
            "neuron.comparison",
            "neuron.invariance",
            "closed_loop",
            "trust",
            "recorded_tuning",
            "preferences",
            "experiment_summary",
        ),
        options=("has",),
        memory_mb=1000,
        minutes=15,
    )
    yield Stage(
        "provenance",
        "Hash all inputs of the results.",
        "provenance:write_provenance",
        inputs=("scenes", "trials", "images", "image_info", "movie_responses", "movie_images"),
        options=("inputs",),
        memory_mb=1000,
        minutes=30,
    )
    yield Stage(
        "provisional",
        "Write a report of the first neurons, while the others are in work.",
        "provisional:write_provisional",
        keys=tuple(Config.model_fields),
        options=("has",),
        inputs=("units", *_ON_EVERY_PAGE),
        minutes=30,
    )
    yield Stage(
        "report",
        "Draw the overview figures, and write the report.",
        "report:write_report",
        keys=tuple(Config.model_fields),
        options=("has",),
        inputs=(
            *_ON_EVERY_PAGE,
            "summary",
            "learning_curve",
            "gabor_trials",
            "predicted_gabors",
            "predicted_gratings",
            "recorded_tuning",
            "recorded_svg",
            "preferences",
            "closed_loop",
            "experiment_tuning",
            "experiment_summary",
            "experiment_maps",
            "provenance",
            *(f"procedure.{name}" for name in (*PICTURED_PROCEDURES, *CARD_PROCEDURES)),
            "picture.movies",
            *(f"figure.{name}" for name in ("oracle", "measures", "rastermap")),
        ),
        minutes=30,
    )
    yield Stage(
        "cluster",
        "Cluster the neurons of all sessions by their responses; one stimulus for each cluster.",
        "cluster:cluster_sessions",
        keys=("session", "sessions", "image", *_CODE, "clusters", "seed", "device"),
        inputs=("fitted_neurons", "models", "summary", "neuron.best_gabor_table"),
        memory_mb=4000,
        sessions=True,
        gradients=True,
    )
    yield Stage(
        "combine",
        "Combine all sessions: tables, figures and one page.",
        "combine:combine_sessions",
        keys=tuple(Config.model_fields),
        inputs=("selection", "fitted_neurons", "units", "summary", "neuron.mei"),
        minutes=30,
        sessions=True,
    )


STAGES: dict[str, Stage] = {stage.name: stage for stage in _stages()}
