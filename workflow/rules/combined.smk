# Many sessions: which of them, and what they say together.

from snakemake.exceptions import IncompleteCheckpointException

ALL = f"results/{COMBINED}"
FRONT_PAGE = (
    f"{ALL}/report.html" if DATASET.many else f"results/{CONFIG.session.id}/report.html"
)


if DATASET.ids is None:

    checkpoint sessions:
        output:
            f"{ALL}/warehouse.csv",
        log:
            f"{ALL}/logs/sessions.log",
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
            download=1,
        params:
            config=resolved(
                CONFIG,
                "session.warehouse",
                "session.area",
                "session.quality",
            ),
            data="data/allen",
            version=VERSION,
        message:
            "Asking the warehouse for its sessions"
        shell:
            "meiflow sessions --config {params.config:q} --data {params.data:q} --choose"
            " --output {output:q} > {log:q} 2>&1"


def session_ids():
    """The sessions of this run; those of the warehouse once it has been asked."""
    if DATASET.ids is not None:
        return DATASET.ids
    from meiflow.session.download import chosen_sessions

    return chosen_sessions(checkpoints.sessions.get().output[0])


def of_sessions(files):
    """Input function: what `files` names of each session, as soon as that session knows it."""

    def expanded(wildcards):
        found = []
        for session in session_ids():
            try:
                found += files(session)
            except IncompleteCheckpointException as error:
                # one session must not wait for another
                found.append(error.targetfile)
        return found

    return expanded


def session_results(session):
    """What is combined of one session: nothing more, where no neuron is left."""
    names = ["selection/neurons.csv", "models/neurons.csv", "tables/units.csv"]
    names += ["summary.csv", "report.html"] if modelled(session) else []
    return [f"results/{session}/{name}" for name in names]


COMBINED_FIGURES = ["gallery", "areas", "distributions", "models"]


def combined_files():
    """What is made of all sessions."""
    names = ["report.html", "neurons.csv", "sessions.csv", "estimates.csv", "cost.csv"]
    return [f"{ALL}/{name}" for name in names] + drawn(f"{ALL}/figures", COMBINED_FIGURES)


if DATASET.many:

    rule combine:
        input:
            sessions=of_sessions(session_results),
            warehouse=f"{ALL}/warehouse.csv" if DATASET.ids is None else [],
        output:
            combined_files(),
        log:
            f"{ALL}/logs/combine.log",
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            config=resolved(
                DATASET.config,
                "session",
                "sessions",
                "image",
                "selection",
                "model",
                "mei",
                "stimuli",
                "movie",
                "gabor",
                "comparison",
                "experiments",
                "report",
                "seed",
            ),
            folder=subpath(output[0], parent=True),
            results=subpath(output[0], ancestor=2),
            warehouse=f"--warehouse {ALL}/warehouse.csv" if DATASET.ids is None else "",
            version=VERSION,
        message:
            "Putting the sessions together"
        shell:
            "meiflow combine --config {params.config:q} --results {params.results:q}"
            " {params.warehouse} --output {params.folder:q} > {log:q} 2>&1"


everything = of_sessions(session_files_made)
