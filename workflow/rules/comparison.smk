# MEI against Gabor and natural image: the same metrics for every stimulus.


rule comparison:
    input:
        stimulus_files(),
        model=f"{NEURON}/model.pt",
    output:
        f"{NEURON}/comparison.csv",
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
        config=resolved(CONFIG, "image", "comparison"),
        folder=subpath(input.model, parent=True),
        version=VERSION,
    message:
        "Comparing the stimuli of neuron {wildcards.neuron}"
    shell:
        "meiflow compare --config {params.config:q} --model {input.model:q}"
        " --stimuli {params.folder:q} --output {output:q} > {log:q} 2>&1"
