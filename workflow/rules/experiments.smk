# What a physiologist would do with a neuron, done with its model.


rule experiments:
    input:
        custom_code(),
        [file for spec in CONFIG.experiments.own for file in own_code(spec)],
        of_modelled(
            f"{NEURON}/model.pt", f"{NEURON}/best_gabor.csv", f"{NEURON}/mei.npy"
        ),
        neurons=MODELLED,
    output:
        reported(experiment_files(), "Experiments", "experiments"),
    log:
        f"{LOGS}/experiments.log",
    benchmark:
        f"{TIMES}/experiments.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=config_for("image", "model.custom", "experiments"),
        results=subpath(input.neurons, ancestor=2),
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Doing experiments with all neurons"
    shell:
        "meiflow experiments --config {params.config:q} --results {params.results:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule neuron_experiments:
    input:
        table=f"{RESULTS}/experiments/tuning.csv",
        summary=f"{RESULTS}/experiments/summary.csv",
        maps=f"{RESULTS}/experiments/maps.npz",
    output:
        reported(
            drawn(NEURON, ["experiments"]),
            "Neurons",
            "experiments",
            subcategory="{neuron}",
        ),
    log:
        f"{LOGS}/neurons/{{neuron}}/experiments.log",
    benchmark:
        f"{TIMES}/neurons/{{neuron}}/experiments.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        stage=subpath(input.table, parent=True),
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Drawing the experiments with neuron {wildcards.neuron}"
    shell:
        "meiflow draw-experiments --experiments {params.stage:q} --neuron {wildcards.neuron:q}"
        " --output {params.folder:q} > {log:q} 2>&1"
