# What each neuron's model wants to see.

STIMULI = ["mei", "best_gabor", "best_natural", "windowed_natural"]
STIMULI += ["gabor"] if FILES.gabors else []


def stimulus_files():
    """Every stimulus file of one neuron, with the wildcard."""
    files = [f"{NEURON}/{name}.{suffix}" for name in STIMULI for suffix in ("npy", "png")]
    files += [f"{NEURON}/mei_trace.csv", f"{NEURON}/best_gabor.csv"]
    return files + ([f"{NEURON}/gabor.csv"] if FILES.gabors else [])


rule stimuli:
    input:
        f"{TABLES}/gabor_responses.csv" if FILES.gabors else [],
        f"{TABLES}/images.npy",
        model=f"{NEURON}/model.pt",
    output:
        stimulus_files(),
    params:
        config=resolved(CONFIG, "image", "mei", "gabor", "comparison", "seed"),
        tables=TABLES,
        folder=NEURON,
        gabors="--gabors" if FILES.gabors else "--no-gabors",
        version=VERSION,
    log:
        f"{LOGS}/neurons/{{neuron}}/stimuli.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/stimuli.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    shell:
        "meiflow stimuli --config {params.config:q} --tables {params.tables:q}"
        " --model {input.model:q} --neuron {wildcards.neuron:q} {params.gabors}"
        " --output {params.folder:q} > {log:q} 2>&1"
