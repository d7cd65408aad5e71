"""Ids reach the workflow as they are written, although Snakemake parses the files as well."""

from __future__ import annotations

import pytest

from tests.workflow.test_run import jobs

pytestmark = pytest.mark.workflow


def test_snakemake_refuses_what_the_command_refuses(project):
    """Snakemake parses the file as well, and knows nothing of ids."""
    (project.folder / "ids.yaml").write_text("session:\n  id: 0123\n")
    done = project.snakemake("-n", "--configfile", "small.yaml", "ids.yaml")
    assert done.returncode != 0
    message = "ids.yaml: session.id (line 2): YAML reads 0123 as 83; quote it: '0123'"
    assert message in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("given", ["session={id: 0123}", "session={'id': '0123'}"])
def test_ids_on_the_command_line_stay_as_they_are_written(project, given):
    done = project.snakemake(
        *("-n", "--configfile", "small.yaml", "--config", given, "--"),
        "results/0123/tables/trials.csv",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert jobs(done.stdout)["tables"] == 1
