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
        benchmark:
            timing("simulate")
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

    rule download:
        output:
            R.download_record,
        log:
            R.log("download"),
        benchmark:
            timing("download")
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
