"""Experiments on models: what a physiologist would do with a neuron.

Everything public can be imported from here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from meiflow.lazy import lazy_exports

_PUBLIC = {
    "experiment": ("Experiment", "responder", "run"),
    "scale": ("at_preferred_frequency",),
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
__all__, __getattr__, __dir__ = lazy_exports(__name__, _PUBLIC)
