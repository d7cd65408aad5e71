# Many sessions: which of them, and what they say together.

if DATASET.ids is None:

    checkpoint sessions:
        output:
            f"{ALL}/warehouse.csv",
        log:
            f"{ALL}/logs/sessions.log",
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
            download=1,
        params:
            config=resolved(
                CONFIG,
                "session.warehouse",
                "session.area",
                "session.quality",
            ),
            data="data/allen",
            version=VERSION,
        message:
            "Asking the warehouse for its sessions"
        shell:
            "meiflow sessions --config {params.config:q} --data {params.data:q} --choose"
            " --output {output:q} > {log:q} 2>&1"


if DATASET.many:

    rule combine:
        input:
            sessions=of_sessions(session_results),
            warehouse=f"{ALL}/warehouse.csv" if DATASET.ids is None else [],
        output:
            combined_files(),
        log:
            f"{ALL}/logs/combine.log",
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            config=resolved(
                DATASET.config,
                "session",
                "sessions",
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
            folder=subpath(output[0], parent=True),
            results=subpath(output[0], ancestor=2),
            warehouse=f"--warehouse {ALL}/warehouse.csv" if DATASET.ids is None else "",
            version=VERSION,
        message:
            "Putting the sessions together"
        shell:
            "meiflow combine --config {params.config:q} --results {params.results:q}"
            " {params.warehouse} --output {params.folder:q} > {log:q} 2>&1"
