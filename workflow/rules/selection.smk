# Which neurons carry a signal.


rule selection:
    input:
        f"{TABLES}/trials.csv",
        f"{TABLES}/raster.npz",
        f"{TABLES}/presentations.csv" if FILES.nwb else [],
    output:
        f"{RESULTS}/selection/neurons.csv",
        f"{RESULTS}/selection/correlations.npz",
    log:
        f"{LOGS}/selection.log",
    benchmark:
        f"{TIMES}/selection.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=config_for("session.window_s", "selection", "seed"),
        tables=subpath(input[0], parent=True),
        presentations=f"--presentations {TABLES}/presentations.csv" if FILES.nwb else "",
        folder=subpath(output[0], parent=True),
        nobody=NOBODY,
        version=VERSION,
    message:
        "Selecting neurons"
    shell:
        "meiflow select --config {params.config:q} --tables {params.tables:q}"
        " {params.presentations} {params.nobody} --output {params.folder:q} > {log:q} 2>&1"


rule selection_figures:
    input:
        f"{TABLES}/raster.npz",
        f"{TABLES}/units.csv",
        f"{RESULTS}/selection/neurons.csv",
        f"{RESULTS}/selection/correlations.npz",
    output:
        reported(selection_figure_files(), "Selection", "selection"),
    log:
        f"{LOGS}/selection_figures.log",
    benchmark:
        f"{TIMES}/selection_figures.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        tables=subpath(input[0], parent=True),
        selection=subpath(input[2], parent=True),
        probes="--probes" if FILES.nwb else "--no-probes",
        folder=subpath(output[0], parent=True),
        version=VERSION,
    message:
        "Drawing the selection"
    shell:
        "meiflow draw --tables {params.tables:q} --selection {params.selection:q}"
        " {params.probes} --output {params.folder:q} > {log:q} 2>&1"
