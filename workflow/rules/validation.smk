# The closed loop: the stimuli are shown to the simulated neurons. Without truth, the models of a
# neuron's folds show how far they agree on its MEI. And the models are shown what the session
# showed beside its images: recorded against predicted tuning.

# Procedures whose images the closed loop shows.
SHOWN = [name for name in CONFIG.stimuli.make if name in SHOWN_PROCEDURES]


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
            [R.procedure(name).images for name in SHOWN],
            [R.procedure(name).table for name in SHOWN],
        output:
            R.closed_loop,
        log:
            R.log("closed_loop"),
        benchmark:
            timing("closed_loop")
        conda:
            CONDA
        threads: 1
        resources:
            **needs("closed_loop"),
        params:
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
            R.fitted_neurons,
            R.image_info,
            of_fitted(N.mei),
        output:
            R.trust,
        log:
            R.log("confidence"),
        benchmark:
            timing("confidence")
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
            "Judging how far the MEIs can be trusted"
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
        benchmark:
            timing("recorded")
        conda:
            CONDA
        threads: 1
        resources:
            **needs("recorded"),
        params:
            config=config_for("recorded"),
            results=folder_of,
            has=str(HAS),
            version=VERSION,
        message:
            "Predicting the recorded tuning"
        shell:
            command("recorded")
