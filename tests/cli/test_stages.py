"""Commands of the stages: what each passes to the stage's function."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from meiflow.cli import stages as commands
from meiflow.cli.app import app
from meiflow.errors import MeiflowError
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.registry import STAGES

SAID = {
    "has": (["--has", "gabors,truth"], SessionHas(gabors=True, truth=True)),
    "neuron": (["--neuron", "7"], "7"),
    "neurons": (["--neuron", "7", "--neuron", "8"], ["7", "8"]),
    "threads": (["--threads", "3"], 3),
    "allow_empty": (["--allow-empty"], True),
    "any_area": (["--any-area"], True),
    "images": (["--images", "frames"], Path("frames")),
    "nwb": (["--nwb", "s.nwb"], Path("s.nwb")),
    "movies": (["--movies", "films"], Path("films")),
    "data": (["--data", "downloads"], Path("downloads")),
    "inputs": (["a", "b"], [Path("a"), Path("b")]),
}
NEEDED = ("neuron", "images", "inputs")


class _Module:
    """Module whose functions are all created by `record`."""

    def __init__(self, record):
        self.record = record

    def __getattr__(self, name):
        return self.record(name)


@pytest.fixture
def called(monkeypatch):
    """Recorded calls that replace the stage functions: module, function, arguments."""
    calls = []

    def load(module):
        def record(name):
            return lambda *given, **named: calls.append((f"{module}:{name}", given, named))

        return _Module(record)

    monkeypatch.setattr(commands, "import_module", load)
    before = torch.get_num_threads()
    yield calls
    torch.set_num_threads(before)


def invoke(stage, results, options):
    arguments = [stage.command, "--results", str(results)]
    arguments += ["--config", json.dumps({"seed": 5})] if stage.keys else []
    for name in options:
        arguments += SAID[name][0]
    done = CliRunner().invoke(app, arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", STAGES)
def test_a_command_passes_on_its_options(name, called, tmp_path):
    stage = STAGES[name]
    options = [option for option in stage.options if option != "name"]
    torch.set_num_threads(2)
    invoke(stage, tmp_path, options)
    ((function, given, named),) = called
    assert function == f"meiflow.stages.{stage.call}"
    assert [value.seed for value in given[:-1]] == ([5] if stage.keys else [])
    if stage.sessions:
        assert given[-1] == tmp_path
    else:
        assert isinstance(given[-1], Layout)
        assert given[-1].root == tmp_path
    expected = {option: SAID[option][1] for option in options}
    assert named == expected | ({"name": name} if "name" in stage.options else {})
    # the last bits of a sum depend on the number of threads
    assert torch.get_num_threads() == (1 if stage.gradients else 2)


@pytest.mark.parametrize("name", STAGES)
def test_options_that_are_not_given_have_defaults(name, called, tmp_path):
    stage = STAGES[name]
    invoke(stage, tmp_path, [option for option in stage.options if option in NEEDED])
    ((_, _, named),) = called
    defaults = {"has": SessionHas(), "neurons": None, "threads": 1, "allow_empty": False}
    defaults |= {"any_area": False, "nwb": None, "data": Path("data")}
    for option in set(stage.options) & set(defaults):
        assert named[option] == defaults[option]


def test_what_a_session_has_is_found_unless_given(called, small_results):
    stage = STAGES["summary"]
    invoke(stage, small_results.root, [])
    assert called.pop()[2]["has"] == SessionHas(True, True, True, False, True)
    invoke(stage, small_results.root, ["has"])
    assert called.pop()[2]["has"] == SAID["has"][1]
    with pytest.raises(MeiflowError, match="--has: unknown Gabors"):
        CliRunner().invoke(
            app,
            ["summary", "--config", "{}", "--results", str(small_results.root), "--has", "Gabors"],
            catch_exceptions=False,
        )


@pytest.mark.parametrize("name", ["stimuli", "experiments"])
def test_a_name_that_leads_outside_is_refused(name, called, tmp_path):
    command = [name, "--config", "{}", "--results", str(tmp_path), "--neuron", "../x"]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, MeiflowError)
    assert "--neuron '../x'" in str(done.exception)
    assert not called
