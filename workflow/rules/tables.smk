# From the session to zero-filled trial tables, mean responses and the image stack.


rule tables:
    input:
        session_inputs,
    output:
        R.trials,
        R.responses,
        R.blank_responses,
        R.units,
        R.unit_counts,
        R.notes,
        R.images,
        R.image_info,
        R.raster,
        [R.presentations, R.image_spikes] if HAS.spike_times else [],
        [R.gabor_responses, R.gabor_trials] if HAS.gabors else [],
        [R.grating_responses, R.grating_trials] if HAS.gratings else [],
        [R.drifting_responses, R.drifting_trials] if HAS.drifting else [],
        [R.flash_responses, R.flash_trials] if HAS.flashes else [],
        R.tuning if HAS.tuning else [],
        (
            R.named("movie_responses", "movie_errors", "movie_counts", "movie_images")
            + ([R.movie_windows] if CONFIG.session.movies.windows else [])
            if HAS.movies
            else []
        ),
    log:
        R.log("tables"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("tables"),
    params:
        state=inputs_state,
        config=config_for("tables"),
        results=folder_of,
        images=lambda wildcards: (
            f"--images {quote(str(files_of(wildcards).images))}"
            if files_of(wildcards).images
            else ""
        ),
        nwb=lambda wildcards: (
            f"--nwb {quote(str(files_of(wildcards).nwb))}" if HAS.spike_times else ""
        ),
        movies=lambda wildcards: (
            f"--movies {quote(str(files_of(wildcards).movies))}" if HAS.movies else ""
        ),
        # among many sessions, few contain all areas
        areas="--any-area" if DATASET.many else "",
        version=VERSION,
    message:
        "Counting spikes and resizing images"
    shell:
        command(
            "tables",
            "{params.images} {params.nwb} {params.movies} {params.areas}",
        )
