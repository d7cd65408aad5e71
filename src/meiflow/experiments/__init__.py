"""Experiments on models: what a physiologist would do with a neuron.

Everything public can be imported from here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "experiment": ("Experiment", "responder", "run"),
    "standard": ("Preferred", "standard_experiments"),
    "analysis": (
        "field_of_map",
        "frequency_tuning",
        "half_contrast",
        "naka_rushton",
        "opponency",
        "orientation_tuning",
        "phase_tuning",
        "shift_invariance",
        "size_tuning",
        "suppression",
    ),
    "measures": ("curve", "maps", "phase_measure", "summarise"),
    "gradients": ("GradientGrid", "equalise_channels", "response_gradient_grid"),
}
_MODULE = {name: f"{__name__}.{module}" for module, names in _PUBLIC.items() for name in names}
_MODULE["Geometry"] = "meiflow.geometry"
__all__ = sorted(_MODULE)  # noqa: PLE0605  made from the table above


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
