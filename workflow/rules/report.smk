# One row per neuron, and one page to read.


rule summary:
    input:
        of_modelled(f"{NEURON}/comparison.csv", f"{NEURON}/scores.csv"),
        validation_files(),
        trust_files(),
        recorded_files(),
        experiment_files()[1:2] if EXPERIMENTS else [],
        MODELLED,
        f"{RESULTS}/selection/neurons.csv",
        f"{RESULTS}/models/cross_validation.csv",
    output:
        table=report(
            f"{RESULTS}/summary.csv",
            caption="../report/summary.rst",
            category="Report",
            labels={"figure": "one row per neuron"},
        ),
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{TIMES}/summary.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        results=subpath(output[0], parent=True),
        loop=LOOP,
        recorded=RECORDED,
        trust="" if CONFIG.model.custom else "--trust",
        experiments="--experiments" if EXPERIMENTS else "--no-experiments",
        version=VERSION,
    message:
        "Gathering one row per neuron"
    shell:
        "meiflow summary --results {params.results:q} {params.loop} {params.recorded}"
        " {params.trust} {params.experiments} --output {output:q} > {log:q} 2>&1"


rule provenance:
    input:
        session_inputs,
        custom_code(),
        natural_images(),
        f"{TABLES}/trials.csv",
        f"{TABLES}/images.npy",
    output:
        f"{RESULTS}/provenance.json",
    log:
        f"{LOGS}/provenance.log",
    benchmark:
        f"{TIMES}/provenance.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        inputs=hashed_inputs,
        version=VERSION,
    message:
        "Hashing what the results come from"
    shell:
        "meiflow provenance {params.inputs:q} --output {output:q} > {log:q} 2>&1"


rule report:
    input:
        of_modelled(
            f"{NEURON}/comparison.csv",
            *experiment_pictures(),
            *([f"{NEURON}/notebook.png"] if CONFIG.comparison.notebook else []),
        ),
        validation_files(),
        recorded_files(),
        pictured_files(),
        movie_files() if CONFIG.movie.model else [],
        selection_figure_files(),
        f"{RESULTS}/models/search.npz",
        f"{RESULTS}/models/learning_curve.csv",
        MODELLED,
        f"{RESULTS}/selection/neurons.csv",
        f"{RESULTS}/summary.csv",
        f"{RESULTS}/provenance.json",
        f"{TABLES}/units.json",
        f"{TABLES}/image_spikes.npz" if FILES.nwb else [],
    output:
        page=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"figure": "the whole report"},
        ),
        figures=reported(figure_files(), "All neurons", "overview"),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{TIMES}/report.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        config=config_for(
            "session",
            "image",
            "selection",
            "model",
            "mei",
            "stimuli",
            "movie",
            "gabor",
            "comparison",
            "experiments",
            "report",
            "seed",
        ),
        results=subpath(output[0], parent=True),
        figures=subpath(output[1], parent=True),
        loop=LOOP,
        recorded=RECORDED,
        version=VERSION,
    message:
        "Writing the report"
    shell:
        "meiflow report --config {params.config:q} --results {params.results:q}"
        " --figures {params.figures:q} {params.loop} {params.recorded} --output {output.page:q} > {log:q} 2>&1"
