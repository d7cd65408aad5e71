# Standard physiology experiments, run in silico on the models.


rule experiments:
    input:
        R.models,
        R.fitted_neurons,
        R.image_info,
        of_fitted(N.mei, N.best_gabor_table),
        CUSTOM_CODE,
        EXPERIMENT_CODE,
    output:
        R.experiment_tuning,
        R.experiment_summary,
        R.experiment_maps,
        reported(
            R.experiment_figures(
                *CONFIG.experiments.make,
                *(["custom"] if CONFIG.experiments.custom else []),
            ),
            "Experiments",
            "experiments",
        ),
    log:
        R.log("experiments"),
    priority: EARLY
    conda:
        CONDA
    threads: 1
    resources:
        **needs("experiments"),
    params:
        code=EXPERIMENT_STATE,
        config=config_for("experiments"),
        results=folder_of,
        version=VERSION,
    message:
        "Running the experiments on all neurons"
    shell:
        command("experiments")


if CONFIG.experiments.invariance:

    rule invariance:
        input:
            R.models,
            N.mei,
            N.best_gabor_table,
            CUSTOM_CODE,
            ancient(R.fitted_neurons),
        output:
            N.invariance,
            N.invariance_path,
            N.invariance_steps,
            reported(
                [N.invariance_png, N.invariance_svg],
                "Neurons",
                "invariance",
                subcategory="{neuron}",
            ),
        log:
            R.log("neurons/{neuron}/invariance"),
        conda:
            CONDA
        threads: 1
        resources:
            **needs("invariance"),
        params:
            code=CUSTOM_STATE,
            config=config_for("invariance"),
            results=folder_of,
            version=VERSION,
        message:
            "Measuring the invariance of neuron {wildcards.neuron}"
        shell:
            command("invariance")
