# meiflow: from a recording session to each neuron's most exciting input.
#
#   snakemake --cores 8                                           everything
#   snakemake --cores 8 results/demo/neurons/950000147/comparison.csv   one neuron
#   snakemake --cores 8 --configfile workflow/presets/full.yaml   more settings on top

import os
import sys
from functools import cache
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

# Version of this Snakefile; the package that runs the jobs must have the same one.
VERSION = "0.1.0"

try:
    from meiflow import __file__ as PACKAGE, __version__ as INSTALLED
except ImportError as error:
    raise WorkflowError(
        f"Snakemake runs in {sys.executable}, which cannot import meiflow ({error}); activate the "
        "environment of meiflow, or install it there"
    ) from None
if INSTALLED != VERSION:
    raise WorkflowError(
        f"this Snakefile is of meiflow {VERSION}, but {sys.executable} imports meiflow {INSTALLED} "
        f"({Path(PACKAGE).parent}); install the version of this Snakefile, or use that version's"
    )

from meiflow.cli.process import RUN, WORKFLOW
from meiflow.config.config import parse_config, read_yaml, resolved
from meiflow.config.names import PICTURED_PROCEDURES, PROCEDURES, SHOWN_PROCEDURES
from meiflow.errors import MeiflowError
from meiflow.io.tracking import code_files, fingerprint
from meiflow.io.writing import require_writable
from meiflow.results.has import SessionHas
from meiflow.results.layout import CombinedLayout, Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.session.dataset import COMBINED, Dataset
from meiflow.session.images import IMAGE_SUFFIXES
from meiflow.session.source import SENSORIUM_PARTS
from meiflow.stages.registry import STAGES

min_version("9.0")
os.environ[RUN] = str(os.getpid())  # its jobs do not outlive it
os.environ[WORKFLOW] = VERSION  # its jobs have the same version
# Jobs run in the interpreter that Snakemake runs in, whichever meiflow is first on the PATH. Not
# part of the rules, because another path of the environment must not rerun them. -P: modules in
# this folder do not replace those of the interpreter.
if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
    PYTHON = quote(sys.executable).replace("{", "{{").replace("}", "}}")
    shell.prefix(
        f'set -euo pipefail; meiflow() {{{{ exec {PYTHON} -P -m meiflow "$@"; }}}}; '
    )


configfile: "config.yaml"


try:
    # of duplicate keys, Snakemake itself silently uses the last
    for file in workflow.configfiles:
        read_yaml(file)
    DATASET = Dataset(parse_config(config))
    DATASET.check()
    # Shared by all sessions: which stages run, and the location of their files.
    CONFIG = DATASET.example
    FILES = DATASET.pattern
except MeiflowError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    session=DATASET.constraint,
    neuron=r"[A-Za-z0-9][A-Za-z0-9_.-]*",


include: "workflow/rules/common.smk"
include: "workflow/rules/session.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/stimuli.smk"
include: "workflow/rules/experiments.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/rules/validation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/combined.smk"


onstart:
    # With its default limit of a hundred jobs per second, Snakemake (9.27) examines all waiting
    # jobs once a second, and each finished job adds one more examination per second.
    limit = getattr(workflow.scheduling_settings, "max_jobs_per_timespan", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
    try:
        for name in DATASET.ids or ("",):
            require_writable(Path("results", name))
    except MeiflowError as error:
        raise WorkflowError(str(error)) from None


# Quicker to run here than to submit.
localrules:
    all,
    fitted_neurons,
    summary,


rule all:
    default_target: True
    input:
        everything,
        rules.combine.output if DATASET.many else [],
    message:
        f"Done: open {FRONT_PAGE}"
