"""Rules and stages agree: what a stage opens and reads is what its rule declares and hands over."""

from __future__ import annotations

import pytest

from tests.audit import check

pytestmark = pytest.mark.workflow

# Not seen, or read only where the small session does not lead.
NOT_OPENED = {
    # HDF5 opens files itself
    "tables": {"results/demo/session/session.nwb"},
}
NOT_READ = {
    # another source of the session
    "tables": {"session.trials", "session.gabors", "session.static_gratings"},
    # convolutional networks are not fitted there
    "fit_models": {key for key in check.leaves("model.network") if key != "model.network.core"},
    "learning_curve": {key for key in check.leaves("model.network")},
}


@pytest.fixture(scope="module")
def jobs(finished):
    found = check.read_jobs(finished.folder, finished.notes)
    assert len(found) > 20
    return found


def test_no_stage_opens_or_reads_what_its_rule_does_not_hand_over(jobs):
    assert check.faults(jobs) == []


def test_no_rule_hands_over_what_its_stage_does_not_use(jobs):
    files, keys = check.superfluous(jobs)
    files = {name: f - NOT_OPENED.get(name, set()) for name, f in files.items()}
    keys = {name: k - NOT_READ.get(name, set()) for name, k in keys.items()}
    assert {n: f for n, f in files.items() if f} == {}
    assert {n: k for n, k in keys.items() if k} == {}
