"""The profile knows every rule; needs no SLURM."""

from __future__ import annotations

import re
from typing import get_args

import pytest
import yaml

from meiflow.config.sections import Procedure
from tests.project import ROOT
from tests.slurm import cluster

PROFILE = yaml.safe_load((ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text())


def rules() -> set[str]:
    """Names of all rules that are submitted, whatever the configuration."""
    text = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    named = re.findall(r"^ *(?:rule|checkpoint) (\w+):", text, flags=re.M)
    (local,) = re.findall(r"^localrules:\n((?: +\w+,\n)+)", (ROOT / "Snakefile").read_text(), re.M)
    here = re.findall(r"\w+", local)
    return (set(named) | set(get_args(Procedure))) - set(here)


def test_every_rule_asks_for_more_when_it_is_tried_again() -> None:
    """A rule without an entry would ask for the same again, and run out of it again."""
    assert set(PROFILE["set-resources"]) == rules()
    for asked in [*PROFILE["set-resources"].values(), PROFILE["default-resources"]]:
        assert re.fullmatch(r"\d+ \* attempt", asked["mem_mb"])
        assert re.fullmatch(r"\d+ \* attempt", asked["runtime"])
    assert PROFILE["retries"] >= 1


def test_there_are_no_groups() -> None:
    """Behind checkpoints Snakemake 9.27 left jobs of groups out, and ended as if all were done."""
    assert not {"groups", "group-components"} & set(PROFILE)


def test_the_toy_cluster_leaves_another_slurm_alone(monkeypatch, tmp_path) -> None:
    conf = tmp_path / "slurm.conf"
    conf.write_text("ClusterName=institute\n")
    monkeypatch.setattr(cluster, "CONF", conf)
    monkeypatch.setattr(cluster.os, "geteuid", lambda: 0)
    monkeypatch.setattr(cluster, "DEBIAN", conf)
    monkeypatch.setattr(cluster, "HOME", tmp_path / "home")
    with pytest.raises(cluster.ClusterError, match="is there and not ours"):
        cluster.start()
    cluster.stop()
    assert conf.read_text() == "ClusterName=institute\n"
    monkeypatch.setattr(cluster.os, "geteuid", lambda: 1000)
    with pytest.raises(cluster.ClusterError, match="needs root"):
        cluster.start()
