"""What a job of a run records about itself."""

from __future__ import annotations

import pandas as pd
import pytest

from meiflow.cli.process import WORKFLOW, measured
from meiflow.results.layout import Layout


def test_a_job_that_succeeds_in_a_run_records_what_it_used(tmp_path, monkeypatch):
    path = Layout(tmp_path).timing("comparison", "7")
    monkeypatch.delenv(WORKFLOW, raising=False)
    with measured(path):
        pass
    monkeypatch.setenv(WORKFLOW, "0.1.0")
    with pytest.raises(ValueError, match="no"), measured(path):
        raise ValueError("no")
    assert not path.exists()
    with measured(path):
        pass
    assert path == tmp_path / "benchmarks" / "neurons" / "7" / "comparison.tsv"
    used = pd.read_csv(path, sep="\t").iloc[0]
    assert 0 <= used["s"] < 10
    assert used["cpu_time"] > 0.1
    assert 10 < used["max_rss"] < 1e5
