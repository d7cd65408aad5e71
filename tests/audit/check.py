"""What the commands of a run opened and read, compared with what their rules declare."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from meiflow.config.base import Section
from meiflow.config.sections import Config
from meiflow.session.source import DOWNLOAD_RECORD
from meiflow.stages.registry import STAGES
from meiflow.stages.stage import Stage

_COMMANDS = {stage.command: stage for stage in STAGES.values()}
# Not results: checksums, Snakemake's files, finished parts of a fit, byte code.
_BESIDE = (
    "SHA256SUMS",
    ".SHA256SUMS.lock",
    ".snakemake",
    "parts",
    "kept",
    "__pycache__",
    "logs",
    "benchmarks",
)
# Which any stage may mark as outdated, and the report makes lead to itself.
_PAGES = ("/report.html", "/provisional.html")


@dataclass
class Job:
    """One command of a run: what it did, and what its rule declares."""

    stage: Stage
    neuron: str | None = None
    opened: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)


def leaves(key: str) -> set[str]:
    """Single keys of the configuration below a section, or the key itself.

    Examples
    --------
    >>> leaves("seed"), len(leaves("image"))
    ({'seed'}, 4)
    """
    section: type[Section] = Config
    for name in key.split("."):
        kind = section.model_fields[name].annotation
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            return {key}
        section = kind
    return set().union(*(leaves(f"{key}.{name}") for name in section.model_fields))


def _counted(paths: list[str], root: str) -> set[str]:
    """The results among paths; the record of a download represents what was downloaded."""
    record = f"{root}/{DOWNLOAD_RECORD}"
    found = {record if path.startswith("data/allen/") else path for path in paths}
    return {p for p in found if not set(Path(p).parts) & set(_BESIDE) and ".part" not in p}


def read_jobs(project: Path, notes: Path) -> list[Job]:
    """The jobs of a run, from what the hook noted and from Snakemake's records."""
    declared: dict[str, dict] = {}
    for path in (project / ".snakemake" / "metadata").iterdir():
        record = json.loads(path.read_text())
        declared[base64.b64decode(path.name).decode()] = record
    jobs = []
    for path in notes.iterdir():
        note = json.loads(path.read_text())
        name, *arguments = note["arguments"]
        if name not in _COMMANDS:
            continue
        job = Job(_COMMANDS[name], keys=set(note["keys"]))
        root = arguments[arguments.index("--results") + 1]
        job.opened = _counted(note["opened"], root)
        job.written = _counted(note["written"], root)
        folder = root
        if "neuron" in job.stage.options:
            job.neuron = arguments[arguments.index("--neuron") + 1]
            folder = f"{root}/neurons/{job.neuron}"
        for output, record in declared.items():
            if record["rule"] == job.stage.name and output.startswith(f"{folder}/"):
                job.outputs.add(output)
                job.inputs.update(record["input"])
        # what reads the stimuli of all neurons waits for it: of_fitted in common.smk
        job.inputs -= {f"{root}/stimuli/best_gabors.csv"} - job.opened
        jobs.append(job)
    return jobs


def faults(jobs: list[Job]) -> list[str]:
    """Faults of single jobs: files or keys that their rule does not pass on."""
    found = []
    for job in jobs:
        name = job.stage.name
        # outputs are read again for their checksum
        undeclared = {
            f
            for f in job.opened - job.inputs - job.outputs
            if not f.endswith(_PAGES)
            and not any(f.startswith(f"{folder}/") for folder in job.inputs)
            and f.removesuffix(".json") not in job.inputs  # its record, if it was downloaded
        }
        found += [f"{name} opens {f}, which its rule does not declare" for f in undeclared]
        unexpected = {f for f in job.written - job.outputs if not f.endswith(_PAGES)}
        found += [f"{name} writes {f}, no output" for f in unexpected]
        found += [f"{name} leaves out {f}" for f in job.outputs - job.written]
        handed = set().union(*map(leaves, job.stage.keys)) if job.stage.keys else set()
        found += [f"{name} reads {key}, which it is not given" for key in job.keys - handed]
    return sorted(set(found))


def superfluous(jobs: list[Job]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Inputs that no job of a stage opens, and keys that no job reads, by stage."""
    files: dict[str, set[str]] = defaultdict(set)
    keys: dict[str, set[str]] = {}
    for job in jobs:
        opened = {f for f in job.inputs if any(o == f or o.startswith(f"{f}/") for o in job.opened)}
        files[job.stage.name] |= job.inputs - opened
        handed = set().union(*map(leaves, job.stage.keys)) if job.stage.keys else set()
        keys.setdefault(job.stage.name, handed).difference_update(job.keys)
    return {n: f for n, f in files.items() if f}, {n: k for n, k in keys.items() if k}
