"""Sections: optimal stimuli and Gabors."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from meiflow.config.base import (
    CUSTOM_FILES,
    FUNCTION,
    CustomFiles,
    InputPath,
    Positive,
    Section,
    each_once,
)
from meiflow.config.names import PROCEDURES, USUAL_PROCEDURES


class Mei(Section):
    """Gradient ascent with fixed mean and RMS contrast."""

    steps: int = Field(default=100, ge=1, le=100_000, description="number of gradient-ascent steps")
    restarts: int = Field(
        default=12, ge=1, le=64, description="number of noise images to start from"
    )
    step_size: tuple[Positive, Positive] = Field(
        default=(0.3, 0.01), description="first and last step size, in units of the RMS contrast"
    )
    contrast: Annotated[float, Field(gt=0, lt=0.5)] | Literal["images"] = Field(
        default=0.05,
        description="RMS contrast of the whole image, or 'images': the mean contrast of the images",
    )
    mean: Annotated[float, Field(gt=0, lt=1)] | Literal["images"] = Field(
        default="images", description="mean luminance, or 'images': that of the images"
    )
    smoothing_exponent: float = Field(
        default=1.0,
        ge=0,
        le=4,
        description="the gradient spectrum is multiplied by 1 / f**exponent",
    )


if TYPE_CHECKING:
    ProcedureName = str
else:
    ProcedureName = Literal[tuple(PROCEDURES)]


class Stimuli(Section):
    """Additional optimal stimuli, each made for all fitted neurons in one job."""

    make: list[ProcedureName] = Field(
        default=USUAL_PROCEDURES,
        description="procedures run by default; any of them can be requested as a target",
    )
    natural_images: InputPath | None = Field(
        default=None,
        description="folder of pictures or .npy stack, searched in addition to the session's "
        "images",
    )
    diverse_images: int = Field(
        default=6, ge=2, le=64, description="number of diverse images per neuron"
    )
    diverse_fraction: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="fraction of the response to the MEI that each diverse image must reach",
    )
    diverse_steps: int = Field(
        default=150,
        ge=1,
        le=100_000,
        description="number of gradient-ascent steps for diverse images",
    )
    transparent_fraction: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="fraction of the response to the MEI that its transparent version must reach",
    )
    transparent_background: Literal["noise", "images"] = Field(
        default="noise",
        description="what is behind transparent MEIs: noise, or images of the session",
    )
    transparent_backgrounds: int = Field(
        default=8, ge=2, le=256, multiple_of=2, description="number of backgrounds"
    )
    transparent_steps: int = Field(
        default=40,
        ge=1,
        le=100_000,
        description="number of gradient-ascent steps for transparent MEIs",
    )
    robust_scale: float = Field(
        default=1.2,
        ge=1,
        le=4,
        description="largest factor by which images are scaled for the robust MEI",
    )
    robust_rotation_deg: float = Field(
        default=15.0, ge=0, le=180, description="largest rotation for the robust MEI, both ways"
    )
    robust_shift_deg: float = Field(
        default=2.0, ge=0, le=60, description="largest shift for the robust MEI along each axis"
    )
    fade_steps: int = Field(
        default=400,
        ge=1,
        le=100_000,
        description="number of steps in which a natural image is faded to grey",
    )
    field_samples: int = Field(
        default=512,
        ge=2,
        le=1_000_000,
        multiple_of=2,
        description="number of noise images for the linear RF",
    )
    published_steps: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="number of steps of the notebook's and Walker's procedures",
    )

    @field_validator("make")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return each_once(names)


class Movie(Section):
    """Optimal movies for a custom spatio-temporal model."""

    model: str | None = Field(
        default=None,
        pattern=FUNCTION,
        description="module:function that returns a torch module for movies (batch, channels, "
        "frames, height, width) in 0..1; null: no movies",
    )
    custom_files: CustomFiles = Field(default=[], description=CUSTOM_FILES)
    neurons: list[Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        default=[0],
        min_length=1,
        max_length=1000,
        description="outputs of the model, one movie for each",
    )
    channels: int = Field(default=1, ge=1, le=16, description="number of channels of the movie")
    frames: int = Field(default=30, ge=1, le=10_000, description="number of frames of the movie")
    response: Literal["mean", "last"] = Field(
        default="mean",
        description="response to maximise: the mean over time, or that in the last frame",
    )
    restarts: int = Field(
        default=4, ge=1, le=64, description="number of noise movies to start from"
    )
    steps: int = Field(default=200, ge=1, le=100_000, description="number of gradient-ascent steps")
    mean: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="mean luminance")
    contrast: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.1, description="RMS contrast over the whole movie"
    )
    smoothing_exponent: float = Field(
        default=0.5,
        ge=0,
        le=4,
        description="the gradient spectrum is multiplied by 1 / f**exponent",
    )
    temporal_sigma: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="sigma of the temporal low-pass filter applied at each step, in frames",
    )

    @field_validator("neurons")
    @classmethod
    def _each_once(cls, numbers: list[int]) -> list[int]:
        return each_once(numbers)

    @model_validator(mode="after")
    def _reachable(self) -> Movie:
        most = (self.mean * (1 - self.mean)) ** 0.5
        if self.contrast > most:
            raise ValueError(
                f"contrast: {self.contrast} cannot be reached at mean luminance {self.mean}; the "
                f"maximum is {most:.3g}"
            )
        return self


class Gabor(Section):
    """Search for the best Gabor in silico: a grid over the screen, then refinement."""

    wavelengths_deg: list[Annotated[float, Field(gt=0, le=80)]] = Field(
        default=[8.0, 11.3, 16.0, 22.6, 32.0, 45.3],
        min_length=1,
        max_length=64,
        description="wavelengths of the grid; those below two pixels are skipped, and refinement "
        "is limited to 80",
    )
    orientations: int = Field(
        default=8, ge=1, le=36, description="number of orientations of the grid"
    )
    phases: int = Field(default=4, ge=1, le=36, description="number of phases of the grid")
    sigmas_over_wavelength: list[Annotated[float, Field(ge=0.1, le=5)]] = Field(
        default=[0.3, 0.5],
        min_length=1,
        description="sigma over wavelength of the Gabors of the grid",
    )
    aspects: list[Annotated[float, Field(ge=0.5, le=3)]] = Field(
        default=[1.0, 1.6],
        min_length=1,
        max_length=64,
        description="aspects of the Gabors of the grid: sigma across over sigma along the "
        "modulation (1/gamma of the usual Gabor)",
    )
    spacing: float = Field(
        default=0.75,
        ge=0.05,
        le=10,
        description="distance between positions of the grid, in wavelengths",
    )
    refine_steps: int = Field(
        default=150, ge=0, le=5000, description="number of gradient-ascent steps for refinement"
    )
    refine_top: int = Field(
        default=12,
        ge=1,
        le=256,
        description="number of candidates refined per neuron, the best of the grid",
    )
    merge_top: int = Field(
        default=1, ge=1, le=243, description="number of best recorded conditions that are averaged"
    )

    @field_validator("wavelengths_deg", "sigmas_over_wavelength", "aspects")
    @classmethod
    def _each_once(cls, numbers: list[float]) -> list[float]:
        return each_once(numbers)

    def places(self, extent_deg: float, wavelength_deg: float) -> int:
        """Number of positions along one side of the screen."""
        return ceil(extent_deg / (self.spacing * wavelength_deg))

    def size(self, width_deg: float, height_deg: float) -> int:
        """Number of Gabors in the grid for a screen."""
        shapes = (
            self.orientations * self.phases * len(self.sigmas_over_wavelength) * len(self.aspects)
        )
        return shapes * sum(
            self.places(width_deg, wavelength) * self.places(height_deg, wavelength)
            for wavelength in self.wavelengths_deg
        )
