# From the session to zero-filled trial tables, mean responses and the image stack.


def table_files():
    """Every table of the session."""
    names = ["trials.csv", "responses.csv", "blank_responses.csv", "units.csv", "images.npy"]
    names += ["gabor_responses.csv"] if FILES.gabors else []
    return [f"{TABLES}/{name}" for name in names]


rule tables:
    input:
        source=[FILES.nwb] if FILES.nwb else [CONFIG.session.trials],
        images=FILES.images,
    output:
        table_files(),
    params:
        config=resolved(CONFIG, "session-simulation", "image"),
        nwb=f"--nwb {FILES.nwb}" if FILES.nwb else "",
        folder=TABLES,
        version=VERSION,
    log:
        f"{LOGS}/tables.log",
    benchmark:
        f"{TIMES}/tables.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "meiflow tables --config {params.config:q} --images {input.images:q} {params.nwb}"
        " --output {params.folder:q} > {log:q} 2>&1"
