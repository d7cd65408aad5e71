"""Paths in a configuration file are relative to the file, wherever a command is run."""

import json
from pathlib import Path

import pytest
import yaml

from meiflow.config.config import load_config, written_config
from meiflow.config.given_paths import resolve_paths, with_paths

OF_SESSION = {
    name: f"{name}.csv"
    for name in ("trials", "gabors", "static_gratings", "drifting_gratings", "flashes")
}
EVERY = {
    "session": {
        "source": "tables",
        **OF_SESSION,
        "nwb": "session.nwb",
        "images": "images.npy",
        "movies": {
            "counts": "m.csv",
            "stacks": "stacks",
            "shown": ["a"],
            "width_deg": 9.0,
            "height_deg": 9.0,
        },
        "sensorium": {"folder": "scan"},
        "simulation": {"truth": "t.pth", "judge": "j.pth"},
    },
    "sessions": ["a", {"id": "b", "trials": "b.csv"}],
    "model": {"network": {"core": "core.pth"}, "custom_files": ["weights"]},
    "experiments": {"custom_files": ["e.csv"]},
    "movie": {"custom_files": ["f.pt"]},
    "stimuli": {"natural_images": "more"},
}


def texts(value):
    """All text in a document with the keys that lead there."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if isinstance(inner, dict | list):
            yield from ((f"{key}.{more}", text) for more, text in texts(inner))
        elif isinstance(inner, str):
            yield str(key), inner


def test_every_path_is_relative_to_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"session.source", "sessions.0", "sessions.1.id", "session.movies.shown.0"}
    before, after = dict(texts(EVERY)), dict(texts(resolve_paths(EVERY, "lab/own.yaml")))
    assert after == {k: v if k in names else f"lab/{v}" for k, v in before.items()}
    # from elsewhere they are absolute, and so are those that are written so
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    away = resolve_paths({"session": {"nwb": "a.nwb", "images": "/data"}}, tmp_path / "own.yaml")
    assert away == {"session": {"nwb": str(tmp_path / "a.nwb"), "images": "/data"}}


@pytest.mark.parametrize("core", ["auto", None, "sensorium", "module:function"])
def test_a_core_that_is_no_file_is_no_path(core):
    document = {"model": {"network": {"core": core}}}
    assert resolve_paths(document, "lab/own.yaml") == document


@pytest.mark.parametrize("document", [None, [], 3, {"session": 3}, {"session": {"images": 3}}])
def test_invalid_values_are_left_for_the_check(document):
    assert resolve_paths(document, "lab/own.yaml") == document


def test_a_file_is_resolved_and_text_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lab").mkdir()
    document = {"session": {"source": "tables", "trials": "a.csv"}}
    Path("lab/own.yaml").write_text(yaml.safe_dump(document))
    assert written_config("lab/own.yaml").session.trials == "lab/a.csv"
    assert written_config(json.dumps(document)).session.trials == "a.csv"
    # what a rule hands to a stage is not resolved twice
    nwb = {"session": {"nwb": "lab/a.nwb"}}
    assert load_config(json.dumps(nwb)).session.nwb == "lab/a.nwb"


def test_each_file_and_the_command_line_have_their_own_folder():
    """As Snakemake merges them: config.yaml, the files of --configfile, then --config."""
    base = {"session": {"images": "a", "trials": "a.csv", "nwb": None}, "seed": 1}
    more = {"session": {"trials": "b.csv", "gabors": "g.csv"}}
    last = {"session": {"gabors": "h.csv"}}
    of_snakemake = {
        "session": {"images": "a", "trials": "b.csv", "nwb": "c.nwb", "gabors": "h.csv"},
        "seed": 1,
    }
    files = [("config.yaml", base), ("lab/b.yaml", more), ("other/c.yaml", last), ("d.yaml", None)]
    assert with_paths(of_snakemake, files)["session"] == {
        "images": "a",
        "trials": "lab/b.csv",
        "nwb": "c.nwb",
        "gabors": "other/h.csv",
    }
