"""Every stage agrees with its function, the configuration and the layout of the results."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from meiflow.config.base import Section
from meiflow.config.names import PROCEDURES
from meiflow.config.sections import Config
from meiflow.results.layout import CombinedLayout, Layout, NeuronLayout
from meiflow.stages.registry import STAGES

NAMES = list(STAGES)


def function_of(name):
    module, _, function = STAGES[name].call.partition(":")
    return getattr(import_module(f"meiflow.stages.{module}"), function)


@pytest.mark.parametrize("name", NAMES)
def test_the_function_takes_the_arguments_of_the_entry(name):
    """The configuration if it reads any, the results, and the options; nothing else is required."""
    stage = STAGES[name]
    parameters = inspect.signature(function_of(name)).parameters
    first = [*(["config"] if stage.keys else []), "results"]
    assert list(parameters)[: len(first)] == first
    assert set(stage.options) <= set(parameters)
    needed = {n for n, p in parameters.items() if p.default is inspect.Parameter.empty}
    assert needed <= {*first, *stage.options}


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_one_of_the_configuration(name):
    for key in STAGES[name].keys:
        section: type = Config
        for part in key.split("."):
            assert issubclass(section, Section), key
            section = section.model_fields[part].annotation


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_a_file_of_an_earlier_stage(name):
    made = {"": Layout.files(), "neuron": NeuronLayout.files()}
    made["figure"] = Layout.figures_of_selection
    for entry in STAGES[name].inputs:
        kind, _, rest = entry.rpartition(".")
        if kind in ("procedure", "picture"):
            assert rest in (*PROCEDURES, "best_gabors", "movies"), entry
            continue
        file = made[kind][rest]
        assert NAMES.index(file.stage) < NAMES.index(name), entry


@pytest.mark.parametrize("layout", [Layout, NeuronLayout, CombinedLayout])
def test_every_file_is_made_by_a_stage_and_has_its_own_path(layout):
    files = layout.files()
    # the list of sessions has a separate command and is not a stage of a session
    assert {file.stage for file in files.values()} - {"sessions"} <= set(STAGES)
    assert all(file.about for file in files.values())
    paths = [file.path for file in files.values()]
    assert len(set(paths)) == len(paths)


def test_a_procedure_is_a_function_of_its_name():
    from meiflow.stages import procedures

    for name in PROCEDURES:
        assert callable(getattr(procedures, name))
        assert STAGES[name].options[0] == "name"
