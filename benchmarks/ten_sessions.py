"""Ten small simulated sessions as one workflow, then an eleventh: jobs and their cost.

``python -m benchmarks.ten_sessions`` (about ten minutes of CPU time; ``--sessions`` for fewer,
``--cores``, ``--folder`` to keep the results). Exits with 1 if any result of the first sessions
changed when one more was added.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG: dict[str, Any] = {
    "session": {
        "simulation": {
            "units": {"VISam": 2},
            "frames": 24,
            "repeats": 8,
            "gabor_repeats": 0,
            "grating_repeats": 0,
            "untuned_fraction": 0.0,
            "frame_height": 60,
            "frame_width": 78,
            "statistics": "ideal",
            "mean_rate_hz": 8.0,
        },
    },
    "image": {"height": 20, "width": 32},
    "model": {"base_models": ["ln"], "folds": 2, "penalties": [0.1], "learning_curve": []},
    "selection": {"oracle_p_max": 0.01, "shuffles": 200},
    "mei": {"steps": 3, "restarts": 1},
    "stimuli": {"make": []},
    "experiments": {"make": []},
    "gabor": {"wavelengths_deg": [16.0], "orientations": 3, "refine_steps": 2, "refine_top": 1},
}


def run(folder: Path, sessions: list[str], cores: int) -> tuple[float, float]:
    """Run the workflow; return wall time and CPU seconds, jobs included."""
    document = CONFIG | {"sessions": sessions}
    (folder / "sessions.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    command = ["snakemake", "--cores", str(cores), "--configfile", "sessions.yaml"]
    with (folder / "snakemake.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, stdout=log, stderr=log, check=True
        )
    wall = time.monotonic() - start
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def made(folder: Path) -> dict[str, int]:
    """Time at which each result was written."""
    results = folder / "results"
    files = [p for p in results.rglob("*") if p.is_file()]
    return {str(p.relative_to(results)): p.stat().st_mtime_ns for p in files}


def steps(folder: Path) -> int:
    """Number of jobs of the last run."""
    lines = (folder / "snakemake.log").read_text(encoding="utf-8").splitlines()
    done = [line.split()[2] for line in lines if line.endswith("done") and " steps " in line]
    return int(done[-1])


def show(folder: Path) -> None:
    """Print the cost by session and by stage."""
    cost = pd.read_csv(folder / "results" / "combined" / "cost.csv")
    columns = {"jobs": "sum", "seconds": "sum", "cpu_seconds": "sum", "max_memory_mb": "max"}
    for by in ("session_id", "stage"):
        print(cost.groupby(by, sort=False).agg(columns).round(1).to_string(), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    sessions = [f"mouse{i + 1:02d}" for i in range(given.sessions)]
    wall, cpu = run(folder, sessions, given.cores)
    print(f"{len(sessions)} sessions: {steps(folder)} jobs, {wall:.0f} s, {cpu:.0f} s of CPU\n")
    show(folder)
    before = made(folder)
    more = f"mouse{given.sessions + 1:02d}"
    wall, cpu = run(folder, [*sessions, more], given.cores)
    print(f"one more: {steps(folder)} jobs, {wall:.0f} s, {cpu:.0f} s of CPU")
    now = made(folder)
    changed = {name for name in before if now.get(name) != before[name]}
    touched = {name for name in changed if not name.startswith("combined/")}
    new = {name.split("/")[0] for name in now.keys() - before.keys()}
    print(f"unchanged: {len(before) - len(changed)} files; rewritten: {len(changed)}, all of them")
    print(f"combined results: {not touched}; folders with new files: {sorted(new)}")
    if given.folder is None:
        shutil.rmtree(folder)
    if touched or new - {more, "combined"}:
        sys.exit(f"changed: {sorted(touched)}")


if __name__ == "__main__":
    main()
