"""Sections: what a session showed beside images, and how the spikes during movies are counted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from meiflow.config.base import (
    Degrees,
    Identifier,
    InputPath,
    Positive,
    Section,
    each_once,
)
from meiflow.images.geometry import ALLEN_MOVIE_HEIGHT_DEG, ALLEN_MOVIE_WIDTH_DEG


class StimulusParameters(Section):
    """Appearance of the recorded Gabors and gratings; the defaults are Allen's."""

    gabor_frequency_cpd: Positive = Field(
        default=0.08, description="spatial frequency of the Gabors, in cycles per degree"
    )
    gabor_diameter_deg: Degrees = Field(default=20.0, description="diameter of the circular patch")
    gabor_contrast: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Michelson contrast around mid-grey"
    )
    gabor_drifts: bool = Field(
        default=True,
        description="whether Gabors drift through whole cycles, so that their phase is irrelevant",
    )
    grating_contrast: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Michelson contrast around mid-grey"
    )
    drifting_frequency_cpd: Positive = Field(
        default=0.04, description="spatial frequency of drifting gratings, in cycles per degree"
    )
    drifting_contrast: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Michelson contrast around mid-grey"
    )


class NaturalMovies(Section):
    """Natural movies of the session, and how their spikes are counted."""

    shown: list[Identifier] = Field(
        default=["natural_movie_one", "natural_movie_three", "natural_movie_one_more_repeats"],
        max_length=64,
        description="names of the movies that are used, where the session shows them; [] for none",
    )
    stacks: InputPath | None = Field(
        default=None,
        description="sources nwb, tables and dandi: folder with the frames of every movie, an "
        ".npy stack (frames, height, width) with its name, such as natural_movie_one.npy",
    )
    counts: InputPath | None = Field(
        default=None,
        description="source tables: CSV movie, repeat, frame, neuron_id, spike_count (response "
        "real: response), where frame is the number of a frame, starting at 0",
    )
    frames_per_bin: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="number of consecutive frames that are averaged to one image",
    )
    lag_s: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="delay in seconds of the counting window behind the frames",
    )
    candidate_lags_s: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default=[],
        max_length=32,
        description="session files: delays of the counting window among which the models choose "
        "for each neuron, without using held-out images; []: lag_s",
    )
    candidate_widths_s: list[Annotated[float, Field(gt=0, le=10)]] = Field(
        default=[],
        max_length=32,
        description="session files: lengths of the counting window, from which the models choose "
        "as from the delays; []: that of the frames",
    )
    frame_rate_hz: Positive = Field(
        default=30.0, description="source tables without trials: frames per second of the movies"
    )
    width_deg: Degrees | None = Field(
        default=None,
        description="width of a frame on the screen in degrees of visual angle; null: that of "
        f"Allen's movies, {ALLEN_MOVIE_WIDTH_DEG:.1f}",
    )
    height_deg: Degrees | None = Field(
        default=None,
        description="height of a frame on the screen in degrees of visual angle; null: that of "
        f"Allen's movies, {ALLEN_MOVIE_HEIGHT_DEG:.1f}",
    )

    @property
    def size_deg(self) -> tuple[float, float]:
        """Width and height of a frame in degrees of visual angle."""
        return self.width_deg or ALLEN_MOVIE_WIDTH_DEG, self.height_deg or ALLEN_MOVIE_HEIGHT_DEG

    @property
    def windows(self) -> list[tuple[float, float | None]]:
        """Candidate counting windows: delay and length in seconds, None for that of the frames."""
        if not (self.candidate_lags_s or self.candidate_widths_s):
            return []
        lags = self.candidate_lags_s or [self.lag_s]
        widths: list[float | None] = [*self.candidate_widths_s] or [None]
        return [(lag, width) for width in widths for lag in lags]

    @field_validator("shown", "candidate_lags_s", "candidate_widths_s")
    @classmethod
    def _each_once(cls, names: list[Any]) -> list[Any]:
        return each_once(names)
