# Many sessions: the choice of sessions, and the combined results.

if DATASET.ids is None:

    checkpoint sessions:
        output:
            ALL.warehouse,
        log:
            ALL.root / "logs" / "sessions.log",
        conda:
            CONDA
        threads: 1
        resources:
            download=1,
            mem_mb=lambda wildcards, attempt: 2000 * attempt,
            runtime=lambda wildcards, attempt: 60 * attempt,
        params:
            config=resolved(
                CONFIG,
                "session.bucket",
                "session.warehouse",
                "session.area",
                "session.quality",
                "session.movies.shown",
            ),
            version=VERSION,
        message:
            "Querying the sessions in the warehouse"
        shell:
            "meiflow sessions --config {params.config:q} --data data/allen --choose"
            " --output {output:q} > {log:q} 2>&1"


if DATASET.many and CONFIG.clusters.make:

    rule cluster:
        input:
            of_sessions(clustered_of_session),
            CUSTOM_CODE,
            ALL.warehouse if DATASET.ids is None else [],
        output:
            ALL.clusters,
            ALL.cluster_stimuli,
            ALL.cluster_numbers,
        log:
            ALL.root / "logs" / "cluster.log",
        conda:
            CONDA
        threads: 1
        resources:
            **needs("cluster"),
        params:
            config=resolved(DATASET.config, *STAGES["cluster"].keys),
            results=ALL.root.parent,
            code=CUSTOM_STATE,
            version=VERSION,
        message:
            "Clustering the neurons of all sessions"
        shell:
            command("cluster")


if DATASET.many:

    rule combine:
        input:
            of_sessions(combined_of_session),
            rules.cluster.output if CONFIG.clusters.make else [],
            ALL.warehouse if DATASET.ids is None else [],
        output:
            ALL.report,
            ALL.atlas,
            ALL.neurons,
            ALL.sessions,
            ALL.estimates,
            ALL.groups,
            ALL.differences,
            ALL.cost,
            ALL.figures("gallery", "areas", "distributions", "models"),
        log:
            ALL.root / "logs" / "combine.log",
        conda:
            CONDA
        threads: 1
        resources:
            **needs("combine"),
        params:
            config=resolved(DATASET.config, *STAGES["combine"].keys),
            results=ALL.root.parent,
            version=VERSION,
        message:
            "Combining all sessions"
        shell:
            command("combine")
