"""How a network that was trained elsewhere sees images."""

from __future__ import annotations

from pydantic import Field

from meiflow.config.base import Degrees, Positive, Section


class SeenImages(Section):
    """Scale and normalisation of the images on which a network was trained."""

    deg_per_px: Degrees = Field(
        default=1.9, description="size of a pixel of the images on which the core was trained"
    )
    mean: float = Field(
        default=0.445, ge=0, le=1, description="luminance that was subtracted from these images"
    )
    sd: Positive = Field(
        default=0.234, description="luminance by which these images were then divided"
    )
