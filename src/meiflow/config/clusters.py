"""Section: functional clusters of the neurons of all sessions."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator

from meiflow.config.base import Section, each_once

Alignment = Literal["position", "orientation", "scale", "phase"]
ALIGNED: tuple[Alignment, ...] = get_args(Alignment)


class Clusters(Section):
    """Functional clusters of the neurons of all sessions."""

    make: bool = Field(
        default=False, description="cluster the neurons of all sessions by their responses"
    )
    align: list[Alignment] = Field(
        default=list(ALIGNED),
        min_length=1,
        description="what does not count as a difference between neurons: stimuli are shown at the "
        "position, orientation, scale and phase of each neuron's best Gabor; position is required",
    )
    most: int = Field(default=15, ge=2, le=50, description="maximum number of clusters")
    stability: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="how well parts of the neurons must reproduce every cluster (Jaccard index); "
        "the largest number of clusters for which they do is used",
    )

    @field_validator("align")
    @classmethod
    def _positioned(cls, names: list[Alignment]) -> list[Alignment]:
        if "position" not in names:
            raise ValueError("position is missing; neurons at different positions never compare")
        return each_once(names)
