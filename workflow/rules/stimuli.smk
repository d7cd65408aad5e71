# Optimal stimuli of each neuron's model.


# A checkpoint, although its files are known: the inputs of the neurons' jobs from here are ancient,
# and after an ordinary rule Snakemake would consider these jobs up to date without checking them.
checkpoint gabor_search:
    input:
        R.models,
        R.image_info,
        R.fitted_neurons,
        R.images if CUSTOM else [],
        CUSTOM_CODE,
    output:
        *R.procedure("best_gabors"),
    log:
        R.log("stimuli/gabor_search"),
    priority: FIRST
    conda:
        CONDA
    threads: STAGES["gabor_search"].threads
    resources:
        **needs("gabor_search"),
    params:
        code=CUSTOM_STATE,
        config=config_for("gabor_search"),
        results=folder_of,
        version=VERSION,
    message:
        "Searching for the best Gabors of all neurons"
    shell:
        command("gabor_search")


rule stimuli:
    input:
        R.models,
        R.images,
        R.image_info,
        R.gabor_trials if HAS.gabors else [],
        CUSTOM_CODE,
        # ancient: after a changed selection, only the stimuli of added neurons are made
        ancient(R.fitted_neurons),
        # ancient: the search is also repeated, with the same result for neurons already selected
        ancient(R.procedure("best_gabors").images),
        ancient(R.procedure("best_gabors").table),
    output:
        N.mei,
        N.mei_picture,
        N.mei_trace,
        N.mei_ascent,
        N.best_gabor,
        N.best_gabor_picture,
        N.best_gabor_table,
        N.best_natural,
        N.best_natural_picture,
        N.windowed_natural,
        N.windowed_natural_picture,
        [N.gabor, N.gabor_picture, N.gabor_table] if HAS.gabors else [],
    log:
        R.log("neurons/{neuron}/stimuli"),
    priority: first_sooner(FIRST)
    conda:
        CONDA
    threads: 1
    resources:
        **needs("stimuli"),
    params:
        code=CUSTOM_STATE,
        config=config_for("stimuli"),
        search=config_for("gabor_search"),  # with which the best Gabors change
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Making the stimuli of neuron {wildcards.neuron}"
    shell:
        command("stimuli")


# One rule per procedure, each for all fitted neurons in one job.
for NAME, PROCEDURE in PROCEDURES.items():

    rule:
        name:
            NAME
        input:
            R.models,
            R.image_info,
            R.fitted_neurons,
            R.images if PROCEDURE.needs_images else [],
            NATURAL_IMAGES if PROCEDURE.searches_naturals else [],
            R.model_search if PROCEDURE.needs_rf_map else [],
            of_fitted(N.mei) if PROCEDURE.needs_mei else [],
            CUSTOM_CODE,
        output:
            *R.procedure(NAME),
        log:
            R.log(f"stimuli/{NAME}"),
        priority: EARLY
        conda:
            CONDA
        threads: 1
        resources:
            **needs(NAME),
        params:
            command=STAGES[NAME].command,
            code=CUSTOM_STATE,
            naturals=NATURAL_STATE if PROCEDURE.searches_naturals else "",
            config=config_for(NAME),
            results=folder_of,
            version=VERSION,
        message:
            f"Making the stimuli of all neurons: {NAME}"
        shell:
            # from params, because NAME is the last procedure by the time the job runs
            "meiflow {params.command} --config {params.config:q}"
            " --results {params.results:q} > {log:q} 2>&1"


if CONFIG.movie.model:

    rule movie:
        input:
            MOVIE_CODE,
        output:
            *R.procedure("movies"),
        log:
            R.log("movie"),
        conda:
            CONDA
        threads: 1
        resources:
            **needs("movie"),
        params:
            code=MOVIE_STATE,
            config=config_for("movie"),
            results=folder_of,
            version=VERSION,
        message:
            "Making movies for {CONFIG.movie.model}"
        shell:
            command("movie")
