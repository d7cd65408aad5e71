# Where the recording comes from: a simulation, the Allen warehouse, or the user's files.


if SOURCE == "simulated":

    # One by one, so that a missing one is noticed.
    SCENE_FILES = [
        R.scenes / f"{frame:03d}.png"
        for frame in range(CONFIG.session.simulation.frames)
    ]

    rule simulate:
        output:
            R.session_file,
            R.truth,
            SCENE_FILES,
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
            config=config_for("simulate"),
            results=folder_of,
            version=VERSION,
        message:
            "Simulating a session"
        shell:
            command("simulate")

elif SOURCE == "allen":

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
            "Downloading the session and the natural-scene templates"
        shell:
            command("download")


def session_inputs(wildcards):
    """What the tables are made from: a download's record stands for its files."""
    files = files_of(wildcards)
    if files.download:
        return [str(files.download)]
    if SOURCE == "simulated":
        made = map(str, [R.session_file, *SCENE_FILES])
        return [f.format(session=session_of(wildcards)) for f in made]
    if files.nwb:
        return [str(files.nwb), str(files.images)]
    session = DATASET.config_of(session_of(wildcards)).session
    shown = [session.trials, session.gabors, session.static_gratings]
    return [path for path in shown if path] + [str(files.images)]
