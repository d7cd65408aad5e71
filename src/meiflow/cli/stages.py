"""Commands for all stages, generated from the registry."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import typer

from meiflow.cli import options
from meiflow.cli.process import measured
from meiflow.config.config import load_config
from meiflow.config.names import PROCEDURES
from meiflow.stages.registry import STAGES
from meiflow.stages.stage import Stage

ONE_STAGE, STIMULI = "One stage", "Stimuli"
_NO_DEFAULT = Parameter.empty
_STIMULI = ("gabor_search", "stimuli", "movie")
# Argument of a stage -> option and default.
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "has": (options.HasOption, None),
    "neuron": (options.NeuronOption, _NO_DEFAULT),
    "neurons": (options.NeuronsOption, None),
    "threads": (options.ThreadsOption, 1),
    "allow_empty": (options.EmptyOption, False),
    "any_area": (options.AnyAreaOption, False),
    "images": (options.ImagesOption, None),
    "nwb": (options.NwbOption, None),
    "movies": (options.MoviesOption, None),
    "data": (options.DataOption, Path("data")),
    "inputs": (options.InputsArgument, _NO_DEFAULT),
}


def _run(stage: Stage, results: Any, given: dict[str, Any]) -> None:
    if stage.gradients:
        one_thread()
    from meiflow.results.has import SessionHas

    if "has" in given:
        text = given["has"]
        given["has"] = SessionHas.found(results) if text is None else SessionHas.parse(text)
    if "name" in stage.options:
        given["name"] = stage.name
    config = [load_config(given.pop("config"))] if stage.keys else []
    module, _, function = stage.call.partition(":")
    call = getattr(import_module(f"meiflow.stages.{module}"), function)
    with _device(config[0].device) if "device" in stage.keys else nullcontext():
        call(*config, results, **given)


def _device(name: str) -> AbstractContextManager[None]:
    from meiflow.models.device import computing_on

    return computing_on(name)


def _command(stage: Stage) -> Callable[..., None]:
    def run(**given: Any) -> None:
        from meiflow.results.layout import Layout
        from meiflow.stages.outdated import mark_report

        root, neuron = given.pop("results"), given.get("neuron")
        if stage.sessions:
            _run(stage, root, given)
            return
        results = Layout(root)
        with measured(results.timing(stage.name, neuron)):
            _run(stage, results, given)
        mark_report(results, stage.name, neuron)

    shared: dict[str, Any] = {"results": options.ResultsOption}
    if stage.keys:
        shared = {"config": options.ConfigOption} | shared
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=option)
        for name, option in shared.items()
    ]
    for name in stage.options:
        if name in _OPTIONS:
            option, default = _OPTIONS[name]
            parameters.append(
                Parameter(name, Parameter.KEYWORD_ONLY, annotation=option, default=default)
            )
    run.__doc__ = stage.about
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def one_thread() -> None:
    """Use one thread, because the last bits of sums depend on the number of threads."""
    import torch

    torch.set_num_threads(1)


def register(app: typer.Typer) -> None:
    """Add a command for every stage."""
    for stage in STAGES.values():
        stimuli = stage.name in _STIMULI or stage.name in PROCEDURES
        panel = STIMULI if stimuli else ONE_STAGE
        app.command(stage.command, rich_help_panel=panel)(_command(stage))
