# MEI against Gabor and natural image: the same metrics for every stimulus.


rule comparison:
    input:
        stimulus_files(),
        [] if CONFIG.model.custom else f"{NEURON}/ensemble.pt",
        images=f"{TABLES}/images.npy",
        model=f"{NEURON}/model.pt",
    output:
        reported(comparison_files()[1:], "Neurons", "spectra", subcategory="{neuron}"),
        table=comparison_files()[0],
    log:
        f"{LOGS}/neurons/{{neuron}}/comparison.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/comparison.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        config=config_for("image", "model.custom", "mei", *MEASURED),
        tables=subpath(input.images, parent=True),
        gabors=GABORS,
        folder=subpath(input.model, parent=True),
        folds="" if CONFIG.model.custom else f"--folds {NEURON}/ensemble.pt",
        version=VERSION,
    message:
        "Comparing the stimuli of neuron {wildcards.neuron}"
    shell:
        "meiflow compare --config {params.config:q} --model {input.model:q}"
        " --tables {params.tables:q} --stimuli {params.folder:q} {params.gabors} {params.folds}"
        " --output {output.table:q} > {log:q} 2>&1"


rule notebook:
    input:
        f"{NEURON}/mei.npy",
        f"{NEURON}/gabor.npy" if FILES.gabors else [],
        f"{TABLES}/gabor_trials.csv" if FILES.gabors else [],
        procedure_files("notebook_mei")[:2],
        images=f"{TABLES}/images.npy",
        model=f"{NEURON}/model.pt",
    output:
        notebook_files(),
    log:
        f"{LOGS}/neurons/{{neuron}}/notebook.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/notebook.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        config=config_for("image", "model.custom", "mei", *MEASURED),
        tables=subpath(input.images, parent=True),
        results=subpath(input.model, ancestor=3),
        gabors=GABORS,
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Measuring neuron {wildcards.neuron} as the notebook did"
    shell:
        "meiflow notebook --config {params.config:q} --tables {params.tables:q}"
        " --results {params.results:q} --neuron {wildcards.neuron:q} {params.gabors}"
        " --output {params.folder:q} > {log:q} 2>&1"
