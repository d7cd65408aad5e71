"""Sections: the session, its images, the selection of neurons."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from meiflow.config.base import (
    Degrees,
    Fraction,
    Identifier,
    InputPath,
    Positive,
    Section,
    ids_as_text,
)
from meiflow.images.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG, Geometry

# Scheme and host, no user, query or fragment: what is asked for is put behind it.
_ADDRESS = r"^https?://[A-Za-z0-9.:\[\]-]+"


class Quality(Section):
    """Unit quality filters; the defaults are AllenSDK's. A metric that is NaN fails."""

    isi_violations_max: Positive = Field(default=0.5, description="at most")
    amplitude_cutoff_max: Positive = Field(default=0.1, description="at most")
    presence_ratio_min: Fraction = Field(default=0.95, description="at least")


class Simulation(Section):
    """Size and kind of the simulated session (source simulated)."""

    units: dict[Identifier, Annotated[int, Field(ge=1, le=2000)]] = Field(
        min_length=1,
        max_length=64,
        default={"VISam": 20, "VISp": 8},
        description="units passing the filters, per area",
    )
    failing_fraction: Fraction = Field(
        default=0.3, description="units failing the quality filters, relative to those passing"
    )
    untuned_fraction: Fraction = Field(default=0.25, description="share of untuned units")
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
        description="kinds of tuned units, in turn",
    )
    frames: int = Field(default=118, ge=4, le=118, description="natural-scene images")
    repeats: int = Field(
        default=30, ge=2, le=1000, description="presentations per image and of the blank"
    )
    gabor_repeats: int = Field(default=5, ge=0, le=1000, description="per Gabor condition (243)")
    grating_repeats: int = Field(default=5, ge=0, le=1000, description="per static grating (120)")
    frame_height: int = Field(default=236, ge=40, le=918, description="pixels of the templates")
    frame_width: int = Field(default=302, ge=40, le=1174, description="pixels")
    mean_rate_hz: float = Field(
        default=4.0, gt=0, le=300, description="median evoked rate of tuned units"
    )
    gain_drift: float = Field(default=0.2, ge=0, le=1, description="std of the shared log gain")
    latency_s: float = Field(
        default=0.04, ge=0, le=0.2, description="from stimulus onset to response"
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**31,
        description="of this session; null: the workflow's, or, with `sessions`, one drawn from "
        "it and the id",
    )


class Shown(Section):
    """What the recorded Gabors and static gratings looked like; the defaults are Allen's."""

    gabor_frequency_cpd: Positive = Field(default=0.08, description="cycles per degree")
    gabor_diameter_deg: Degrees = Field(default=20.0, description="of the circular patch")
    gabor_contrast: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Michelson, about mid-grey"
    )
    gabor_drifts: bool = Field(
        default=True, description="through whole cycles, so that phase carries nothing"
    )
    grating_contrast: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Michelson, about mid-grey"
    )


class Session(Section):
    """Where the recording comes from."""

    source: Literal["simulated", "allen", "nwb", "tables"] = Field(
        default="simulated", description="simulation, Allen warehouse, session NWB, or own CSV"
    )
    id: Identifier = Field(default="demo", description="name of the results folder")
    area: Identifier | Annotated[list[Identifier], Field(min_length=1)] = Field(
        default="VISam", description="structure acronym, list of acronyms, or 'all'"
    )
    nwb: InputPath | None = Field(
        default=None,
        description="source nwb: a session NWB file; source allen: one already at hand",
    )
    images: InputPath | None = Field(
        default=None, description="sources nwb and tables: folder of frame images or .npy stack"
    )
    trials: InputPath | None = Field(
        default=None, description="source tables: CSV trial_id, neuron_id, spike_count, image_id"
    )
    gabors: InputPath | None = Field(
        default=None,
        description="source tables: CSV trial_id, neuron_id, spike_count, x_position, y_position, "
        "orientation (degrees) of recorded Gabors",
    )
    static_gratings: InputPath | None = Field(
        default=None,
        description="source tables: CSV trial_id, neuron_id, spike_count, orientation (degrees), "
        "spatial_frequency (cycles/degree), phase (cycles) of recorded gratings",
    )
    warehouse: str = Field(
        default="http://api.brain-map.org",
        pattern=_ADDRESS + "$",
        description="source allen: address that AllenSDK asks; second choice for the session",
    )
    bucket: str = Field(
        default="https://allen-brain-observatory.s3.amazonaws.com",
        pattern=_ADDRESS + r"(/[A-Za-z0-9._~%+-]+)*$",
        description="source allen: public S3 bucket, first choice for the session file",
    )
    window_s: tuple[float, float | None] = Field(
        default=(0.0, 0.25),
        description="spikes are counted from/to these seconds after onset; a null end is the "
        "presentation's own",
    )
    quality: Quality = Quality()
    shown: Shown = Shown()
    simulation: Simulation = Simulation()

    @field_validator("id", mode="before")
    @classmethod
    def _id_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("warehouse", "bucket", mode="before")
    @classmethod
    def _no_slash_at_the_end(cls, value: Any) -> Any:
        return value.rstrip("/") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Session:
        if isinstance(self.area, list) and "all" in self.area and len(self.area) > 1:
            raise ValueError("area: 'all' stands alone, or name the areas")
        start, stop = self.window_s
        if not -1 <= start < (0.2 if stop is None else stop) <= 10:
            raise ValueError(
                f"window_s: needs -1 <= start < stop <= 10 seconds, got {start}, {stop}"
            )
        return self

    @property
    def areas(self) -> tuple[str, ...] | None:
        """The areas asked for, or None for all of them."""
        areas = [self.area] if isinstance(self.area, str) else list(self.area)
        return None if areas == ["all"] else tuple(areas)


class Image(Section):
    """Image size in pixels and the visual angle it spans."""

    height: int = Field(default=60, ge=8, le=512, description="pixels")
    width: int = Field(default=96, ge=8, le=512, description="pixels")
    width_deg: Degrees = Field(default=ALLEN_WIDTH_DEG, description="degrees spanned")
    height_deg: Degrees = Field(default=ALLEN_HEIGHT_DEG, description="degrees spanned")

    @property
    def geometry(self) -> Geometry:
        """The grid these numbers describe."""
        return Geometry(self.height, self.width, self.width_deg, self.height_deg)


class Selection(Section):
    """Which neurons are modelled; every condition that is not null must hold."""

    oracle_p_max: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=0.001, description="p value of the oracle correlation against shuffled images"
    )
    oracle_min: float | None = Field(default=0.1, ge=-1, le=1, description="oracle correlation")
    oracle_quantile: Fraction | None = Field(
        default=None, description="oracle at or above this quantile of all neurons"
    )
    variance_quantile: Fraction | None = Field(
        default=None, description="variance over images at or above this quantile of all neurons"
    )
    minimum: dict[str, float] = Field(
        default={}, description="lowest value of any measure of neurons.csv, such as {fev: 0.1}"
    )
    maximum: dict[str, float] = Field(default={}, description="highest value of any measure")
    quantile_min: dict[str, Fraction] = Field(
        default={}, description="measures that must reach this quantile of all neurons"
    )
    quantile_above: dict[str, Fraction] = Field(
        default={}, description="measures that must lie above this quantile of all neurons"
    )
    top_k: int | None = Field(
        default=None, ge=1, le=1_000_000, description="at most so many, the highest first"
    )
    rank_by: str = Field(default="oracle", description="measure that ranks them for top_k")
    include: list[str] = Field(default=[], description="neuron ids selected whatever the rest says")
    exclude: list[str] = Field(default=[], description="neuron ids never selected")
    shuffles: int = Field(
        default=2000,
        ge=100,
        le=100_000,
        description="shuffles behind oracle_p, resamples behind its interval",
    )
    raster: Literal["rastermap", "clustering"] = Field(
        default="rastermap",
        description="order of the raster plot: by the package rastermap, or from a hierarchical "
        "clustering",
    )
    notebook_measures: bool = Field(
        default=False, description="add the notebook's measures, to compare or to select by"
    )

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _ids_as_text(cls, value: Any) -> Any:
        return ids_as_text(value)

    @model_validator(mode="after")
    def _enough_shuffles(self) -> Selection:
        limits = {
            "oracle_p_max": self.oracle_p_max,
            "maximum.oracle_p": self.maximum.get("oracle_p"),
        }
        for key, limit in limits.items():
            if limit is not None and limit < 1 / (self.shuffles + 1):
                raise ValueError(
                    f"{key}: {limit} cannot be reached with {self.shuffles} shuffles"
                    + (f"; use at least {int(1 / limit)}" if limit > 0 else "")
                )
        return self

    @model_validator(mode="after")
    def _not_both(self) -> Selection:
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            raise ValueError(f"include: {both[0]!r} is in exclude too; keep one")
        return self
