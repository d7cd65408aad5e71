"""Section of the simulated session."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from meiflow.config.base import Fraction, Identifier, InputPath, Positive, Section
from meiflow.config.parametric import NOT_MOVIES
from meiflow.config.seen import SeenImages


class NetworkInput(SeenImages):
    """How the published networks of a simulated session see images."""

    mean: float = Field(
        default=0.478, ge=0, le=1, description="luminance that was subtracted from these images"
    )
    sd: Positive = Field(
        default=0.212, description="luminance by which these images were then divided"
    )


class Simulation(Section):
    """Size and kind of the simulated session (source simulated)."""

    units: dict[Identifier, Annotated[int, Field(ge=1, le=2000)]] = Field(
        min_length=1,
        max_length=64,
        default={"VISam": 20, "VISp": 8},
        description="number of units per area that pass the filters",
    )
    failing_fraction: Fraction = Field(
        default=0.3,
        description="number of units that fail the quality filters, relative to those that pass",
    )
    untuned_fraction: Fraction = Field(default=0.25, description="fraction of untuned units")
    kinds: list[
        Literal[
            "simple",
            "complex",
            "simple_normalised",
            "complex_normalised",
            "on_centre",
            "off_centre",
            "corner",
            "curved",
            "two_bars",
            "pooled",
            "texture",
            "surround_suppressed",
        ]
    ] = Field(
        default=[
            "simple",
            "complex",
            "simple_normalised",
            "complex_normalised",
            "on_centre",
            "off_centre",
        ],
        min_length=1,
        description="kinds of tuned units, assigned in turn",
    )
    truth: InputPath | None = Field(
        default=None,
        description="file of a published network of visual neurons; the tuned units are neurons of "
        "this network, drawn at random, instead of the kinds",
    )
    judge: InputPath | None = Field(
        default=None,
        description="file of another network of the same neurons, which judges the stimuli in the "
        "closed loop; only neurons on which both agree are drawn",
    )
    truth_input: NetworkInput = NetworkInput()
    frames: int = Field(default=118, ge=4, le=118, description="number of natural-scene images")
    repeats: int = Field(
        default=30,
        ge=0,
        le=1000,
        description="number of presentations of each image and of the blank, at least 2; 0 for a "
        "session without natural scenes, whose movies take their role",
    )
    gabor_repeats: int = Field(
        default=5,
        ge=0,
        le=1000,
        description="number of presentations of each Gabor condition (243)",
    )
    grating_repeats: int = Field(
        default=5, ge=0, le=1000, description="number of presentations of each static grating (120)"
    )
    drifting_repeats: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="number of presentations of each drifting grating (40)",
    )
    flash_repeats: int = Field(
        default=0, ge=0, le=1000, description="number of dark and of bright full-field flashes"
    )
    movie_repeats: dict[Identifier, Annotated[int, Field(ge=1, le=1000)]] = Field(
        default={},
        max_length=16,
        description="number of presentations of each natural movie, such as {natural_movie_one: "
        "20, natural_movie_three: 10}; 900 frames for natural_movie_one and "
        "natural_movie_one_more_repeats, which are the same movie, 3600 for the others",
    )
    movie_frames: int | None = Field(
        default=None, ge=30, le=3600, description="number of frames of every movie instead"
    )
    frame_height: int = Field(
        default=236, ge=40, le=918, description="height of the templates in pixels"
    )
    frame_width: int = Field(
        default=302, ge=40, le=1174, description="width of the templates in pixels"
    )
    statistics: Literal["recorded", "ideal"] = Field(
        default="recorded",
        description="recorded: rates, Fano factors and selectivity as in session 798911424, where "
        "most of the rate of most units does not depend on the image; ideal: reliable responses",
    )
    mean_rate_hz: float = Field(
        default=3.2,
        gt=0,
        le=300,
        description="median rate of the units; with `statistics: ideal`, of what images evoke",
    )
    gain_drift: float = Field(
        default=0.2, ge=0, le=1, description="standard deviation of the shared log gain"
    )
    gaze_sd_deg: float = Field(
        default=0.0,
        ge=0,
        le=20,
        description="standard deviation of the azimuth of gaze during natural scenes, twice that "
        "of its elevation; receptive fields follow the eye. 0: the eye rests and is not recorded",
    )
    latency_s: float = Field(
        default=0.04, ge=0, le=0.2, description="delay between stimulus onset and response"
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**31,
        description="seed of this session; null: the workflow's seed, or, with `sessions`, one "
        "derived from it and the id",
    )

    @field_validator("repeats")
    @classmethod
    def _more_than_one(cls, repeats: int) -> int:
        if repeats == 1:
            raise ValueError("repeats: 1; give at least 2, or 0 for no natural scenes")
        return repeats

    @property
    def networks(self) -> dict[str, str]:
        """Files of published networks, by key."""
        given = {"truth": self.truth, "judge": self.judge}
        return {key: path for key, path in given.items() if path is not None}

    @model_validator(mode="after")
    def _judges_a_truth(self) -> Self:
        if self.judge is not None and self.truth is None:
            raise ValueError("judge: needs truth, a network of the same neurons; give both")
        return self

    @field_validator("movie_repeats")
    @classmethod
    def _movies_are_movies(cls, repeats: dict[str, int]) -> dict[str, int]:
        for name in NOT_MOVIES:
            if name in repeats:
                raise ValueError(f"movie_repeats: {name} is not a movie; use another name")
        return repeats
