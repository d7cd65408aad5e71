# Where the recording comes from: a simulation, the Allen warehouse, or the user's files.


if SOURCE == "simulated":

    rule simulate:
        output:
            nwb=FILES.nwb,
            images=scene_files(),
            truth=FILES.truth,
        log:
            f"{LOGS}/simulate.log",
        benchmark:
            f"{TIMES}/simulate.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            config=config_for("session.id", "session.simulation", "seed"),
            images=subpath(output[1], parent=True),
            version=VERSION,
        message:
            "Simulating a session"
        shell:
            "meiflow simulate --config {params.config:q} --nwb {output.nwb:q}"
            " --images {params.images:q} --truth {output.truth:q} > {log:q} 2>&1"

elif SOURCE == "allen":

    rule download:
        output:
            FILES.download,
        log:
            f"{LOGS}/download.log",
        benchmark:
            f"{TIMES}/download.tsv"
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=8000,
            runtime=720,
            download=1,
        params:
            config=config_for(
                "session.id",
                "session.source",
                "session.warehouse",
                "session.bucket",
                "session.nwb",
            ),
            nwb=str(FILES.nwb),
            images=str(FILES.images),
            cache="data/allen/cache",
        message:
            "Downloading the session and the natural-scene templates"
        shell:
            "meiflow download --config {params.config:q} --nwb {params.nwb:q}"
            " --images {params.images:q} --cache {params.cache:q} --output {output:q}"
            " > {log:q} 2>&1"
