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
            CONFIG, "image", "model.custom", "mei", "gabor", "comparison", "seed"
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
