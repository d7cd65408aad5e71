# Closed loop: the stimuli are shown to the simulated neurons. Without ground truth: agreement of
# a neuron's fold models on its MEI. Recorded tuning: responses to the other stimuli of the session
# are predicted by the models.

# Procedures with images in the closed loop.
SHOWN = [name for name in CONFIG.stimuli.make if name in SHOWN_PROCEDURES]
TRANSPARENT = ["transparent"] if "transparent" in CONFIG.stimuli.make else []


if HAS.truth:

    rule closed_loop:
        input:
            R.truth,
            R.fitted_neurons,
            R.image_info,
            of_fitted(
                N.mei,
                N.best_gabor,
                N.best_natural,
                N.windowed_natural,
                *([N.gabor] if HAS.gabors else []),
            ),
            [R.procedure(name).images for name in SHOWN + TRANSPARENT],
            [R.procedure(name).table for name in SHOWN + TRANSPARENT],
            judge_of,
        output:
            R.closed_loop,
            R.transparency if TRANSPARENT else [],
        log:
            R.log("closed_loop"),
        priority: EARLY
        conda:
            CONDA
        threads: 1
        resources:
            **needs("closed_loop"),
        params:
            networks=networks_state,
            config=loop_config,
            results=folder_of,
            has=str(HAS),
            version=VERSION,
        message:
            "Showing the stimuli to the simulated neurons"
        shell:
            command("closed_loop")


if not CUSTOM:

    rule confidence:
        input:
            R.models,
            R.cross_validation,
            R.nuisances,
            R.fitted_neurons,
            R.responses,
            R.images,
            R.image_info,
            of_fitted(N.mei),
        output:
            R.trust,
        log:
            R.log("confidence"),
        priority: EARLY
        conda:
            CONDA
        threads: 1
        resources:
            **needs("confidence"),
        params:
            config=config_for("confidence"),
            results=folder_of,
            version=VERSION,
        message:
            "Estimating the confidence in the MEIs"
        shell:
            command("confidence")


if HAS.conditions:

    rule recorded:
        input:
            R.models,
            R.fitted_neurons,
            R.gabor_trials if HAS.gabors else [],
            R.grating_trials if HAS.gratings else [],
            CUSTOM_CODE,
        output:
            R.recorded_tuning,
            R.preferences,
            R.predicted_gabors if HAS.gabors else [],
            R.predicted_gratings if HAS.gratings else [],
            R.recorded_png,
            R.recorded_svg,
        log:
            R.log("recorded"),
        conda:
            CONDA
        threads: 1
        resources:
            **needs("recorded"),
        params:
            code=CUSTOM_STATE,
            config=config_for("recorded"),
            results=folder_of,
            has=str(HAS),
            version=VERSION,
        message:
            "Predicting the recorded tuning"
        shell:
            command("recorded")
