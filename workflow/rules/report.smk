# Summary with one row per neuron, provenance, and the report.

# Procedures with images in the report.
PICTURED = [name for name in PICTURED_PROCEDURES if name in CONFIG.stimuli.make]
ON_CARDS = [name for name in CARD_PROCEDURES if name in CONFIG.stimuli.make]
# Results of a neuron in the report.
NEURON_IN_REPORT = [
    N.mei,
    N.mei_trace,
    N.mei_ascent,
    N.mei_mask,
    N.best_gabor,
    N.best_natural,
    N.windowed_natural,
    *([N.gabor] if HAS.gabors else []),
    N.comparison,
    N.scores,
    N.spectra,
]
# Results of all neurons in the report, also while neurons are missing.
IN_EVERY_REPORT = [
    R.selection,
    R.fitted_neurons,
    R.cross_validation,
    R.model_search,
    R.trials,
    R.responses,
    R.images,
    R.image_info,
    R.unit_counts,
    R.notes,
    *([R.image_spikes] if HAS.spike_times else []),
    *([R.gabor_responses] if HAS.gabors else []),
    *([R.grating_trials] if HAS.gratings else []),
]
if HAS.drifting and "drifting_gratings" in CONFIG.model.learn_from:
    IN_EVERY_REPORT.append(R.drifting_responses)


rule summary:
    input:
        R.units,
        R.selection,
        R.fitted_neurons,
        R.cross_validation,
        of_fitted(
            N.comparison,
            N.scores,
            *([N.invariance] if CONFIG.experiments.invariance else []),
        ),
        R.closed_loop if HAS.truth else [],
        [] if CUSTOM else R.trust,
        [R.recorded_tuning, R.preferences] if HAS.conditions else [],
        R.experiment_summary if EXPERIMENTS else [],
    output:
        report(
            R.summary,
            caption="../report/summary.rst",
            category="Report",
            labels={"figure": "one row per neuron"},
        ),
    log:
        R.log("summary"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("summary"),
    params:
        config=config_for("summary"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Summarising all neurons"
    shell:
        command("summary")


rule provenance:
    input:
        (SCENE_FILES or MOVIE_FILES) if SOURCE == "simulated" else session_inputs,
        R.trials,
        R.images,
        R.image_info,
        [R.movie_responses, R.movie_images] if HAS.movies else [],
        CORE,
        EXPERIMENT_CODE,
        MOVIE_CODE,
        CUSTOM_CODE,
        NATURAL_IMAGES,
        networks_of,
    output:
        R.provenance,
    log:
        R.log("provenance"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("provenance"),
    params:
        state=inputs_state,
        networks=networks_state,
        code=[CORE_STATE, CUSTOM_STATE, EXPERIMENT_STATE, MOVIE_STATE, NATURAL_STATE],
        results=folder_of,
        inputs=hashed_inputs,
        version=VERSION,
    message:
        "Hashing the inputs"
    shell:
        command("provenance", "{params.inputs:q}")


# Of the first neurons, whose jobs have priority; it waits for nothing that is made of all neurons.
rule provisional:
    input:
        R.units,
        IN_EVERY_REPORT,
        of_first(*NEURON_IN_REPORT),
    output:
        R.provisional,
    log:
        R.log("provisional"),
    priority: 2 * FIRST
    conda:
        CONDA
    threads: 1
    resources:
        **needs("provisional"),
    params:
        config=config_for("provisional"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Writing a provisional report of the first neurons: {output}"
    shell:
        command("provisional")


rule report:
    input:
        IN_EVERY_REPORT,
        R.summary,
        R.provenance,
        R.selection_figures("oracle", "measures", "rastermap")[1::2],  # SVG
        R.learning_curve,
        [R.gabor_trials, R.predicted_gabors] if HAS.gabors else [],
        R.predicted_gratings if HAS.gratings else [],
        [R.recorded_tuning, R.preferences, R.recorded_svg] if HAS.conditions else [],
        R.closed_loop if HAS.truth else [],
        (
            [R.experiment_tuning, R.experiment_summary, R.experiment_maps]
            if EXPERIMENTS
            else []
        ),
        [R.procedure(name).images for name in PICTURED + ON_CARDS],
        [R.procedure(name).table for name in PICTURED + ON_CARDS],
        R.procedure("movies").picture if CONFIG.movie.model else [],
        of_fitted(*NEURON_IN_REPORT),
    output:
        report(
            R.report,
            caption="../report/report.rst",
            category="Report",
            labels={"figure": "the whole report"},
        ),
        reported(
            R.figures(
                "gallery",
                "scores",
                "responses",
                *(["learning"] if CONFIG.model.learning_curve else []),
                *(["procedures"] if PICTURED else []),
                *(["closed_loop"] if HAS.truth else []),
            ),
            "All neurons",
            "overview",
        ),
    log:
        R.log("report"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("report"),
    params:
        config=config_for("report"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Writing the report"
    shell:
        command("report")
