# Shared by all rules. Paths come from the layout of the results: R for the session, N for one
# neuron. With many sessions, all paths contain the wildcard {session}. With a single session they
# do not: Snakemake distinguishes rules by the path before the first wildcard, and would otherwise
# compare every file with all outputs of all rules.

SOURCE = CONFIG.session.source
R = Layout("results/{session}" if DATASET.many else f"results/{CONFIG.session.id}")
N = R.neuron("{neuron}")
ALL = CombinedLayout(f"results/{COMBINED}")
HAS = SessionHas(
    FILES.nwb is not None,
    "gabors" in FILES.shown,
    "static_gratings" in FILES.shown,
    FILES.movies is not None,
    FILES.truth is not None,
    "drifting_gratings" in FILES.shown,
    "flashes" in FILES.shown,
)
# Among many sessions, one without neurons does not stop the others.
ALLOW_EMPTY = "--allow-empty" if DATASET.many else ""
# Priorities: what many jobs wait for comes first, and what only the page waits for comes last.
# Snakemake starts the jobs with the highest sum of priorities, so one job of the first kind that
# needs all cores outweighs as many of the second kind as there are cores.
FIRST, EARLY = 10_000, 10
CUSTOM = CONFIG.model.custom is not None
EXPERIMENTS = bool(CONFIG.experiments.make or CONFIG.experiments.custom)
# Software of all rules. Create and activate this environment as described in the README;
# Snakemake cannot build it itself, because allensdk is installed without its dependencies.
CONDA = workflow.source_path("../envs/environment.yml")


def session_of(wildcards):
    """The session that a job belongs to."""
    return wildcards.session if DATASET.many else CONFIG.session.id


def folder_of(wildcards):
    """Results folder of that session."""
    return f"results/{session_of(wildcards)}"


def files_of(wildcards):
    """Paths of the inputs of that session."""
    return DATASET.files_of(session_of(wildcards))


def config_for(stage):
    """Params function: the part of the session's configuration that a stage reads, as JSON."""

    @cache  # called for every job whenever Snakemake examines the graph
    def of_session(session):
        return resolved(DATASET.config_of(session), *STAGES[stage].keys)

    return lambda wildcards: of_session(session_of(wildcards))


def needs(stage):
    """Memory and time requested for the jobs of a stage; more with each attempt."""
    entry = STAGES[stage]
    return {
        "mem_mb": lambda wildcards, attempt: entry.memory_mb * attempt,
        "runtime": lambda wildcards, attempt: entry.minutes * attempt,
    }


def command(stage, *options):
    """The shell command of a stage, with messages redirected to the log."""
    entry = STAGES[stage]
    config = ["--config {params.config:q}"] if entry.keys else []
    more = ["--has {params.has}"] if "has" in entry.options else []
    more += ["--threads {threads}"] if "threads" in entry.options else []
    more += ["--neuron {wildcards.neuron:q}"] if "neuron" in entry.options else []
    more += [ALLOW_EMPTY] if "allow_empty" in entry.options and ALLOW_EMPTY else []
    words = [f"meiflow {entry.command}", *config, "--results {params.results:q}"]
    return " ".join([*words, *more, *options, "> {log:q} 2>&1"])


def both(path):
    """A figure as picture and as vector graphics."""
    return [f"{path}.png", f"{path}.svg"]


def reported(files, category, caption, **more):
    """Mark files so that `snakemake --report` includes the vector graphics among them."""
    more |= {"category": category, "caption": f"../report/{caption}.rst"}
    marked = []
    for file in map(str, files):
        labels = {"figure": Path(file).stem.replace("_", " ")}
        labels |= {"session": "{session}"} if DATASET.many else {}
        shown = file.endswith(".svg")
        marked.append(report(file, labels=labels, **more) if shown else file)
    return marked


def own_code(specs, files):
    """Files of custom code: modules here, and what they read."""
    found = [str(path) for spec in specs if spec for path in code_files(spec)]
    return list(dict.fromkeys([*found, *(files if any(specs) else [])]))


MODEL_FILES = CONFIG.model.custom_files
CUSTOM_CODE = own_code([CONFIG.model.custom], MODEL_FILES)
CORE_CODE = own_code([CONFIG.model.network.own_core], MODEL_FILES)
EXPERIMENT_CODE = own_code(CONFIG.experiments.custom, CONFIG.experiments.custom_files)
MOVIE_CODE = own_code([CONFIG.movie.model], CONFIG.movie.custom_files)
NATURAL_IMAGES = CONFIG.stimuli.natural_images or []
# Params that change with the content of inputs: Snakemake itself notices neither a file that is
# overwritten in a folder, nor one that is replaced by an older one.
CUSTOM_STATE = fingerprint(CUSTOM_CODE)
EXPERIMENT_STATE = fingerprint([*CUSTOM_CODE, *EXPERIMENT_CODE])
MOVIE_STATE = fingerprint(MOVIE_CODE)
NATURAL_STATE = fingerprint([NATURAL_IMAGES] if NATURAL_IMAGES else [], IMAGE_SUFFIXES)
CORE_FILE, KNOWN_CORE = CONFIG.model.network.core_path, CONFIG.model.network.known_core
# A known core is identified by its SHA-256, which is verified wherever it is read.
CORE = (ancient(str(CORE_FILE)) if KNOWN_CORE else CORE_FILE) or CORE_CODE
CORE_STATE = (
    KNOWN_CORE.sha256
    if KNOWN_CORE
    else fingerprint([CORE_FILE] if CORE_FILE else CORE_CODE)
)
DOWNLOADED_CORE = CORE if KNOWN_CORE and SOURCE == "allen" else []


def networks_of(wildcards):
    """Published networks whose neurons a session simulates, or that judge its stimuli."""
    session = DATASET.config_of(session_of(wildcards)).session
    given = session.simulation.networks.values()
    return list(given) if session.source == "simulated" else []


def judge_of(wildcards):
    """The network among these that judges the stimuli."""
    return networks_of(wildcards)[-1:]


@cache
def content_of(*paths):
    return fingerprint(paths)


def networks_state(wildcards):
    """Params value that changes with the content of these files."""
    return content_of(*networks_of(wildcards))


def fitted(session):
    """The neurons of a session that have a model, as soon as these are known."""
    return fitted_neurons(checkpoints.fitted_neurons.get(session=session).output[0])


def of_fitted(*patterns, among=list):
    """Input function: each pattern for every neuron that has a model, or for some of these.

    Before the Gabor search has ended, Snakemake does not know which stimuli are out of date, so
    what reads these waits for it.
    """

    def expanded(wildcards):
        session = session_of(wildcards)
        names = among(fitted(session))
        paths = map(str, patterns)
        searched = str(R.procedure("best_gabors").table).format(session=session)
        files = [p.format(session=session, neuron=n) for p in paths for n in names]
        return [*files, ancient(searched)]

    return expanded


def of_first(*patterns):
    """Input function: each pattern for the neurons of the provisional report."""
    return of_fitted(*patterns, among=first_neurons)


def first_sooner(priority):
    """Priority of the jobs of one neuron: higher for one in the provisional report."""

    def of_neuron(wildcards):
        table = Path(str(R.fitted_neurons).format(session=session_of(wildcards)))
        known = table.exists()
        first = known and wildcards.neuron in first_of(table, table.stat().st_mtime_ns)
        return priority + (FIRST if first else 0)

    return of_neuron


@cache
def first_of(table, changed):
    try:
        return frozenset(first_neurons(fitted_neurons(table)))
    except MeiflowError:  # the rule that makes the table tells
        return frozenset()


def sensorium_folders(session):
    """The folders of a scan that are read; meta/neurons may be missing."""
    folders = [Path(session.sensorium.folder, part) for part in SENSORIUM_PARTS]
    return [str(folder) for folder in folders if folder.is_dir()]


def session_inputs(wildcards):
    """Inputs of the tables; downloaded files are represented by their record."""
    files = files_of(wildcards)
    if files.download:
        return [str(files.download)]
    if SOURCE == "simulated":
        made = map(str, [R.session_file, *SCENE_FILES, *MOVIE_FILES])
        return [f.format(session=session_of(wildcards)) for f in made]
    if files.nwb:
        return [str(path) for path in (files.nwb, files.images, files.movies) if path]
    session = DATASET.config_of(session_of(wildcards)).session
    if session.source == "sensorium":
        return sensorium_folders(session)
    shown = [session.trials, session.gabors, session.static_gratings]
    shown += [session.drifting_gratings, session.flashes]
    shown += [session.movies.counts, files.movies] if files.movies else []
    return [str(path) for path in [*shown, files.images] if path]


@cache
def given_state(session):
    config = DATASET.config_of(session).session
    if config.source == "sensorium":
        return fingerprint(sensorium_folders(config))
    if config.source not in ("nwb", "tables"):
        return ""  # made or verified by a rule
    files = DATASET.files_of(session)
    given = [files.nwb, files.images, files.movies, config.trials]
    given += [
        config.gabors,
        config.static_gratings,
        config.drifting_gratings,
        config.flashes,
    ]
    given.append(config.movies.counts)
    state = fingerprint([path for path in given if path], IMAGE_SUFFIXES)
    if files.nwb and files.nwb.is_dir():  # NWB-Zarr
        state += fingerprint([files.nwb])
    return state


def inputs_state(wildcards):
    """Params value that changes with the content of the user's files of a session."""
    return given_state(session_of(wildcards))


def hashed_inputs(wildcards):
    """Inputs of the results, and the tables derived from them. A simulated session file contains
    its creation time, so its images and tables are listed instead; a file that is read by ranges
    is represented by its record."""
    files = files_of(wildcards)
    if SOURCE == "simulated":
        given = [files.images or files.movies]
    elif files.nwb:
        streamed = DATASET.config_of(session_of(wildcards)).session.stream
        nwb = files.download if streamed else files.nwb
        given = [nwb, files.images or files.movies]
    else:
        given = session_inputs(wildcards)
    own = [*EXPERIMENT_CODE, *MOVIE_CODE, *CUSTOM_CODE, *CORE_CODE]
    own += [str(CORE_FILE)] if CORE_FILE else []
    own += [NATURAL_IMAGES] if NATURAL_IMAGES else []
    own += networks_of(wildcards)
    own = list(dict.fromkeys(own))
    tables = [str(R.trials), str(R.images)]
    tables += [str(R.movie_responses), str(R.movie_images)] if HAS.movies else []
    return [*given, *own, *(t.format(session=session_of(wildcards)) for t in tables)]


def loop_config(wildcards):
    """The configuration of the closed loop, which lists only the procedures that it reads."""
    config = DATASET.config_of(session_of(wildcards))
    stimuli = config.stimuli.model_copy(update={"make": sorted(SHOWN + TRANSPARENT)})
    shown = config.model_copy(update={"stimuli": stimuli})
    return resolved(shown, *STAGES["closed_loop"].keys)


def forced_stages(workflow):
    """Stages that Snakemake is told to run again, and that therefore reuse nothing."""
    given, names = workflow.dag_settings, {rule.name for rule in workflow.rules}
    if given.forceall or given.forcetargets or not names.issuperset(given.forcerun):
        return kept.EVERY_STAGE  # also if a file is named
    return " ".join(sorted(given.forcerun))


def tell_outdated():
    """Name the pages that are older than their results, as after a run of one neuron."""
    pages = [Layout(f"results/{name}").report for name in DATASET.ids or ()]
    for page in [*pages, ALL.report] if DATASET.many else pages:
        if is_outdated(page):
            print(
                f"{page} is older than the results; run everything, or {page}, to make it again",
                file=sys.stderr,
            )
