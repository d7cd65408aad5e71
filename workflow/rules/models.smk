# All neurons are fitted together, which is many times faster, and stored in one file.

# Tables of further stimuli to which models are fitted, and of behaviour.
LEARNED = []
if HAS.spike_times and not CONFIG.model.gain == CONFIG.model.gaze == "none":
    LEARNED.append(R.presentations)
if HAS.gratings and "static_gratings" in CONFIG.model.learn_from:
    LEARNED.append(R.grating_responses)
if HAS.gabors and "gabors" in CONFIG.model.learn_from:
    LEARNED.append(R.gabor_responses)
if HAS.drifting and "drifting_gratings" in CONFIG.model.learn_from:
    LEARNED.append(R.drifting_responses)
if HAS.movies and "movies" in CONFIG.model.learn_from:
    LEARNED += [R.movie_responses, R.movie_images]
    LEARNED += [R.movie_windows] if CONFIG.session.movies.windows else []
CHOSEN_WINDOWS = [R.movie_lags] if R.movie_windows in LEARNED else []


rule fit_models:
    input:
        R.trials,
        R.responses,
        R.images,
        R.image_info,
        LEARNED,
        CORE,
    output:
        R.models,
        R.cross_validation,
        R.fold_scores,
        R.model_search,
        R.fit_status,
        [R.gain] if CONFIG.model.gain != "none" else [],
        [R.gaze] if CONFIG.model.gaze != "none" else [],
        CHOSEN_WINDOWS,
    log:
        R.log("fit_models"),
    priority: FIRST
    conda:
        CONDA
    threads: STAGES["fit_models"].threads
    resources:
        **needs("fit_models"),
    params:
        core=CORE_STATE,
        config=config_for("fit_models"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Fitting the models of all neurons"
    shell:
        command("fit_models")


# A checkpoint: the remaining graph has one branch per neuron listed here.
checkpoint fitted_neurons:
    input:
        R.selection,
        R.fit_status,
    output:
        R.fitted_neurons,
    log:
        R.log("fitted_neurons"),
    priority: FIRST
    conda:
        CONDA
    threads: 1
    resources:
        **needs("fitted_neurons"),
    params:
        results=folder_of,
        version=VERSION,
    message:
        "Listing the selected neurons that have a model"
    shell:
        command("fitted_neurons")


# Only on request: no other rule needs the model of a single neuron.
rule extract_neuron:
    input:
        R.models,
        R.fitted_neurons,
    output:
        N.model,
        N.fold_models,
    log:
        R.log("neurons/{neuron}/extract_neuron"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("extract_neuron"),
    params:
        config=config_for("extract_neuron"),
        results=folder_of,
        version=VERSION,
    message:
        "Writing the model of neuron {wildcards.neuron}"
    shell:
        command("extract_neuron")


if not CUSTOM:

    # Luminance, contrast, behaviour and time, each as the only predictor of the responses.
    rule nuisances:
        input:
            R.trials,
            R.responses,
            R.images,
            R.image_info,
            R.model_search,
            R.fitted_neurons,
            R.presentations if HAS.spike_times else [],
        output:
            R.nuisances,
        log:
            R.log("nuisances"),
        priority: EARLY
        conda:
            CONDA
        threads: 1
        resources:
            **needs("nuisances"),
        params:
            config=config_for("nuisances"),
            results=folder_of,
            has=str(HAS),
            version=VERSION,
        message:
            "Predicting the responses from nuisances alone"
        shell:
            command("nuisances")


rule learning_curve:
    input:
        R.trials,
        R.responses,
        R.images,
        R.image_info,
        R.model_search,
        R.fit_status,
        LEARNED,
        CORE,
    output:
        R.learning_curve,
    log:
        R.log("learning_curve"),
    conda:
        CONDA
    threads: STAGES["learning_curve"].threads
    resources:
        **needs("learning_curve"),
    params:
        core=CORE_STATE,
        config=config_for("learning_curve"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Fitting models again with fewer images"
    shell:
        command("learning_curve")
