"""`selection.exclude` as the CSV of verdicts that a report saves."""

import pytest

from meiflow.config.config import load_config, resolved
from meiflow.errors import MeiflowError

GOOD = 'neuron_id,verdict,note\n7,reject,"noise, drift"\n8,believe,\n9,unsure,maybe\n10,,a note\n'


def load(folder, csv, key="exclude: lists/mine.csv"):
    (folder / "lists").mkdir(exist_ok=True)
    if csv is not None:
        (folder / "lists" / "mine.csv").write_text(csv, encoding="utf-8")
    (folder / "mine.yaml").write_text(f"selection: {{{key}}}\n")
    return load_config(folder / "mine.yaml")


def test_rejected_neurons_are_excluded_and_a_stage_gets_their_ids(tmp_path, monkeypatch):
    """The path is relative to the YAML, and the saved configuration needs no file."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load(tmp_path, GOOD)
    assert config.selection.exclude == ["7"]
    assert '"exclude":["7"]' in resolved(config, "selection")
    assert load(tmp_path, "\ufeffneuron_id\r\n7\r\n8\r\n").selection.exclude == ["7", "8"]
    assert load(tmp_path, None, "exclude: [7]").selection.exclude == ["7"]


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        (None, r"selection.exclude: \S*mine.csv: does not exist; give a list of ids, or the CSV"),
        ("", "no column neuron_id"),
        ("id,verdict\n7,reject\n", "no column neuron_id; the columns are id, verdict"),
        (GOOD + "7,unsure,\n", r"duplicate neuron '7' \(line 6\); remove one"),
        ("neuron_id,verdict\n7,no\n", r"verdict 'no' \(line 2\); allowed: believe, unsure, reject"),
        ("neuron_id,verdict\n7\n", "line 2 has 1 cells, not 2"),
        ("neuron_id\n../7\n", r"invalid neuron id '../7' \(line 2\)"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, csv, message):
    with pytest.raises(MeiflowError, match=message):
        load(tmp_path, csv)


def test_a_neuron_is_not_both_included_and_rejected(tmp_path):
    with pytest.raises(MeiflowError, match="'7' is also in exclude"):
        load(tmp_path, GOOD, "include: [7], exclude: lists/mine.csv")
