"""Download, opening, counting and tables at the released size, compared with AllenSDK.

``python -m benchmarks.full_size`` writes a session of 825 units on 6 probes of 374 channels, with
42 million spikes, 15,595 parametric or natural-scene presentations and two natural movies (a few
minutes and 2 GB of disk, in a temporary folder), and then

1. downloads it from a server on this machine and builds its tables with ``meiflow``, without and
   with the movies;
2. opens it and counts the spikes of the VISam units from 0 to 0.25 s after each natural scene, with
   meiflow and with AllenSDK, each in a separate process, and checks that the counts are equal.

It prints seconds, ratios and peak resident memory. ``--units 80`` makes a small file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tests.session.warehouse import SESSION, warehouse

from meiflow.config.config import parse_config
from meiflow.results.layout import Layout
from meiflow.results.tables import read_trials
from meiflow.session.schedule import build_schedule
from meiflow.session.source import session_files
from meiflow.simulation.nwb_writer import Recording, write_nwb

AREAS = ("VISam", "VISp", "VISl", "VISal", "CA1", "LGd")
CHANNELS = 374
SPIKES_PER_UNIT = 51_500
# Frames and passes, as in a released session.
MOVIES = {"natural_movie_one": (900, 20), "natural_movie_three": (3600, 10)}

OURS = """
from meiflow.config.sections import Quality
from meiflow.session.recording import read_session
from meiflow.tables.counts import count_spikes
start = time.perf_counter()
session = read_session(path, ("VISam",), Quality())
opened = time.perf_counter() - start
onset = session.scenes["start_time"].to_numpy()
start = time.perf_counter()
counts = count_spikes(session.spike_times, onset, onset + 0.25)
counted = time.perf_counter() - start
"""
ALLEN = """
from meiflow.session.sdk import ecephys_project
ecephys_project()
from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
start = time.perf_counter()
session = EcephysSession.from_nwb_path(str(path))
units = session.units
units = units.index[units["structure_acronym"] == "VISam"].sort_values().to_numpy()
ids = session.get_stimulus_table("natural_scenes").index.to_numpy()
session.spike_times
opened = time.perf_counter() - start
start = time.perf_counter()
"""
BINNED = """
counts = session.presentationwise_spike_counts([0.0, 0.25], ids, units).to_numpy()[:, 0, :]
counted = time.perf_counter() - start
"""
LISTED = """
spikes = session.presentationwise_spike_times(ids, units)
spikes = spikes[spikes["time_since_stimulus_presentation_onset"] <= 0.25]
counts = spikes.groupby(["stimulus_presentation_id", "unit_id"]).size().unstack(fill_value=0)
counts = counts.reindex(index=ids, columns=units, fill_value=0).to_numpy()
counted = time.perf_counter() - start
"""
# The process reads its own peak: that of wait4 includes the parent's memory at the fork.
PEAK = """
import atexit, re, runpy, sys
def report():
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], flush=True)
atexit.register(report)
"""
STAGE = PEAK + "runpy.run_module('meiflow.cli.app', run_name='__main__')"
FRAME = (
    PEAK
    + """
import json, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
path = Path(sys.argv[1])
{body}
import numpy as np
np.save(sys.argv[2], counts.astype(np.int64))
print(json.dumps([opened, counted]))
"""
)


def write_session(path: Path, n_units: int, session_id: int) -> None:
    """Write a session of uniformly random spikes, otherwise as large as a released file."""
    rng = np.random.default_rng(0)
    schedule = build_schedule(118, 50, 15, 50, rng, MOVIES)
    tables, end_s = schedule.tables, schedule.end_s
    probes = []
    for number, area in enumerate(AREAS):
        ids = 850_000_000 + 1000 * number + np.arange(CHANNELS)
        probe = {"probe_id": 760_000_000 + number, "probe_name": f"probe{'ABCDEF'[number]}"}
        place = {"local_index": np.arange(CHANNELS), "probe_vertical_position": 20}
        place |= {"probe_horizontal_position": 11, "location": area, "x": 1.0, "y": 1.0, "z": 1.0}
        probes.append(pd.DataFrame(probe | place, index=ids))
    channels = pd.concat(probes)
    peak = channels.index.to_numpy()[np.arange(n_units) * len(channels) // n_units]
    units = pd.DataFrame(
        {
            "peak_channel_id": peak,
            "local_index": channels.loc[peak, "local_index"].to_numpy(),
            "cluster_id": np.arange(n_units),
            "quality": "good",
            "isi_violations": 0.1,
            "presence_ratio": 0.99,
            "amplitude_cutoff": 0.01,
            "snr": 2.0,
        },
        index=950_000_000 + np.arange(n_units),
    )
    times = np.arange(0, end_s, 1 / 60)
    n_spikes = rng.poisson(SPIKES_PER_UNIT, n_units)
    trains = {
        int(u): np.sort(rng.uniform(0, end_s, n))
        for u, n in zip(units.index, n_spikes, strict=True)
    }
    write_nwb(
        Recording(
            session_id, channels, units, trains, tables, times, np.sin(times / 10), float(end_s)
        ),
        path,
        0,
    )


def child(code: str, *arguments: str) -> tuple[list[str], float, float]:
    """Printed lines, seconds and peak resident memory (GB) of a separate process."""
    start = time.perf_counter()
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    *lines, peak = done.stdout.splitlines()
    return lines, time.perf_counter() - start, int(peak.split()[1]) / 1e6


def chain(nwb: Path, folder: Path) -> None:
    """Download the session and build its tables with the commands of the workflow."""
    with warehouse(nwb) as server:
        session = {"source": "allen", "id": str(SESSION), "bucket": server.bucket}
        movies: dict[str, list[str]] = {
            "shown": []
        }  # those of the server are not of the released size
        config = {"session": session | {"warehouse": server.address, "movies": movies}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        results, data = Layout(folder / "results"), folder / "data"
        files = session_files(parse_config(config), results.root, data)
        common = [f"--config={folder / 'config.yaml'}", f"--results={results.root}"]
        tables = [f"--images={files.images}", f"--nwb={files.nwb}"]
        for name, stage, more in (
            ("download", "download", [f"--data={data}"]),
            ("tables", "tables", tables),
            ("tables with movies", "tables", [*tables, f"--movies={draw_movies(folder)}"]),
        ):
            if name == "tables with movies":
                del config["session"]["movies"]
                (folder / "config.yaml").write_text(yaml.safe_dump(config))
            _, seconds, memory = child(STAGE, stage, *common, *more)
            print(f"meiflow {name}: {seconds:.1f} s, peak {memory:.2f} GB")
        start = time.perf_counter()
        read_trials(results)
        size = results.trials.stat().st_size / 1e6
        print(f"trials.csv: {size:.0f} MB, read and checked in {time.perf_counter() - start:.2f} s")


def draw_movies(folder: Path) -> Path:
    """Movies of the released size, whose frames are uniformly random."""
    stacks = folder / "movies"
    stacks.mkdir()
    rng = np.random.default_rng(1)
    for name, (frames, _) in MOVIES.items():
        np.save(stacks / f"{name}.npy", rng.integers(0, 256, (frames, 304, 608), np.uint8))
    return stacks


def compare(nwb: Path, folder: Path) -> None:
    """Open and count in three ways."""
    seconds, counts = {}, {}
    for name, body in (
        ("meiflow", OURS),
        ("AllenSDK presentationwise_spike_counts", ALLEN + BINNED),
        ("AllenSDK presentationwise_spike_times", ALLEN + LISTED),
    ):
        saved = folder / "counts.npy"
        lines, _, memory = child(FRAME.replace("{body}", body), str(nwb), str(saved))
        opened, counted = json.loads(lines[-1])
        seconds[name], counts[name] = (opened, counted), np.load(saved)
        mine = seconds["meiflow"]
        print(
            f"{name}: open {opened:.1f} s ({opened / mine[0]:.1f} x), count {counted:.3f} s "
            f"({counted / mine[1]:.1f} x), together {(opened + counted) / sum(mine):.1f} x, "
            f"peak {memory:.2f} GB"
        )
        np.testing.assert_array_equal(counts[name], counts["meiflow"])
    shape = counts["meiflow"].shape
    print(f"{shape[0]} presentations x {shape[1]} units: all counts are equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=825)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nwb = folder / "session.nwb"
        write_session(nwb, arguments.units, SESSION)
        print(f"session file: {nwb.stat().st_size / 1e9:.2f} GB")
        chain(nwb, folder)
        compare(nwb, folder)


if __name__ == "__main__":
    main()
