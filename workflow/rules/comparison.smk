# MEI against Gabor and natural image: the same metrics for every stimulus.


rule comparison:
    input:
        stimulus_files(),
        [] if CONFIG.model.custom else f"{NEURON}/ensemble.pt",
        images=f"{TABLES}/images.npy",
        model=f"{NEURON}/model.pt",
    output:
        comparison_files()[1:],
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
        config=resolved(CONFIG, "image", "model.custom", "mei", "comparison"),
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
