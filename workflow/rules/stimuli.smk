# What each neuron's model wants to see.


rule stimuli:
    input:
        f"{TABLES}/gabor_responses.csv" if FILES.gabors else [],
        custom_code(),
        images=f"{TABLES}/images.npy",
        model=f"{NEURON}/model.pt",
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
        config=resolved(
            CONFIG, "image", "model.custom", "mei", "gabor", *MEASURED, "seed"
        ),
        tables=subpath(input.images, parent=True),
        folder=subpath(input.model, parent=True),
        gabors=GABORS,
        version=VERSION,
    message:
        "Making the stimuli of neuron {wildcards.neuron}"
    shell:
        "meiflow stimuli --config {params.config:q} --tables {params.tables:q}"
        " --model {input.model:q} --neuron {wildcards.neuron:q} {params.gabors}"
        " --output {params.folder:q} > {log:q} 2>&1"


# One rule per procedure, each for all selected neurons in one job.
for NAME in PROCEDURES:

    rule:
        name:
            NAME
        input:
            custom_code(),
            of_selected(f"{NEURON}/model.pt"),
            of_selected(f"{NEURON}/mei.npy") if NAME in NEEDS_MEI else [],
            natural_images() if NAME in NEEDS_NATURAL else [],
            images=f"{TABLES}/images.npy",
            neurons=f"{RESULTS}/selection/neurons.csv",
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
            config=resolved(
                CONFIG, "image", "model.custom", *PROCEDURE_KEYS[NAME], "seed"
            ),
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
            config=resolved(CONFIG, "image", "movie", "seed"),
            folder=subpath(output[0], parent=True),
            version=VERSION,
        message:
            "Making movies for {CONFIG.movie.model}"
        shell:
            "meiflow movie --config {params.config:q} --output {params.folder:q} > {log:q} 2>&1"
