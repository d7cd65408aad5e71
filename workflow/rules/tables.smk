# From the session to zero-filled trial tables, mean responses and the image stack.


rule tables:
    input:
        session_inputs,
    output:
        table_files(),
    log:
        f"{LOGS}/tables.log",
    benchmark:
        f"{TIMES}/tables.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        config=config_for(
            "session.id",
            "session.source",
            "session.area",
            "session.quality",
            "session.trials",
            "session.gabors",
            "session.static_gratings",
            "session.window_s",
            "image",
        ),
        nwb=lambda wildcards: (
            f"--nwb {quote(str(files_of(wildcards).nwb))}" if FILES.nwb else ""
        ),
        # of many sessions, few have all areas
        areas="--any-area" if DATASET.many else "--no-any-area",
        images=lambda wildcards: files_of(wildcards).images,
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Counting spikes and resizing images"
    shell:
        "meiflow tables --config {params.config:q} --images {params.images:q} {params.nwb}"
        " {params.areas} --output {params.folder:q} > {log:q} 2>&1"
