"""Section: folders in the layout of Sensorium 2022."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from meiflow.config.base import InputPath, Section, ids_as_text


class Sensorium(Section):
    """A folder in the layout of Sensorium 2022, and which of its neurons are used."""

    folder: InputPath | None = Field(
        default=None,
        description="source sensorium: unpacked folder of a scan, with data/images, data/responses "
        "and meta",
    )
    area: str | None = Field(
        default=None, description="area in meta/neurons/area.npy; null for all neurons"
    )
    neurons: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="ids of the neurons that are used; null for all"
    )
    most_reliable: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="number of neurons that are used, those with the highest oracle correlation",
    )

    @field_validator("neurons", mode="before")
    @classmethod
    def _ids_as_text(cls, value: Any) -> Any:
        return ids_as_text(value)
