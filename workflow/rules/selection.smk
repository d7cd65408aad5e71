# Select the neurons that respond reliably.


rule selection:
    input:
        R.trials,
        R.image_info,
        R.raster,
        R.presentations if HAS.spike_times else [],
        R.movie_counts if HAS.movies else [],
    output:
        R.selection,
        R.correlations,
    log:
        R.log("selection"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("selection"),
    params:
        config=config_for("selection"),
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Selecting neurons"
    shell:
        command("selection")


rule selection_figures:
    input:
        R.raster,
        R.units,
        R.selection,
        R.correlations,
        R.image_info,
    output:
        reported(
            R.selection_figures(
                "rastermap",
                "rastermap_blocks",
                "correlations",
                "measures",
                "oracle",
                *(["probes"] if HAS.spike_times else []),
            ),
            "Selection",
            "selection",
        ),
    log:
        R.log("selection_figures"),
    conda:
        CONDA
    threads: 1
    resources:
        **needs("selection_figures"),
    params:
        results=folder_of,
        has=str(HAS),
        version=VERSION,
    message:
        "Drawing the figures of the selection"
    shell:
        command("selection_figures")
