"""Base models: their names, and the sections of those without networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meiflow.config.base import Degrees, Positive, Section

MemberName = Literal[
    "v1",
    "v1_window",
    "core_window",
    "cnn",
    "ln",
    "gabor_energy",
    "scratch",
    "shared",
    "pretrained",
]
# The default; core_window only with a core.
MEMBERS: tuple[MemberName, ...] = (
    "v1",
    "v1_window",
    "core_window",
    "cnn",
    "ln",
    "gabor_energy",
)
# Closed-form readouts of all positions; they need no RF position.
WINDOW_MEMBERS: tuple[MemberName, ...] = ("v1_window", "core_window")


class LinearNonlinear(Section):
    """One smooth, local filter and a rectifier."""

    widths_deg: list[Degrees] = Field(
        default=[5.0, 8.0, 12.0],
        min_length=1,
        max_length=64,
        description="candidate widths (sigma) of the Gaussian window",
    )
    smoothness_deg: Degrees = Field(default=2.0, description="smoothness of the filter (sigma)")
    penalties: list[Positive] = Field(
        default=[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
        min_length=1,
        max_length=64,
        description="candidate penalties on the filter, in units of the variance of the responses",
    )


class Window(Section):
    """Readout of many positions through a window: base models v1_window and core_window."""

    sigmas_deg: list[Degrees] = Field(
        default=[6.0, 12.0],
        min_length=1,
        max_length=64,
        description="candidate widths (sigma) of the Gaussian window",
    )
    spacing_deg: Degrees = Field(
        default=8.0, description="approximate distance between the positions that are read"
    )
    penalties: list[Positive] = Field(
        default=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
        min_length=1,
        max_length=64,
        description="candidate ridge penalties, in units of the mean squared feature",
    )
    rank: int = Field(
        default=16,
        ge=1,
        le=512,
        description="number of products of a map of positions and a profile of channels to which "
        "the weights are reduced",
    )


class GaborEnergy(Section):
    """One Gabor pair, rectified and squared, with divisive normalisation."""

    starts: int = Field(default=3, ge=1, le=8, description="number of orientations to start from")
    steps: int = Field(
        default=150, ge=1, le=100_000, description="number of gradient steps from each start"
    )
