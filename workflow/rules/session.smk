# Where the recording comes from: a simulation, the Allen warehouse, or the user's files.


def session_made():
    """Files of the session that the workflow itself makes and a user may open."""
    return [FILES.nwb, FILES.truth] if SOURCE == "simulated" else []


if SOURCE == "simulated":

    rule simulate:
        output:
            nwb=FILES.nwb,
            images=directory(FILES.images),
            truth=FILES.truth,
        params:
            config=resolved(CONFIG, "session-area-nwb-images-trials-window_s-quality", "seed"),
            version=VERSION,
        log:
            f"{LOGS}/simulate.log",
        benchmark:
            f"{TIMES}/simulate.tsv"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        shell:
            "meiflow simulate --config {params.config:q} --nwb {output.nwb:q}"
            " --images {output.images:q} --truth {output.truth:q} > {log:q} 2>&1"

elif SOURCE == "allen":

    rule download:
        output:
            nwb=FILES.nwb,
            images=directory(FILES.images),
        params:
            # only what names the session: other settings must not fetch it again
            config='{"session":{"source":"allen","id":"' + CONFIG.session.id + '"}}',
            cache="data/allen/cache",
        log:
            f"{LOGS}/download.log",
        benchmark:
            f"{TIMES}/download.tsv"
        threads: 1
        resources:
            mem_mb=8000,
            runtime=720,
            download=1,
        shell:
            "meiflow download --config {params.config:q} --nwb {output.nwb:q}"
            " --images {output.images:q} --cache {params.cache:q} > {log:q} 2>&1"
