# Which sessions there are, and what is wanted of each.

from snakemake.exceptions import IncompleteCheckpointException

ALL = f"results/{COMBINED}"
FRONT_PAGE = (
    f"{ALL}/report.html" if DATASET.many else f"results/{CONFIG.session.id}/report.html"
)


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
    return [f"{ALL}/{name}" for name in names] + drawn(
        f"{ALL}/figures", COMBINED_FIGURES
    )


everything = of_sessions(session_files_made)
