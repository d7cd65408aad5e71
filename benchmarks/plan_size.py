"""What the plan of many sessions costs Snakemake: time, memory and number of jobs.

``python -m benchmarks.plan_size 2x50 4x100 8x150`` lays out that many sessions of that many fitted
neurons, as empty files up to the models and the search for Gabors, and plans the rest
(``snakemake --dry-run``). Nothing of science is computed. For each size it plans everything, and
one session of the same list. ``--results results/demo`` prints what a neuron of a finished session
takes on disk instead. ``--folder`` keeps the folder; ``--profile FILE`` writes a profile of
the last plan of everything, which takes about twice as long with it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from benchmarks.ten_sessions import ROOT

from meiflow.results.layout import Layout

# Stages that are done, in their order.
DONE = (
    *("simulate", "tables", "selection", "selection_figures", "fit_models", "fitted_neurons"),
    *("learning_curve", "nuisances", "provenance", "gabor_search"),
)


def lay_out(folder: Path, sessions: list[str], neurons: int) -> None:
    """A project whose sessions have everything up to the neurons' stimuli, as empty files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    frames = 4  # each image of a simulated session is an output; those of recordings are not
    document = {"sessions": sessions, "session": {"simulation": {"frames": frames}}}
    (folder / "sessions.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    rows = "".join(f"n{n:04d},True,fitted,\n" for n in range(neurons))
    for session in sessions:
        layout = Layout(folder / "results" / session)
        paths: dict[str, list[Path]] = {stage: [] for stage in DONE}
        for name, file in Layout.files().items():
            if file.stage in paths and name not in ("scenes", "movies"):
                paths[file.stage].append(getattr(layout, name))
        paths["simulate"] += [layout.scenes / f"{n:03d}.png" for n in range(frames)]
        paths["selection_figures"] = layout.selection_figures(*layout.figures_of_selection)
        paths["gabor_search"] = list(layout.procedure("best_gabors"))
        for age, stage in enumerate(reversed(DONE)):
            for path in paths[stage]:
                path.parent.mkdir(parents=True, exist_ok=True)
                listed = stage in ("selection", "fitted_neurons") and path.suffix == ".csv"
                path.write_text("neuron_id,selected,status,reason\n" + rows if listed else "")
                made = time.time() - 100 - 10 * age
                os.utime(path, (made, made))


def plan(folder: Path, targets: list[str], profile: Path | None = None) -> dict[str, float]:
    """Jobs, wall and CPU seconds and peak memory (MB) of a dry run."""
    # a process of its own, because the peak memory is that of all children so far
    command = [sys.executable, "-m", "snakemake"]
    if profile:
        command = [sys.executable, "-m", "cProfile", "-o", str(profile), "-m", "snakemake"]
    options = ["--dry-run", "--quiet", "rules", "--cores", "2", "--configfile", "sessions.yaml"]
    begin = time.monotonic()
    with (folder / "plan.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *options, "--", *targets], cwd=folder, stdout=log, stderr=log
        )
        _, status, used = os.wait4(process.pid, 0)
    text = (folder / "plan.log").read_text(encoding="utf-8")
    found = re.findall(r"^total\s+(\d+)$", text, re.MULTILINE)
    if status or not found:
        sys.exit(text[-3000:])
    return {
        "jobs": int(found[0]),
        "wall_s": time.monotonic() - begin,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_mb": used.ru_maxrss / 1024,
    }


def on_disk(results: Path) -> None:
    """Print the files and bytes of a neuron of a finished session, mean over neurons."""
    neurons = [path for path in (results / "neurons").iterdir() if path.is_dir()]
    files = [path for neuron in neurons for path in neuron.iterdir()]
    vectors = {path.with_suffix("") for path in files if path.suffix == ".svg"}
    pictures = [path for path in files if path.suffix in (".svg", ".png")]
    figures = [path for path in pictures if path.with_suffix("") in vectors]
    more = [p for name in ("logs", "benchmarks") for p in results.glob(f"{name}/neurons/*/*")]
    for what, paths in (("all", files), ("figures", figures), ("logs and times", more)):
        size = sum(path.stat().st_size for path in paths) / len(neurons)
        print(f"{what}: {len(paths) / len(neurons):.1f} files, {size / 1e6:.2f} MB per neuron")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["2x50", "4x100"], help="sessions x neurons")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--results", type=Path, help="a finished session, to be measured instead")
    given = parser.parse_args()
    if given.results:
        on_disk(given.results)
        return
    folder = given.folder or Path(tempfile.mkdtemp()) / "plan"
    for size in given.sizes:
        count, neurons = map(int, size.split("x"))
        sessions = [f"mouse{i + 1:02d}" for i in range(count)]
        lay_out(folder, sessions, neurons)
        for what, targets in (("all", ["all"]), ("one", [f"results/{sessions[-1]}/report.html"])):
            found = plan(folder, targets, given.profile if what == "all" else None)
            print(size, what, {k: round(v, 1) for k, v in found.items()}, flush=True)


if __name__ == "__main__":
    main()
