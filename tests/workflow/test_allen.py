"""``session.source: allen`` as a user runs it, with the loopback warehouse."""

from __future__ import annotations

import shutil

import h5py
import pandas as pd
import pytest

from tests.session.test_old_session import OLD
from tests.session.warehouse import (
    SESSION,
    show_gratings_and_flashes,
    show_movie,
    warehouse,
)

pytestmark = [pytest.mark.workflow, pytest.mark.thorough]


@pytest.fixture
def server(tmp_path):
    """A session in the released format with the id that the warehouse knows."""
    path = tmp_path / "released.nwb"
    shutil.copy(OLD, path)
    with h5py.File(path, "r+") as file:
        file["identifier"][()] = str(SESSION)
    show_movie(path)
    show_gratings_and_flashes(path)
    with warehouse(path) as running:
        yield running


def test_download_to_tables_and_never_twice(project, server):
    project.configure(
        "allen.yaml",
        {
            "session": {
                "source": "allen",
                "id": str(SESSION),
                "area": "VISam",
                "warehouse": server.address,
                "bucket": server.bucket,
                "movies": {"shown": ["natural_movie_one"]},
            },
            "model": {"network": {"core": None}},
        },
    )
    target = f"results/{SESSION}/tables/tuning.csv"
    command = (target, "--cores", "2", "--configfile", "allen.yaml")
    done = project.snakemake(*command)
    assert done.returncode == 0, done.stdout[-3000:]
    tables = project.folder / "results" / str(SESSION) / "tables"
    names = {path.name for path in tables.iterdir()}
    assert {"trials.csv", "gabor_responses.csv", "grating_responses.csv", "images.json"} <= names
    assert {"movie_responses.csv", "movies.npy"} <= names
    assert {"drifting_responses.csv", "flash_trials.csv"} <= names
    assert len(pd.read_csv(tables / "movie_responses.csv")) == 3
    assert pd.read_csv(tables / "trials.csv")["neuron_id"].nunique() == 5
    assert "pupil_area_px" in pd.read_csv(tables / "presentations.csv")

    # the results may be deleted; the download, which took hours, is kept and checked
    asked = len(server.asked)
    shutil.rmtree(project.folder / "results")
    again = project.snakemake(*command)
    assert again.returncode == 0, again.stdout[-3000:]
    assert not [p for p in server.asked[asked:] if p.endswith(".nwb") or "download/" in p]

    master = project.folder / "data" / "allen" / f"session_{SESSION}" / f"session_{SESSION}.nwb"
    content = bytearray(master.read_bytes())
    content[-1000:] = bytes(1000)
    master.write_bytes(content)
    shutil.rmtree(project.folder / "results")
    broken = project.snakemake(*command)
    assert broken.returncode != 0
    assert "changed or damaged since the download" in broken.stdout
    assert master.read_bytes() == bytes(content)
