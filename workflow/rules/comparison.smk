# MEI compared with Gabor and natural image: the same metrics for every stimulus.


rule comparison:
    input:
        R.models,
        R.cross_validation,
        R.image_info,
        # a custom module is scored here; our models already have been
        [R.trials, R.responses, R.images] if CUSTOM else [],
        CUSTOM_CODE,
        N.mei,
        N.best_gabor,
        N.best_natural,
        N.windowed_natural,
        N.gabor if HAS.gabors else [],
        ancient(R.fitted_neurons),
    output:
        N.comparison,
        N.scores,
        N.spectra,
        N.mei_mask,
        N.mei_mask_picture,
    log:
        R.log("neurons/{neuron}/comparison"),
    priority: first_sooner(EARLY)
    conda:
        CONDA
    threads: 1
    resources:
        **needs("comparison"),
    params:
        code=CUSTOM_STATE,
        config=config_for("comparison"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Comparing the stimuli of neuron {wildcards.neuron}"
    shell:
        command("comparison")


rule compare_notebook:
    input:
        R.models,
        R.image_info,
        R.gabor_trials if HAS.gabors else [],
        R.procedure("notebook_mei").images,
        R.procedure("notebook_mei").table,
        N.mei,
        N.gabor if HAS.gabors else [],
        CUSTOM_CODE,
        ancient(R.fitted_neurons),
    output:
        N.notebook,
        N.notebook_png,
        N.notebook_svg,
        [N.notebook_gabor, N.notebook_gabor_picture] if HAS.gabors else [],
    log:
        R.log("neurons/{neuron}/compare_notebook"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("compare_notebook"),
    params:
        code=CUSTOM_STATE,
        config=config_for("compare_notebook"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Computing the notebook's measures of neuron {wildcards.neuron}"
    shell:
        command("compare_notebook")
