# What the rules share: where things lie, and which files belong together. Of many sessions, every
# path has the wildcard {session}. One has none: Snakemake tells rules apart by what stands before
# the first wildcard, and else compares every file with every output of every rule.

SOURCE = CONFIG.session.source
RESULTS = "results/{session}" if DATASET.many else f"results/{CONFIG.session.id}"
TABLES = f"{RESULTS}/tables"
NEURON = f"{RESULTS}/neurons/{{neuron}}"
LOGS = f"{RESULTS}/logs"
TIMES = f"{RESULTS}/benchmarks"
# The selected neurons whose models could be fitted.
MODELLED = f"{RESULTS}/models/neurons.csv"
# Names the software of every rule. Create and activate this environment as the README says;
# Snakemake cannot build it by itself, because allensdk goes in without its dependencies.
CONDA = workflow.source_path("../../environment.yml")


def session_of(wildcards):
    """The session that a job belongs to."""
    return wildcards.session if DATASET.many else CONFIG.session.id


def config_for(*names):
    """Params function: those parts of the session's configuration, as JSON."""

    @cache  # asked anew for every job, each time the graph is looked at
    def of_session(session):
        return resolved(DATASET.config_of(session), *names)

    def text(wildcards):
        return of_session(session_of(wildcards))

    return text


def files_of(wildcards):
    """Where the inputs of the session lie."""
    return DATASET.files_of(session_of(wildcards))


def scene_files():
    """Frames of a simulated session, one by one, so that a missing one is noticed."""
    frames = CONFIG.session.simulation.frames
    return [f"{FILES.images}/{frame:03d}.png" for frame in range(frames)]


def drawn(folder, names):
    """Each figure as picture and as vector graphics."""
    return [f"{folder}/{name}.{suffix}" for name in names for suffix in ("png", "svg")]


def reported(files, category, caption, **more):
    """The same files; the vector graphics among them are shown by `snakemake --report`."""
    more |= {"category": category, "caption": f"../report/{caption}.rst"}
    marked = []
    for file in map(str, files):
        labels = {"figure": Path(file).stem.replace("_", " ")}
        labels |= {"session": "{session}"} if DATASET.many else {}
        shown = file.endswith(".svg")
        marked.append(report(file, labels=labels, **more) if shown else file)
    return marked


def figure_files():
    """Overview figures of the report."""
    names = ["gallery", "scores", "responses"]
    names += ["learning"] if CONFIG.model.learning_curve else []
    names += ["procedures"] if pictured_files() else []
    return drawn(f"{RESULTS}/figures", names + (["closed_loop"] if FILES.truth else []))


def selection_figure_files():
    """Figures of the selection stage."""
    names = ["rastermap", "rastermap_blocks", "correlations", "measures", "oracle"]
    return drawn(f"{RESULTS}/selection", names + (["probes"] if FILES.nwb else []))


def session_inputs(wildcards):
    """What the tables are made from: a download's record stands for its files."""
    files = files_of(wildcards)
    if files.download:
        return [str(files.download)]
    if SOURCE == "simulated":
        made = (str(FILES.nwb), *scene_files())
        return [f.format(session=session_of(wildcards)) for f in made]
    if files.nwb:
        return [str(files.nwb), str(files.images)]
    session = DATASET.config_of(session_of(wildcards)).session
    shown = [session.trials, session.gabors, session.static_gratings]
    return [path for path in shown if path] + [str(files.images)]


def hashed_inputs(wildcards):
    """What the results come from, and the tables made of it. The simulated session file holds
    the time at which it was made: its images and its tables stand for it."""
    files = files_of(wildcards)
    if SOURCE == "simulated":
        given = [files.images]
    elif files.nwb:
        given = [files.nwb, files.images]
    else:
        given = session_inputs(wildcards)
    own = [code for spec in CONFIG.experiments.own for code in own_code(spec)]
    own += own_code(CONFIG.movie.model) + custom_code() + natural_images()
    tables = [f"{TABLES}/trials.csv", f"{TABLES}/images.npy"]
    return [*given, *own, *(t.format(session=session_of(wildcards)) for t in tables)]


def session_made():
    """Files of the session that the workflow itself makes and a user may open."""
    made = [FILES.nwb, FILES.truth, *scene_files()]
    return made if SOURCE == "simulated" else []


def table_files():
    """Every table of the session."""
    names = [
        "trials.csv",
        "responses.csv",
        "blank_responses.csv",
        "units.csv",
        "units.json",
        "images.npy",
        "images.json",
        "raster.npz",
    ]
    names += ["presentations.csv", "image_spikes.npz"] if FILES.nwb else []
    names += ["tuning.csv"] if FILES.gabors or FILES.gratings else []
    files = [f"{TABLES}/{name}" for name in names]
    return files + condition_files("responses") + condition_files("trials")


def condition_files(kind):
    """Tables of the Gabors and gratings that the session showed."""
    stems = ["gabor"] * FILES.gabors + ["grating"] * FILES.gratings
    return [f"{TABLES}/{stem}_{kind}.csv" for stem in stems]


def recorded_files():
    """Recorded against predicted tuning, where there is any."""
    stems = ["gabor"] * FILES.gabors + ["grating"] * FILES.gratings
    names = [f"predicted_{stem}s.csv" for stem in stems]
    names += ["recorded.csv", "preferences.csv", "recorded.png", "recorded.svg"]
    return [f"{RESULTS}/validation/{name}" for name in names if stems]


# What fitting reads of the section `model`; a change of the rest fits nothing again.
FITTED = [f"model.{key}" for key in type(CONFIG.model).model_fields]
FITTED = [key for key in FITTED if key not in ("model.custom", "model.learning_curve")]


# What the search of Gabors reads of the section `gabor`.
SEARCHED = [
    f"gabor.{key}" for key in type(CONFIG.gabor).model_fields if key != "merge_top"
]


# What measuring reads of the section `comparison`; a change of the rest measures nothing again.
MEASURED = [f"comparison.{key}" for key in type(CONFIG.comparison).model_fields]
MEASURED.remove("comparison.notebook")


def own_code(spec):
    """The file of a user's own module:function, where it lies in this folder."""
    name = (spec or "").partition(":")[0].replace(".", "/")
    return [f"{name}.py"] if name and Path(f"{name}.py").is_file() else []


def custom_code():
    """The file of the user's own model of neurons."""
    return own_code(CONFIG.model.custom)


def fitting_inputs():
    """Tables that models are fitted to, and the core that one may start from."""
    names = ["trials.csv", "responses.csv", "images.npy"]
    if "gratings" in CONFIG.model.extra and FILES.gratings:
        names.append("grating_responses.csv")
    core = CONFIG.model.network.core
    return [f"{TABLES}/{name}" for name in names] + ([core] if core else [])


# Where a neuron's model is taken from; an own module is scored on the tables.
MODEL_STORE = "models.pt" if CONFIG.model.custom else "neurons.zip"


def modelling_inputs():
    """What an own module is scored on; ours have been."""
    if not CONFIG.model.custom:
        return []
    tables = [
        f"{TABLES}/{name}" for name in ("trials.csv", "responses.csv", "images.npy")
    ]
    return [*tables, *custom_code(), f"{RESULTS}/models/cross_validation.csv"]


def model_files():
    """A neuron's model, those of the folds, and scores; an own module has no folds."""
    names = ["model.pt", "scores.csv"] + (
        [] if CONFIG.model.custom else ["ensemble.pt"]
    )
    return [f"{NEURON}/{name}" for name in names]


def stimulus_files():
    """Every stimulus file of one neuron, with the wildcard."""
    names = ["mei", "best_gabor", "best_natural", "windowed_natural"]
    names += ["gabor"] if FILES.gabors else []
    files = [f"{NEURON}/{name}.{suffix}" for name in names for suffix in ("npy", "png")]
    files += [f"{NEURON}/mei_trace.csv", f"{NEURON}/best_gabor.csv"]
    return files + ([f"{NEURON}/gabor.csv"] if FILES.gabors else [])


def comparison_files():
    """What the comparison writes of one neuron, its table first."""
    names = ["comparison.csv", "spectra.csv", "mei_mask.npy", "mei_mask.png"]
    return [f"{NEURON}/{name}" for name in names] + drawn(NEURON, ["spectra"])


# The procedures, and what each reads of the configuration.
MATCHED = ["mei.mean", "mei.contrast"]
PROCEDURE_KEYS = {
    "population_mei": ["mei"],
    "suppressive": ["mei"],
    "diverse": [
        *MATCHED,
        "stimuli.diverse_images",
        "stimuli.diverse_fraction",
        "stimuli.diverse_steps",
    ],
    "natural": [*MATCHED, "stimuli.natural_images"],
    "regularised_natural": [
        *MATCHED,
        "stimuli.natural_images",
        "stimuli.fade_steps",
    ],
    "receptive_field": [*MATCHED, "stimuli.field_samples"],
    "notebook_mei": [*MATCHED, "stimuli.published_steps"],
    "walker_mei": [*MATCHED, "stimuli.published_steps"],
}
PROCEDURES = list(PROCEDURE_KEYS)
NEEDS_MEI = ("diverse", "suppressive")
NEEDS_NATURAL = ("natural", "regularised_natural")


def natural_images():
    """The further images that are searched."""
    return [CONFIG.stimuli.natural_images] if CONFIG.stimuli.natural_images else []


def procedure_files(name):
    """Array, table and picture of one procedure."""
    return [f"{RESULTS}/stimuli/{name}.{suffix}" for suffix in ("npy", "csv", "png")]


def movie_files():
    """Movies of the user's own spatio-temporal model."""
    return [f"{RESULTS}/stimuli/movies.{suffix}" for suffix in ("npy", "csv", "png")]


def shown_files():
    """What of these the closed loop shows to the simulated neurons."""
    shown = [name for name in CONFIG.stimuli.make if name in SHOWN_PROCEDURES]
    return [f"{RESULTS}/stimuli/{name}.{s}" for name in shown for s in ("npy", "csv")]


def loop_config(wildcards):
    """The configuration as the closed loop is told of it: whatever other procedures there are is
    nothing to it."""
    config = DATASET.config_of(session_of(wildcards))
    make = sorted(set(config.stimuli.make) & set(SHOWN_PROCEDURES))
    stimuli = config.stimuli.model_copy(update={"make": make})
    shown = config.model_copy(update={"stimuli": stimuli})
    return resolved(shown, "image", "mei", "stimuli.make", "seed")


def pictured_files():
    """What of these the report shows."""
    suppressive = "suppressive" in CONFIG.stimuli.make
    return shown_files() + (procedure_files("suppressive")[:2] if suppressive else [])


def made_stimuli():
    """What is made by default beside each neuron's own files."""
    files = [file for name in CONFIG.stimuli.make for file in procedure_files(name)]
    return files + (movie_files() if CONFIG.movie.model else [])


def experiment_files():
    """Tables, maps and figures of the experiments on all models."""
    folder = f"{RESULTS}/experiments"
    tables = [f"{folder}/{name}" for name in ("tuning.csv", "summary.csv", "maps.npz")]
    own = ["own"] if CONFIG.experiments.own else []
    return tables + drawn(folder, CONFIG.experiments.make + own)


EXPERIMENTS = bool(CONFIG.experiments.make or CONFIG.experiments.own)


def experiment_pictures():
    """Each neuron's figure, with the wildcard."""
    return drawn(NEURON, ["experiments"]) if EXPERIMENTS else []


def experiments_made():
    """All of the experiments, with the wildcard; none if there is no experiment."""
    return experiment_files() + experiment_pictures() if EXPERIMENTS else []


def notebook_files():
    """What one neuron looks like in the notebook's way, with the wildcard."""
    names = ["notebook.csv", "notebook.png", "notebook.svg"]
    names += ["notebook_gabor.npy", "notebook_gabor.png"] if FILES.gabors else []
    return [f"{NEURON}/{name}" for name in names]


def neuron_files():
    """Every file of one neuron, with the wildcard."""
    return [
        *model_files(),
        *stimulus_files(),
        *comparison_files(),
        *(notebook_files() if CONFIG.comparison.notebook else []),
    ]


def validation_files():
    """Results of validation; a recorded session has no truth to validate against."""
    return [f"{RESULTS}/validation/closed_loop.csv"] if FILES.truth else []


def trust_files():
    """How far each MEI can be believed; nothing is known of an own module."""
    return [] if CONFIG.model.custom else [f"{RESULTS}/validation/trust.csv"]


# What the stages are told about the session, so that nothing an earlier run left is read.
# One of many sessions in which no neuron is left stops no other.
NOBODY = "--nobody" if DATASET.many else "--no-nobody"
GABORS = "--gabors" if FILES.gabors else "--no-gabors"
LOOP = f"--closed-loop {RESULTS}/validation/closed_loop.csv" if FILES.truth else ""
RECORDED = "--recorded" if FILES.gabors or FILES.gratings else "--no-recorded"


def modelled(session):
    """The neurons of a session that have a model, once that is known."""
    return modelled_neurons(checkpoints.modelled.get(session=session).output[0])


def of_modelled(*patterns):
    """Input function: each pattern for every neuron that has a model."""

    def expanded(wildcards):
        session = session_of(wildcards)
        names = modelled(session)
        return [p.format(session=session, neuron=n) for n in names for p in patterns]

    return expanded


def session_files_made(session):
    """Every file of a session that a user may open, so that a deleted one is made again."""
    known = [
        *selection_figure_files(),
        *table_files(),
        *session_made(),
        f"{RESULTS}/selection/neurons.csv",
        f"{RESULTS}/selection/correlations.npz",
        f"{RESULTS}/models/search.npz",
        f"{RESULTS}/models/models.pt",
        f"{RESULTS}/models/neurons.zip",
        f"{RESULTS}/models/cross_validation.csv",
        f"{RESULTS}/models/folds.csv",
        f"{RESULTS}/provenance.json",
    ]
    neurons = modelled(session)
    if neurons:  # else there is nothing to report
        known += [
            f"{RESULTS}/report.html",
            f"{RESULTS}/summary.csv",
            f"{RESULTS}/models/learning_curve.csv",
            *figure_files(),
            *procedure_files("best_gabors"),
            *made_stimuli(),
            *validation_files(),
            *trust_files(),
            *recorded_files(),
        ]
    files = [str(pattern).format(session=session) for pattern in known]
    for neuron in neurons:
        own = [*neuron_files(), *experiments_made()]
        files += [str(p).format(session=session, neuron=neuron) for p in own]
    return list(dict.fromkeys(files))
