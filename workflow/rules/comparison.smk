# MEI against Gabor and natural image: the same metrics for every stimulus.

NEURON_FILES = [
    f"{NEURON}/model.pt",
    f"{NEURON}/scores.csv",
    *stimulus_files(),
    f"{NEURON}/comparison.csv",
]


rule comparison:
    input:
        stimulus_files(),
        model=f"{NEURON}/model.pt",
    output:
        f"{NEURON}/comparison.csv",
    params:
        config=resolved(CONFIG, "image", "comparison"),
        folder=NEURON,
        version=VERSION,
    log:
        f"{LOGS}/neurons/{{neuron}}/comparison.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/comparison.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    shell:
        "meiflow compare --config {params.config:q} --model {input.model:q}"
        " --stimuli {params.folder:q} --output {output:q} > {log:q} 2>&1"
