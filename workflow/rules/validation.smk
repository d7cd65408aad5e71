# The closed loop: simulated neurons are shown what the pipeline believes they want to see.


def validation_files():
    """Results of validation; a recorded session has no truth to validate against."""
    return [f"{RESULTS}/validation/closed_loop.csv"] if FILES.truth else []


if FILES.truth:

    rule closed_loop:
        input:
            of_selected(*stimulus_files()),
            f"{TABLES}/images.npy",
            truth=FILES.truth,
            neurons=f"{RESULTS}/selection/neurons.csv",
        output:
            f"{RESULTS}/validation/closed_loop.csv",
        params:
            config=resolved(CONFIG, "image", "mei", "seed"),
            tables=TABLES,
            folder=f"{RESULTS}/neurons",
            version=VERSION,
        log:
            f"{LOGS}/closed_loop.log",
        benchmark:
            f"{TIMES}/closed_loop.tsv"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        shell:
            "meiflow validate --config {params.config:q} --tables {params.tables:q}"
            " --truth {input.truth:q} --neurons {input.neurons:q} --folder {params.folder:q}"
            " --output {output:q} > {log:q} 2>&1"
