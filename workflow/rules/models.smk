# All neurons are fitted together, which is many times faster; then one file per neuron.


rule search:
    input:
        fitting_inputs(),
    output:
        f"{RESULTS}/models/search.npz",
        f"{RESULTS}/models/cross_validation.csv",
        f"{RESULTS}/models/models.pt",
        f"{RESULTS}/models/neurons.zip",
        f"{RESULTS}/models/folds.csv",
        f"{RESULTS}/models/status.csv",
    log:
        f"{LOGS}/search.log",
    benchmark:
        f"{TIMES}/search.tsv"
    conda:
        CONDA
    threads: 8
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        config=config_for("session.shown", "image", *FITTED, "seed"),
        tables=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Fitting the models of all neurons"
    shell:
        "meiflow search --config {params.config:q} --tables {params.tables:q}"
        " --output {params.folder:q} --threads {threads} > {log:q} 2>&1"


# A checkpoint: the rest of the graph has one branch for each of these neurons.
checkpoint modelled:
    input:
        selection=f"{RESULTS}/selection/neurons.csv",
        status=f"{RESULTS}/models/status.csv",
    output:
        MODELLED,
    log:
        f"{LOGS}/modelled.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        nobody=NOBODY,
        version=VERSION,
    message:
        "Taking the selected neurons that have a model"
    shell:
        "meiflow modelled --selection {input.selection:q} --status {input.status:q}"
        " {params.nobody} --output {output:q} > {log:q} 2>&1"


rule model:
    input:
        *modelling_inputs(),
        search=f"{RESULTS}/models/{MODEL_STORE}",
        # ancient: a changed selection trains the neurons it adds and no other again
        neurons=ancient(MODELLED),
    output:
        model_files(),
    log:
        f"{LOGS}/neurons/{{neuron}}/model.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/model.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        config=config_for("image", "model.custom", "seed"),
        tables=TABLES,
        search=subpath(input.search, parent=True),
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Writing the model of neuron {wildcards.neuron}"
    shell:
        "meiflow fit --config {params.config:q} --tables {params.tables:q}"
        " --search {params.search:q} --neurons {input.neurons:q}"
        " --neuron {wildcards.neuron:q} --output {params.folder:q} > {log:q} 2>&1"


rule learning_curve:
    input:
        fitting_inputs(),
        neurons=MODELLED,
    output:
        f"{RESULTS}/models/learning_curve.csv",
    log:
        f"{LOGS}/learning_curve.log",
    benchmark:
        f"{TIMES}/learning_curve.tsv"
    conda:
        CONDA
    threads: 8
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        config=config_for("session.shown", "image", "model", "seed"),
        tables=subpath(input[0], parent=True),
        version=VERSION,
    message:
        "Fitting the models again with fewer images"
    shell:
        "meiflow learning-curve --config {params.config:q} --tables {params.tables:q}"
        " --neurons {input.neurons:q} --output {output:q} --threads {threads} > {log:q} 2>&1"
