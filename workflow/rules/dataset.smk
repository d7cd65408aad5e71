# The sessions of this run, and the results requested for each.

from snakemake.exceptions import IncompleteCheckpointException

FRONT_PAGE = ALL.report if DATASET.many else R.report


def session_ids():
    """The sessions of this run; those from the warehouse as soon as they are known."""
    if DATASET.ids is not None:
        return DATASET.ids
    from meiflow.session.download import chosen_sessions

    return chosen_sessions(checkpoints.sessions.get().output[0])


def of_sessions(files):
    """Input function: the output of `files` for each session, as soon as it is known."""

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


# Rules with one job for all neurons of a session, and with one for each, as soon as they are known.
OF_ALL = ["summary", "provisional", "report", "learning_curve", "gabor_search"]
OF_ALL += CONFIG.stimuli.make
OF_ALL += ["movie"] if CONFIG.movie.model else []
OF_ALL += ["closed_loop"] if HAS.truth else []
OF_ALL += [] if CUSTOM else ["confidence"]
OF_ALL += ["recorded"] if HAS.conditions else []
OF_ALL += ["experiments"] if EXPERIMENTS else []
OF_EACH = ["stimuli", "comparison"]
OF_EACH += ["invariance"] if CONFIG.experiments.invariance else []
OF_EACH += ["compare_notebook"] if CONFIG.comparison.notebook else []


def wanted_of_session(session):
    """Every file of a session that a user may open, so that a deleted one is made again."""
    known = ["tables", "selection", "selection_figures", "fit_models", "provenance"]
    known += ["simulate"] if SOURCE == "simulated" else []

    def outputs(names):
        return [str(path) for name in names for path in getattr(rules, name).output]

    neurons = fitted(session)
    files = outputs(known) + (outputs(OF_ALL) if neurons else [])
    files = [path.format(session=session) for path in files]
    for neuron in neurons:
        files += [
            path.format(session=session, neuron=neuron) for path in outputs(OF_EACH)
        ]
    return list(dict.fromkeys(files))


def combined_of_session(session):
    """What is combined of one session: nothing more, where no neuron is left."""
    results = Layout(f"results/{session}")
    neurons = fitted(session)
    paths = [results.selection, results.fitted_neurons, results.units]
    paths += [results.summary, results.report] if neurons else []
    paths += [results.neuron(neuron).mei for neuron in neurons]
    return list(map(str, paths))


def clustered_of_session(session):
    """What the clusters are made of in one session."""
    results = Layout(f"results/{session}")
    neurons = fitted(session)
    paths = [results.fitted_neurons]
    paths += [results.models, results.summary] if neurons else []
    paths += [results.neuron(neuron).best_gabor_table for neuron in neurons]
    return list(map(str, paths))


everything = of_sessions(wanted_of_session)
