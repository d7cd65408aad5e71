"""Section: experiments in silico."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from meiflow.config.base import CUSTOM_FILES, FUNCTION, CustomFiles, Positive, Section, each_once

ExperimentName = Literal[
    "orientation",
    "frequency",
    "phase",
    "size",
    "contrast",
    "mei_contrast",
    "mei_scale",
    "mei_rotation",
    "mei_crop",
    "position",
    "spots",
    "surround",
    "plaid",
    "bars",
    "shift",
]
STANDARD: tuple[ExperimentName, ...] = get_args(ExperimentName)
MAP_EXPERIMENTS = ("position", "spots")  # stored as maps, not in the table


class Experiments(Section):
    """Tuning of each neuron's model, centred on its best Gabor, on mid-grey."""

    make: list[ExperimentName] = Field(
        default=list(STANDARD), description="experiments run on every model; [] for none"
    )
    custom: list[Annotated[str, Field(pattern=FUNCTION)]] = Field(
        default=[],
        description="custom experiments: a list of module:function, each called with (geometry, "
        "gabor)",
    )
    custom_files: CustomFiles = Field(default=[], description=CUSTOM_FILES)
    contrast: float = Field(
        default=0.8, gt=0, le=1, description="Michelson contrast on mid-grey 0.5"
    )
    aperture: Positive = Field(
        default=5.0, description="diameter of gratings, in sigmas of the longer axis of the Gabor"
    )
    orientations: int = Field(
        default=24, ge=4, le=180, description="number of orientations over half a turn"
    )
    frequencies: int = Field(
        default=17,
        ge=4,
        le=200,
        description="number of spatial frequencies, logarithmic from 0.01 cycles/degree to 4 "
        "pixels per cycle",
    )
    phases: int = Field(default=8, ge=4, le=72, description="number of phases of every grating")
    sizes: int = Field(default=16, ge=4, le=200, description="number of diameters, logarithmic")
    contrasts: int = Field(
        default=10, ge=4, le=200, description="number of contrasts, logarithmic from 0.02 to 1"
    )
    positions: int = Field(
        default=15, ge=3, le=200, description="number of positions of a bar or of the best stimulus"
    )
    map_step_deg: float = Field(
        default=5.0, gt=0, le=40, description="grid spacing of the receptive-field maps"
    )

    invariance: bool = Field(
        default=False,
        description="also find how far images can differ from each MEI and still drive the neuron",
    )
    invariance_fraction: float = Field(
        default=0.7, gt=0, lt=1, description="fraction of the response that such images must reach"
    )

    @field_validator("make", "custom")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return each_once(names)
