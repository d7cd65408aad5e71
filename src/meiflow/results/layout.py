"""Paths of all results; the only module that defines the folder layout.

Rules, stages, the report and the documentation get all paths from here. A root with wildcards
(``results/{session}``) gives patterns for Snakemake.
"""

from __future__ import annotations

from pathlib import Path

from meiflow.config.experiments import STANDARD
from meiflow.results.folder import Folder, ResultFile, StimulusFiles, figures, pictures
from meiflow.session.source import DOWNLOAD_RECORD, MOVIES, SCENES, SESSION_FILE, TRUTH

_NWB = "from a session file"
_GABORS = "Gabors were shown"
_GRATINGS = "static gratings were shown"
_DRIFTING = "drifting gratings were shown"
_FLASHES = "full-field flashes were shown"
_MOVIES = "natural movies were shown"
_WINDOWS = "`session.movies.candidate_lags_s` or `candidate_widths_s`, and natural movies"
_CONDITIONS = "Gabors or static gratings were shown"
_SIMULATED = "simulated sessions"
_NOTEBOOK = "`comparison.notebook`"
_EXPERIMENTS = "`experiments.make` or `experiments.custom`"
_TRANSPARENT = "simulated sessions with `transparent` in `stimuli.make`"
_INVARIANCE = "`experiments.invariance`"
_CLUSTERS = "`clusters.make`"


class NeuronLayout(Folder):
    """Paths of the results of a neuron.

    Examples
    --------
    >>> Layout("results/demo").neuron("7").mei.as_posix()
    'results/demo/neurons/7/mei.npy'
    """

    mei = ResultFile("mei.npy", "stimuli", "most exciting input (height, width), luminance 0..1")
    mei_picture = ResultFile("mei.png", "stimuli", "the same as a picture")
    mei_trace = ResultFile("mei_trace.csv", "stimuli", "trace of the gradient ascent")
    best_gabor = ResultFile("best_gabor.npy", "stimuli", "best Gabor in silico")
    best_gabor_picture = ResultFile("best_gabor.png", "stimuli", "the same as a picture")
    mei_ascent = ResultFile("mei_ascent.npz", "stimuli", "some images on the way to the MEI")
    best_gabor_table = ResultFile("best_gabor.csv", "stimuli", "its parameters and response")
    best_natural = ResultFile("best_natural.npy", "stimuli", "best natural image")
    best_natural_picture = ResultFile("best_natural.png", "stimuli", "the same as a picture")
    windowed_natural = ResultFile(
        "windowed_natural.npy", "stimuli", "best natural image seen through the MEI's mask"
    )
    windowed_natural_picture = ResultFile("windowed_natural.png", "stimuli", "as a picture")
    gabor = ResultFile("gabor.npy", "stimuli", "best recorded Gabor", _GABORS)
    gabor_picture = ResultFile("gabor.png", "stimuli", "the same as a picture", _GABORS)
    gabor_table = ResultFile(
        "gabor.csv", "stimuli", "condition and responses of the best recorded Gabor", _GABORS
    )
    comparison = ResultFile("comparison.csv", "comparison", "metrics, one row per stimulus")
    scores = ResultFile("scores.csv", "comparison", "held-out scores, one row per model")
    spectra = ResultFile("spectra.csv", "comparison", "profiles of the power spectra")
    mei_mask = ResultFile("mei_mask.npy", "comparison", "tight mask of the MEI")
    mei_mask_picture = ResultFile("mei_mask.png", "comparison", "the same as a picture")
    notebook = ResultFile("notebook.csv", "compare_notebook", "the notebook's measures", _NOTEBOOK)
    notebook_png = ResultFile("notebook.png", "compare_notebook", "their figure", _NOTEBOOK)
    notebook_svg = ResultFile("notebook.svg", "compare_notebook", "as vector graphics", _NOTEBOOK)
    notebook_gabor = ResultFile(
        "notebook_gabor.npy",
        "compare_notebook",
        "the notebook's Gabor",
        f"{_NOTEBOOK}, and {_GABORS}",
    )
    notebook_gabor_picture = ResultFile(
        "notebook_gabor.png",
        "compare_notebook",
        "the same as a picture",
        f"{_NOTEBOOK}, and {_GABORS}",
    )
    invariance = ResultFile("invariance.csv", "invariance", "reach and tolerances", _INVARIANCE)
    invariance_path = ResultFile("invariance_path.npy", "invariance", "images", _INVARIANCE)
    invariance_steps = ResultFile("invariance_path.csv", "invariance", "their angles", _INVARIANCE)
    invariance_png = ResultFile("invariance.png", "invariance", "figure of these", _INVARIANCE)
    invariance_svg = ResultFile("invariance.svg", "invariance", "as vector graphics", _INVARIANCE)
    model = ResultFile("model.pt", "extract_neuron", "model of a single neuron", "on request")
    fold_models = ResultFile("fold_models.pt", "extract_neuron", "its fold models", "on request")

    def figure(self, name: str, suffix: str) -> Path:
        """A figure of the neuron, made on request by ``meiflow figure``."""
        return self.root / "figures" / f"{name}.{suffix}"


class Layout(Folder):
    """Paths of the results of a session.

    Parameters
    ----------
    root : path
        ``results/{id}``.

    Examples
    --------
    >>> layout = Layout("results/demo")
    >>> layout.trials.as_posix()
    'results/demo/tables/trials.csv'
    >>> Layout.trials.stage
    'tables'
    """

    session_file = ResultFile(SESSION_FILE, "simulate", "AllenSDK session file", _SIMULATED)
    scenes = ResultFile(SCENES, "simulate", "folder of the images (PNG)", _SIMULATED)
    movies = ResultFile(
        MOVIES,
        "simulate",
        "folder of the natural movies (.npy)",
        "simulated sessions with `session.simulation.movie_repeats`",
    )
    truth = ResultFile(TRUTH, "simulate", "parameters of the simulated neurons", _SIMULATED)
    download_record = ResultFile(
        DOWNLOAD_RECORD,
        "download",
        "record of the downloaded session file",
        "`session.source` `allen` or `dandi`",
    )

    trials = ResultFile(
        "tables/trials.csv", "tables", "spike counts of every trial and neuron, including zeros"
    )
    responses = ResultFile("tables/responses.csv", "tables", "mean counts by image and neuron")
    blank_responses = ResultFile(
        "tables/blank_responses.csv", "tables", "mean counts for the grey screen"
    )
    units = ResultFile("tables/units.csv", "tables", "units, with their quality metrics")
    unit_counts = ResultFile(
        "tables/units.json", "tables", "number of units remaining after each filter"
    )
    notes = ResultFile("tables/notes.json", "tables", "what may be wrong with the inputs")
    images = ResultFile("tables/images.npy", "tables", "image stack, luminance 0..1")
    image_info = ResultFile(
        "tables/images.json", "tables", "ids, geometry, mean luminance and contrast of the stack"
    )
    raster = ResultFile("tables/raster.npz", "tables", "binned activity during the images")
    presentations = ResultFile(
        "tables/presentations.csv",
        "tables",
        "time, block and behaviour for every presentation",
        _NWB,
    )
    image_spikes = ResultFile(
        "tables/image_spikes.npz", "tables", "spike times around every presentation", _NWB
    )
    tuning = ResultFile(
        "tables/tuning.csv",
        "tables",
        "recorded receptive fields and preferences",
        "Gabors, gratings or flashes were shown",
    )
    gabor_responses = ResultFile(
        "tables/gabor_responses.csv", "tables", "mean counts by Gabor and neuron", _GABORS
    )
    gabor_trials = ResultFile("tables/gabor_trials.csv", "tables", "single Gabor trials", _GABORS)
    grating_responses = ResultFile(
        "tables/grating_responses.csv", "tables", "mean counts by grating and neuron", _GRATINGS
    )
    grating_trials = ResultFile(
        "tables/grating_trials.csv", "tables", "single grating trials", _GRATINGS
    )
    drifting_responses = ResultFile(
        "tables/drifting_responses.csv",
        "tables",
        "mean counts by drifting grating and neuron",
        _DRIFTING,
    )
    drifting_trials = ResultFile(
        "tables/drifting_trials.csv", "tables", "single drifting-grating trials", _DRIFTING
    )
    flash_responses = ResultFile(
        "tables/flash_responses.csv", "tables", "mean counts by flash and neuron", _FLASHES
    )
    flash_trials = ResultFile("tables/flash_trials.csv", "tables", "single flash trials", _FLASHES)

    movie_responses = ResultFile(
        "tables/movie_responses.csv", "tables", "mean counts by movie bin and neuron", _MOVIES
    )
    movie_errors = ResultFile(
        "tables/movie_errors.csv", "tables", "standard errors of these means", _MOVIES
    )
    movie_counts = ResultFile(
        "tables/movie_counts.npz", "tables", "counts of every pass (pass, bin, neuron)", _MOVIES
    )
    movie_images = ResultFile(
        "tables/movies.npy", "tables", "mean frame of every bin, on the grid of the images", _MOVIES
    )

    movie_windows = ResultFile(
        "tables/movie_windows.npz",
        "tables",
        "mean counts in every candidate window (window, bin, neuron)",
        _WINDOWS,
    )

    selection = ResultFile(
        "selection/neurons.csv",
        "selection",
        "measures of every neuron, and why it was selected or excluded",
    )
    correlations = ResultFile(
        "selection/correlations.npz", "selection", "signal and noise correlation of every pair"
    )

    models = ResultFile("models/models.zip", "fit_models", "models and fold models of all neurons")
    model_search = ResultFile("models/search.npz", "fit_models", "RF maps and held-out predictions")
    cross_validation = ResultFile(
        "models/cross_validation.csv", "fit_models", "held-out scores by neuron and model"
    )
    fold_scores = ResultFile("models/folds.csv", "fit_models", "held-out scores within each fold")
    fit_status = ResultFile("models/status.csv", "fit_models", "outcome of the fit of every neuron")
    gain = ResultFile(
        "models/gain.csv",
        "fit_models",
        "gain of single trials, one row per neuron",
        "`model.gain` other than none",
    )
    gaze = ResultFile(
        "models/gaze.csv",
        "fit_models",
        "whether images shifted by gaze explain responses better, by fold",
        "`model.gaze` other than none",
    )
    movie_lags = ResultFile(
        "models/movie_windows.csv",
        "fit_models",
        "counting window of movies that was chosen for each neuron, by fold",
        _WINDOWS,
    )
    fitted_neurons = ResultFile(
        "models/neurons.csv", "fitted_neurons", "the selected neurons that have a model"
    )
    nuisances = ResultFile(
        "models/nuisances.csv",
        "nuisances",
        "what luminance, contrast, behaviour or time alone predict, one row per neuron",
        "no `model.custom`",
    )
    learning_curve = ResultFile(
        "models/learning_curve.csv", "learning_curve", "scores of models fitted to fewer images"
    )

    experiment_tuning = ResultFile(
        "experiments/tuning.csv", "experiments", "predicted response by stimulus", _EXPERIMENTS
    )
    experiment_summary = ResultFile(
        "experiments/summary.csv", "experiments", "tuning measures by neuron", _EXPERIMENTS
    )
    experiment_maps = ResultFile(
        "experiments/maps.npz", "experiments", "RF maps of the models", _EXPERIMENTS
    )

    closed_loop = ResultFile(
        "validation/closed_loop.csv",
        "closed_loop",
        "responses of the simulated neurons to every stimulus",
        _SIMULATED,
    )
    transparency = ResultFile(
        "validation/transparency.csv", "closed_loop", "alpha against true filters", _TRANSPARENT
    )
    trust = ResultFile(
        "validation/trust.csv", "confidence", "which MEIs can be trusted", "no `model.custom`"
    )
    recorded_tuning = ResultFile(
        "validation/recorded.csv",
        "recorded",
        "agreement of recorded and predicted tuning",
        _CONDITIONS,
    )
    preferences = ResultFile(
        "validation/preferences.csv", "recorded", "recorded and predicted preferences", _CONDITIONS
    )
    predicted_gabors = ResultFile(
        "validation/predicted_gabors.csv", "recorded", "predictions by Gabor", _GABORS
    )
    predicted_gratings = ResultFile(
        "validation/predicted_gratings.csv", "recorded", "predictions by grating", _GRATINGS
    )
    recorded_png = ResultFile(
        "validation/recorded.png", "recorded", "figure of the agreement", _CONDITIONS
    )
    recorded_svg = ResultFile(
        "validation/recorded.svg", "recorded", "the same as vector graphics", _CONDITIONS
    )

    summary = ResultFile("summary.csv", "summary", "one row per fitted neuron")
    provenance = ResultFile("provenance.json", "provenance", "hashes of the inputs")
    provisional = ResultFile("provisional.html", "provisional", "first neurons, until the report")
    report = ResultFile("report.html", "report", "the report of the session")
    overview_figures = figures(
        "figures",
        "report",
        {
            "gallery": ("MEIs, Gabors and natural images", ""),
            "scores": ("held-out scores of all models", ""),
            "responses": ("predicted responses to MEI, Gabor and natural image", ""),
            "learning": ("scores by number of training images", "`model.learning_curve`"),
            "procedures": ("MEIs and stimuli of the procedures", "`stimuli.make`"),
            "closed_loop": ("responses of the true neurons", _SIMULATED),
        },
    )
    figures_of_selection = figures(
        "selection",
        "selection_figures",
        {
            "rastermap": ("activity of all neurons, in raster order", ""),
            "rastermap_blocks": ("activity of all neurons, block by block", ""),
            "correlations": ("signal and noise correlations, clustered", ""),
            "measures": ("entropy, variance and oracle correlation", ""),
            "oracle": ("oracle correlations, ranked, with interval and null", ""),
            "probes": ("positions of the neurons on their probes", _NWB),
        },
    )
    figures_of_experiments = figures(
        "experiments",
        "experiments",
        {name: (f"experiment `{name}` on all neurons", "`experiments.make`") for name in STANDARD}
        | {"custom": ("custom experiments on all neurons", "`experiments.custom`")},
    )

    def neuron(self, neuron: str) -> NeuronLayout:
        """Paths of the results of a neuron; ``"{neuron}"`` gives patterns."""
        return NeuronLayout(self.root / "neurons" / neuron)

    def procedure(self, name: str) -> StimulusFiles:
        """Images, table and picture of a procedure, ``best_gabors`` or ``movies``."""
        folder = self.root / "stimuli"
        images, table, picture = (folder / f"{name}.{s}" for s in ("npy", "csv", "png"))
        return StimulusFiles(images, table, picture)

    def figures(self, *names: str) -> list[Path]:
        """Overview figures of the report, each as picture and as vector graphics."""
        return pictures(self.root, self.overview_figures, names)

    def selection_figures(self, *names: str) -> list[Path]:
        """Figures of the selection, each as picture and as vector graphics."""
        return pictures(self.root, self.figures_of_selection, names)

    def experiment_figures(self, *names: str) -> list[Path]:
        """Figures of the experiments, each as picture and as vector graphics."""
        return pictures(self.root, self.figures_of_experiments, names)

    def paper_figure(self, name: str, suffix: str) -> Path:
        """A panel, or all of them, drawn on request by ``meiflow figure --paper``."""
        return self.root / "figures" / "paper" / f"{name}.{suffix}"

    def log(self, name: str) -> Path:
        """Log file of a job."""
        return self.root / "logs" / f"{name}.log"

    @property
    def timings(self) -> Path:
        """Folder of the time and memory used by the jobs."""
        return self.root / "benchmarks"

    def timing(self, stage: str, neuron: str | None = None) -> Path:
        """Time and memory used by a job."""
        folder = self.timings / "neurons" / neuron if neuron else self.timings
        return folder / f"{stage}.tsv"

    @property
    def unfinished_fits(self) -> Path:
        """Folder of finished parts of an unfinished fit."""
        return self.root / "models" / "parts"

    def kept(self, stage: str) -> Path:
        """What a stage has made of single neurons, for the next run."""
        return self.root / "kept" / f"{stage}.npz"


class CombinedLayout(Folder):
    """Paths of the combined results of all sessions.

    Parameters
    ----------
    root : path
        ``results/combined``.
    """

    warehouse = ResultFile(
        "warehouse.csv",
        "sessions",
        "sessions in the warehouse, and why they are chosen or excluded",
        "`sessions: all`",
    )
    clusters = ResultFile("clusters.csv", "cluster", "cluster of every neuron", _CLUSTERS)
    cluster_stimuli = ResultFile("cluster_stimuli.npy", "cluster", "their stimuli", _CLUSTERS)
    cluster_numbers = ResultFile("cluster_numbers.csv", "cluster", "stability by number", _CLUSTERS)
    neurons = ResultFile("neurons.csv", "combine", "one row per fitted neuron")
    sessions = ResultFile("sessions.csv", "combine", "one row per session")
    estimates = ResultFile("estimates.csv", "combine", "means over sessions, with intervals")
    groups = ResultFile("groups.csv", "combine", "MEI properties by area and class of neurons")
    differences = ResultFile("differences.csv", "combine", "differences between these groups")
    cost = ResultFile("cost.csv", "combine", "time and memory of every stage")
    report = ResultFile("report.html", "combine", "the report of all sessions")
    atlas = ResultFile("atlas.html", "combine", "all MEIs, arranged by similarity")

    overview_figures = figures(
        "figures",
        "combine",
        {
            "gallery": ("MEIs with the highest confidence", ""),
            "areas": ("measures by area", ""),
            "distributions": ("distributions of measures over neurons", ""),
            "models": ("held-out scores of all models", ""),
        },
    )

    def figures(self, *names: str) -> list[Path]:
        """Figures of all sessions, each as picture and as vector graphics."""
        return pictures(self.root, self.overview_figures, names)
