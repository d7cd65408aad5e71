# Which neurons carry a signal. A checkpoint: the rest of the graph has one branch for each.


checkpoint selection:
    input:
        f"{TABLES}/trials.csv",
    output:
        f"{RESULTS}/selection/neurons.csv",
    params:
        config=resolved(
            CONFIG,
            "session-simulation-area-nwb-images-trials-quality",
            "selection",
            "seed",
        ),
        tables=TABLES,
        version=VERSION,
    log:
        f"{LOGS}/selection.log",
    benchmark:
        f"{TIMES}/selection.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "meiflow select --config {params.config:q} --tables {params.tables:q}"
        " --output {output:q} > {log:q} 2>&1"


def of_selected(*patterns):
    """Input function: each pattern for every selected neuron, once selection is done."""

    def expanded(wildcards):
        from meiflow.selection.select import selected_neurons

        neurons = selected_neurons(checkpoints.selection.get().output[0])
        return [pattern.format(neuron=neuron) for neuron in neurons for pattern in patterns]

    return expanded
