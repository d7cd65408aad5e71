"""Ids stay as they are written in the YAML file, or are refused with what to write instead."""

from __future__ import annotations

import pytest

from meiflow.config.config import load_config
from meiflow.errors import MeiflowError


def load(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("12_3", "123"),
        ("010", "8"),
        ("0123", "83"),
        ("12:30:45", "45045"),
        ("0x1F", "31"),
        ("0b11", "3"),
        ("+5", "5"),
        ("1.0", "1.0"),
        ("1.5e+3", "1500.0"),
        (".5", "0.5"),
        (".inf", "inf"),
        ("on", "true"),
        ("NO", "false"),
        ("~", "nothing"),
        ("null", "nothing"),
    ],
)
def test_text_that_yaml_reads_as_something_else_is_refused(tmp_path, text, read):
    message = rf"YAML reads {text.replace('+', '[+]')} as {read}; quote it: '"
    for section in (
        f"session:\n  id: {text}\n",
        f"session:\n  area: [VISp, {text}]\n",
        f"selection:\n  include: [{text}]\n",
        f"selection:\n  exclude:\n    - {text}\n",
        f"sessions: [a, {text}]\n",
        f"sessions:\n  - id: {text}\n",
        f"sessions:\n  - {{id: a, simulation: {{seed: 1}}, area: {text}}}\n",
        f"report:\n  title: {text}\n",
    ):
        with pytest.raises(MeiflowError, match=rf"mine\.yaml: [\w.]+ \(line \d\): {message}"):
            load(tmp_path, section)


@pytest.mark.parametrize("text", ["12_3", "010", "0123", "0x1F", "on", "1.5"])
def test_quoted_ids_stay_as_they_are_written(tmp_path, text):
    for quote in "'\"":
        own = f"{quote}{text}{quote}"
        config = load(tmp_path, f"session: {{id: {own}}}\nselection: {{include: [{own}]}}\n")
        assert config.session.id == text
        assert config.selection.include == [text]


@pytest.mark.parametrize("text", ["950000147", "0", "08", "1e3", "a_1", "nothing", "12-3"])
def test_ids_that_look_the_same_need_no_quotes(tmp_path, text):
    config = load(tmp_path, f"session: {{id: {text}}}\nselection: {{include: [{text}]}}\n")
    assert config.session.id == text
    assert config.selection.include == [text]


@pytest.mark.parametrize(
    ("line", "read"), [("seed: 010", "8"), ("model: {folds: 1:30}", "90"), ("seed: 0_17", "15")]
)
def test_octal_and_sexagesimal_numbers_are_refused(tmp_path, line, read):
    with pytest.raises(MeiflowError, match=rf" as {read}; write the number in decimal"):
        load(tmp_path, line)


def test_numbers_and_truth_values_are_read_where_they_are_expected(tmp_path):
    config = load(
        tmp_path,
        "seed: 1_000\nmei: {contrast: 0.05}\nselection: {notebook_measures: on, top_k: ~}\n"
        "session: {trials: null, window_s: [0, 0x1]}\nmodel: {custom: ~}\n",
    )
    assert config.seed == 1000
    assert config.selection.notebook_measures
    assert config.selection.top_k is None
    assert config.session.trials is None


def test_an_alias_is_checked_where_it_is_used(tmp_path):
    with pytest.raises(MeiflowError, match=r"session\.id \(line 1\): YAML reads 1_0 as 10"):
        load(tmp_path, "seed: &x 1_0\nsession: {id: *x}\n")
