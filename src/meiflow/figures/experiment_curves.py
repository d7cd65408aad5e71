"""How the one-dimensional experiments are drawn."""

from __future__ import annotations

from dataclasses import dataclass

_RATIO_TOP = 2.0
BOTH = (-1.0, 1.0)


@dataclass(frozen=True)
class Curve:
    """Settings for drawing a one-dimensional experiment."""

    axis: str
    label: str
    index: str
    index_label: str
    short: str
    log: bool = False
    index_range: tuple[float, float] | None = None


CURVES = {
    "orientation": Curve(
        "orientation_deg", "orientation (deg)", "osi", "selectivity (OSI)", "OSI", False, (0, 1)
    ),
    "frequency": Curve(
        "frequency_cpd",
        "frequency (cycles/deg)",
        "preferred_frequency_cpd",
        "preferred frequency (cycles/deg)",
        "preferred",
        True,
    ),
    "phase": Curve("phase_deg", "phase (deg)", "f1_f0", "F1 / F0", "F1/F0", False, (0, _RATIO_TOP)),
    "size": Curve(
        "diameter_deg",
        "diameter (deg)",
        "suppression_index",
        "suppression by size",
        "suppression",
        True,
        (0, 1),
    ),
    "contrast": Curve(
        "contrast",
        "Michelson contrast",
        "half_contrast",
        "contrast at half the highest response",
        "half at",
        True,
        (0, 1),
    ),
    "mei_contrast": Curve(
        "rms_contrast",
        "RMS contrast of the MEI",
        "mei_contrast_exponent",
        "contrast exponent",
        "exponent",
        True,
    ),
    "mei_scale": Curve(
        "size_octaves",
        "size of the MEI (octaves)",
        "mei_scale_octaves",
        "width at half height (octaves)",
        "octaves",
        False,
        (0, 4),
    ),
    "mei_rotation": Curve(
        "rotation_deg",
        "rotation of the MEI (deg)",
        "mei_rotation_deg",
        "width at half height (deg)",
        "degrees",
        False,
        (0, 180),
    ),
    "mei_crop": Curve(
        "diameter_deg",
        "diameter of the MEI shown (deg)",
        "mei_crop_deg",
        "diameter at half the response (deg)",
        "half at",
        True,
    ),
    "surround": Curve(
        "surround",
        "surround",
        "surround_iso_index",
        "iso-oriented suppression",
        "iso",
        False,
        BOTH,
    ),
    "plaid": Curve(
        "mask_contrast",
        "contrast of the mask",
        "cross_orientation_index",
        "cross-orientation suppression",
        "suppression",
        False,
        BOTH,
    ),
    "bars": Curve(
        "orientation_deg",
        "orientation of the bar (deg)",
        "bar_on_off_index",
        "bright minus dark",
        "bright minus dark",
        False,
        BOTH,
    ),
    "shift": Curve(
        "shift_deg",
        "shift (deg)",
        "shift_invariance",
        "mean / highest",
        "invariance",
        False,
        (0, 1),
    ),
}
