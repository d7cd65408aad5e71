# Source of the recording: a simulation, the Allen warehouse, or the user's files.


if SOURCE == "simulated":

    # listed individually, so that a missing one is noticed
    SCENE_FILES = [
        R.scenes / f"{frame:03d}.png"
        for frame in range(CONFIG.session.simulation.frames if FILES.images else 0)
    ]
    MOVIE_FILES = [
        R.movies / f"{name}.npy" for name in CONFIG.session.simulation.movie_repeats
    ]

    rule simulate:
        input:
            networks_of,
        output:
            R.session_file,
            R.truth,
            SCENE_FILES,
            MOVIE_FILES,
        log:
            R.log("simulate"),
        conda:
            CONDA
        threads: 1
        resources:
            **needs("simulate"),
        params:
            networks=networks_state,
            config=config_for("simulate"),
            results=folder_of,
            version=VERSION,
        message:
            "Simulating a session"
        shell:
            command("simulate")

elif SOURCE in ("allen", "dandi"):

    if DOWNLOADED_CORE:

        rule core:
            output:
                # kept when a run fails or is forced
                update(str(CORE_FILE)),
            log:
                ALL.root / "logs" / "core.log" if DATASET.many else R.log("core"),
            conda:
                CONDA
            threads: 1
            resources:
                download=1,
                mem_mb=lambda wildcards, attempt: 500 * attempt,
                runtime=lambda wildcards, attempt: 30 * attempt,
            params:
                name=CONFIG.model.network.core,
                sha256=CORE_STATE,
            message:
                "Downloading the core {params.name}"
            shell:
                "meiflow core {params.name:q} > {log:q} 2>&1"

    rule download:
        input:
            # first, so that a core that is missing is noticed before gigabytes are downloaded
            DOWNLOADED_CORE,
        output:
            R.download_record,
        log:
            R.log("download"),
        conda:
            CONDA
        threads: 1
        resources:
            **needs("download"),
            download=1,
        params:
            config=config_for("download"),
            results=folder_of,
        message:
            "Downloading the session and the templates of its images and movies"
        shell:
            command("download")
