"""The profile, and the resources that the rules request; needs no SLURM."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from meiflow.config.names import PROCEDURES
from meiflow.stages.registry import STAGES
from tests.project import ROOT, make_project
from tests.slurm import cluster

PROFILE = yaml.safe_load((ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text())


def requests() -> dict[str, str]:
    """Resources of each rule as written, by rule name."""
    text = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = re.split(r"^ *(?:rule|checkpoint)\b", text, flags=re.M)[1:]
    found = {}
    for rule in rules:
        name = re.match(r"\s+(\w+):", rule) or re.search(r"^\s+name:\s+(\w+)$", rule, re.M)
        lines = re.search(r"^( +)resources:\n((?:\1 +.*\n)+)", rule, re.M)
        found[name[1]] = " ".join(lines[2].split()) if lines else ""
    return found


def test_every_rule_requests_what_its_stage_needs() -> None:
    """A rule without a request, or with that of another stage, would run out of resources."""
    asked = requests()
    # one loop creates the rules of all procedures; two rules only download, and have no stage
    assert asked.pop("NAME") == "**needs(NAME),"
    for downloads in ("sessions", "core"):
        request = asked.pop(downloads)
        assert re.search(r"mem_mb=lambda wildcards, attempt: \d+ \* attempt,", request)
        assert re.search(r"runtime=lambda wildcards, attempt: \d+ \* attempt,", request)
    assert asked.keys() == STAGES.keys() - PROCEDURES.keys()
    for name, request in asked.items():
        assert f'**needs("{name}"),' in request
    for stage in STAGES.values():
        assert stage.memory_mb >= 500
        assert stage.minutes >= 5


@pytest.mark.workflow
def test_a_retried_job_requests_more(tmp_path: Path) -> None:
    """Of the rule's request, here time, and of one on the command line that replaces it, memory."""
    project = make_project(tmp_path)
    rules = project.folder / "workflow" / "rules" / "tables.smk"
    # without a custom message, Snakemake prints the requested resources
    rules.write_text(re.sub(r"^    message:\n.*\n", "", rules.read_text(), flags=re.M))
    (project.folder / "trials.csv").write_text("no,trials\n")
    (project.folder / "images").mkdir()
    session = {"source": "tables", "trials": "trials.csv", "images": "images"}
    angle = {"width_deg": 60.0, "height_deg": 40.0}
    project.configure("own.yaml", {"session": session, "image": angle})
    target = "results/demo/tables/trials.csv"
    more = ("--retries", "1", "--set-resources", "tables:mem_mb=100*attempt")
    done = project.snakemake("--cores", "1", "--configfile", "own.yaml", *more, "--", target)
    lines = re.findall(r"^ *resources: (.*)", done.stdout, re.M)
    assert [dict(re.findall(r"\b(mem_mb|runtime)=(\d+)", line)) for line in lines] == [
        {"mem_mb": str(100 * attempt), "runtime": str(STAGES["tables"].minutes * attempt)}
        for attempt in (1, 2)
    ], done.stdout[-3000:]


def test_failed_jobs_are_retried_and_custom_rules_then_request_more() -> None:
    for asked in ("mem_mb", "runtime"):
        assert re.fullmatch(r"\d+ \* attempt", PROFILE["default-resources"][asked])
    assert PROFILE["retries"] >= 1


def test_there_are_no_groups() -> None:
    """After checkpoints Snakemake 9.27 skipped jobs of groups, and ended as if all were done."""
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
