# The workflow is workflow/Snakefile. A project laid out by `meiflow init` includes the installed one.
include: "workflow/Snakefile"


workflow.default_target = "all"  # Snakemake does not take it over from an included file
