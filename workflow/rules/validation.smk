# The closed loop: simulated neurons are shown what the pipeline believes they want to see. Without
# truth, the models of a neuron are asked how far they agree on its MEI. And the
# models are shown what the session showed beside its images: recorded against predicted tuning.


if FILES.truth:

    rule closed_loop:
        input:
            of_modelled(*stimulus_files()),
            shown_files(),
            images=f"{TABLES}/images.npy",
            truth=FILES.truth,
            neurons=MODELLED,
        output:
            f"{RESULTS}/validation/closed_loop.csv",
        log:
            f"{LOGS}/closed_loop.log",
        benchmark:
            f"{TIMES}/closed_loop.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            config=loop_config,
            tables=subpath(input.images, parent=True),
            results=subpath(input.neurons, ancestor=2),
            gabors=GABORS,
            version=VERSION,
        message:
            "Showing the stimuli to the simulated neurons"
        shell:
            "meiflow closed-loop --config {params.config:q} --tables {params.tables:q}"
            " --truth {input.truth:q} --results {params.results:q}"
            " {params.gabors} --output {output:q} > {log:q} 2>&1"


if not CONFIG.model.custom:

    rule trust:
        input:
            of_modelled(
                *(
                    f"{NEURON}/{name}"
                    for name in ("ensemble.pt", "scores.csv", "mei.npy")
                )
            ),
            images=f"{TABLES}/images.npy",
            neurons=MODELLED,
        output:
            trust_files(),
        log:
            f"{LOGS}/trust.log",
        benchmark:
            f"{TIMES}/trust.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            config=config_for("image", "mei", "seed"),
            tables=subpath(input.images, parent=True),
            results=subpath(input.neurons, ancestor=2),
            version=VERSION,
        message:
            "Judging how far the MEIs can be believed"
        shell:
            "meiflow trust --config {params.config:q} --tables {params.tables:q}"
            " --results {params.results:q} --output {output:q} > {log:q} 2>&1"


if FILES.gabors or FILES.gratings:

    rule recorded:
        input:
            condition_files("trials"),
            of_modelled(f"{NEURON}/model.pt"),
            custom_code(),
            neurons=MODELLED,
        output:
            recorded_files(),
        log:
            f"{LOGS}/recorded.log",
        benchmark:
            f"{TIMES}/recorded.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            config=config_for(
                "session.shown", "image", "model.custom", "model.extra", "seed"
            ),
            tables=subpath(input[0], parent=True),
            results=subpath(input.neurons, ancestor=2),
            folder=subpath(output[0], parent=True),
            version=VERSION,
        message:
            "Predicting the recorded tuning"
        shell:
            "meiflow recorded --config {params.config:q} --tables {params.tables:q}"
            " --results {params.results:q} --output {params.folder:q} > {log:q} 2>&1"
