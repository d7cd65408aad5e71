# What each neuron's model wants to see.


# A checkpoint, although its files are known: behind a plain rule that runs, Snakemake would take
# the neurons' jobs for up to date, whose inputs from here are ancient, without looking at them.
checkpoint gabor_search:
    input:
        custom_code(),
        images=f"{TABLES}/images.npy",
        models=f"{RESULTS}/models/models.pt",
        neurons=MODELLED,
    output:
        procedure_files("best_gabors"),
    log:
        f"{LOGS}/stimuli/gabor_search.log",
    benchmark:
        f"{TIMES}/stimuli/gabor_search.tsv"
    conda:
        CONDA
    threads: 8
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=config_for("image", "model.custom", *MATCHED, *SEARCHED),
        tables=subpath(input.images, parent=True),
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Searching the best Gabors of all neurons"
    shell:
        "meiflow gabor-search --config {params.config:q} --tables {params.tables:q}"
        " --models {input.models:q} --neurons {input.neurons:q}"
        " --output {params.folder:q} --threads {threads} > {log:q} 2>&1"


rule stimuli:
    input:
        f"{TABLES}/gabor_trials.csv" if FILES.gabors else [],
        custom_code(),
        images=f"{TABLES}/images.npy",
        model=f"{NEURON}/model.pt",
        # ancient: a changed selection searches again, with the same result for those that stay
        best_gabors=ancient(f"{RESULTS}/stimuli/best_gabors.npy"),
        best_gabors_table=ancient(f"{RESULTS}/stimuli/best_gabors.csv"),
    output:
        stimulus_files(),
    log:
        f"{LOGS}/neurons/{{neuron}}/stimuli.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/stimuli.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        config=config_for(
            "session.shown",
            "image",
            "model.custom",
            "mei",
            "gabor",
            "comparison.mask_threshold",
            "seed",
        ),
        tables=subpath(input.images, parent=True),
        folder=subpath(input.model, parent=True),
        best_gabors=subpath(input.best_gabors, parent=True),
        gabors=GABORS,
        version=VERSION,
    message:
        "Making the stimuli of neuron {wildcards.neuron}"
    shell:
        "meiflow stimuli --config {params.config:q} --tables {params.tables:q}"
        " --model {input.model:q} --neuron {wildcards.neuron:q}"
        " --best-gabors {params.best_gabors:q} {params.gabors}"
        " --output {params.folder:q} > {log:q} 2>&1"


# One rule per procedure, each for all selected neurons in one job.
for NAME in PROCEDURES:

    rule:
        name:
            NAME
        input:
            custom_code(),
            of_modelled(f"{NEURON}/model.pt"),
            of_modelled(f"{NEURON}/mei.npy") if NAME in NEEDS_MEI else [],
            natural_images() if NAME in NEEDS_NATURAL else [],
            images=f"{TABLES}/images.npy",
            neurons=MODELLED,
        output:
            procedure_files(NAME),
        log:
            f"{LOGS}/stimuli/{NAME}.log",
        benchmark:
            f"{TIMES}/stimuli/{NAME}.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            config=config_for("image", "model.custom", *PROCEDURE_KEYS[NAME], "seed"),
            command=NAME.replace("_", "-"),
            tables=subpath(input.images, parent=True),
            results=subpath(input.neurons, ancestor=2),
            folder=subpath(output[0], parent=True),
            version=VERSION,
        message:
            f"Making stimuli of all neurons: {NAME}"
        shell:
            "meiflow {params.command} --config {params.config:q} --tables {params.tables:q}"
            " --results {params.results:q} --output {params.folder:q} > {log:q} 2>&1"


if CONFIG.movie.model:

    rule movie:
        input:
            own_code(CONFIG.movie.model),
        output:
            movie_files(),
        log:
            f"{LOGS}/movie.log",
        benchmark:
            f"{TIMES}/movie.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=8000,
            runtime=240,
        params:
            config=config_for("image", "movie", "seed"),
            folder=subpath(output[0], parent=True),
            version=VERSION,
        message:
            "Making movies for {CONFIG.movie.model}"
        shell:
            "meiflow movie --config {params.config:q} --output {params.folder:q} > {log:q} 2>&1"
