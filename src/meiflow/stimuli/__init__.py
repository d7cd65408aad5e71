"""Optimal stimuli for any differentiable model of images or movies.

All public names can be imported from here; heavy modules are imported only when used.
"""

from __future__ import annotations

from meiflow.lazy import lazy_exports

_PUBLIC = {
    "optimiser": ("optimise", "Optimised", "Trace"),
    "objectives": (
        "Channel",
        "Contrast",
        "Diverse",
        "Each",
        "Increase",
        "Last",
        "Mean",
        "SliceMean",
        "Suppress",
        "Weighted",
        "correlations",
        "ensemble",
        "layer_output",
    ),
    "regularisers": (
        "ContrastPenalty",
        "GreyDistance",
        "Laplacian",
        "Norm",
        "Range",
        "SpectrumMatch",
        "TotalVariation",
    ),
    "postprocessors": (
        "Clip",
        "Jitter",
        "Mask",
        "MeanContrast",
        "MinMax",
        "NormClip",
        "SpatialBlur",
        "TemporalLowPass",
    ),
    "preconditioning": (
        "FourierFilter",
        "Tangent",
        "UnitMeanAbs",
        "UnitNorm",
        "UnitStd",
        "featurevis_gain",
        "notebook_gain",
        "power_law",
        "smoothing",
        "walker_gain",
    ),
    "parameterisation": ("Fourier",),
    "stoppers": ("Iterations", "PixelChange", "Plateau"),
    "updates": ("Ascent", "TorchOptimiser"),
    "schedules": ("Constant", "Linear", "Recursive"),
    "mei": ("most_exciting", "noise_starts"),
    "published": ("notebook_mei", "walker_mei"),
    "diverse": ("diverse_images",),
    "natural": ("best_of", "fade", "matched_naturals"),
    "receptive_field": ("gradient", "gradient_field", "linear_field"),
    "movie": ("most_exciting_movie",),
}
__all__, __getattr__, __dir__ = lazy_exports(__name__, _PUBLIC)
