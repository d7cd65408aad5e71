"""Sections: session, images, and selection of neurons."""

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
from meiflow.config.columns import Columns
from meiflow.config.sensorium import Sensorium
from meiflow.config.shown import NaturalMovies, StimulusParameters
from meiflow.config.simulation import Simulation
from meiflow.config.verdicts import rejected_ids
from meiflow.images.geometry import (
    ALLEN_HEIGHT_DEG,
    ALLEN_WIDTH_DEG,
    Geometry,
)
from meiflow.response_type import ResponseType

# Scheme and host without user, query or fragment; the path of the request is appended.
# Sources without a session file: neurons, images and screen are those of the user.
CUSTOM_TABLES = ("tables", "sensorium")
_ADDRESS = r"^https?://[A-Za-z0-9.:\[\]-]+"
_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


class Quality(Section):
    """Unit quality filters; the defaults are AllenSDK's.

    A unit without a value (NaN) is excluded. null switches a filter off.
    """

    isi_violations_max: Positive | None = Field(
        default=0.5, description="maximum; null: no filter. Units without a value are excluded"
    )
    amplitude_cutoff_max: Positive | None = Field(
        default=0.1, description="maximum; null: no filter. Units without a value are excluded"
    )
    presence_ratio_min: Fraction | None = Field(
        default=0.95, description="minimum; null: no filter. Units without a value are excluded"
    )


class Dandi(Section):
    """A session file in the DANDI archive: dandiset and path, or asset."""

    dandiset: Annotated[str, Field(pattern=r"^[0-9]{6}$")] | None = Field(
        default=None, description="six digits, such as '000021'"
    )
    version: str = Field(
        default="draft",
        pattern=r"^(draft|[0-9]+\.[0-9]{6}\.[0-9]{4})$",
        description="published version, such as 0.220126.1855, or draft",
    )
    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+/ -]{1,200}$")] | None = Field(
        default=None, description="path of the file in the dandiset"
    )
    asset: Annotated[str, Field(pattern=_UUID)] | None = Field(
        default=None, description="id of the asset; instead of dandiset, version and path"
    )
    api: str = Field(
        default="https://api.dandiarchive.org/api",
        pattern=_ADDRESS + r"(/[A-Za-z0-9._~%+-]+)*$",
        description="address of the API",
    )
    store: str = Field(
        default="https://dandiarchive.s3.amazonaws.com",
        pattern=_ADDRESS + r"(/[A-Za-z0-9._~%+-]+)*$",
        description="address from which files are downloaded",
    )

    @property
    def is_complete(self) -> bool:
        """Whether one file is named, in one of the two ways."""
        named = self.dandiset is not None, self.path is not None
        return not any(named) if self.asset is not None else all(named)

    @property
    def name(self) -> str:
        """Name of the local copy, different for every file."""
        if self.asset is not None:
            return f"{self.asset}.nwb"
        return f"{self.dandiset}_{self.version}_{str(self.path).replace('/', '_')}"


class Session(Section):
    """Source of the recording."""

    source: Literal["simulated", "allen", "dandi", "nwb", "tables", "sensorium"] = Field(
        default="simulated",
        description="a simulation, the Allen Brain Observatory, the DANDI archive, a session NWB "
        "file, CSV tables, or a folder in the layout of Sensorium 2022",
    )
    id: Identifier = Field(default="demo", description="name of the results folder")
    area: Identifier | Annotated[list[Identifier], Field(min_length=1)] = Field(
        default="VISam", description="structure acronym, list of acronyms, or 'all'"
    )
    nwb: InputPath | None = Field(
        default=None,
        description="source nwb: a session NWB file; source allen: a session file that you already "
        "have",
    )
    images: InputPath | None = Field(
        default=None,
        description="folder of frame images or .npy stack; null if only movies were shown, or, "
        "with sources allen and dandi, for Allen's templates",
    )
    trials: InputPath | None = Field(
        default=None,
        description="source tables: CSV trial_id, neuron_id, spike_count, image_id; "
        "null if only movies were shown",
    )
    gabors: InputPath | None = Field(
        default=None,
        description="source tables: CSV of recorded Gabors with trial_id, neuron_id, spike_count, "
        "x_position, y_position, orientation (degrees)",
    )
    static_gratings: InputPath | None = Field(
        default=None,
        description="source tables: CSV of recorded gratings with trial_id, neuron_id, "
        "spike_count, orientation (degrees), spatial_frequency (cycles/degree), phase "
        "(cycles)",
    )
    drifting_gratings: InputPath | None = Field(
        default=None,
        description="source tables: CSV of recorded drifting gratings with trial_id, neuron_id, "
        "spike_count, orientation (direction of motion, degrees), temporal_frequency (Hz)",
    )
    flashes: InputPath | None = Field(
        default=None,
        description="source tables: CSV of recorded full-field flashes with trial_id, neuron_id, "
        "spike_count, color (-1 dark, 1 bright)",
    )
    response: Literal["counts", "real"] = Field(
        default="counts",
        description="source tables: counts, or real numbers (dF/F, events, z scores; may be "
        "negative) in a column `response` in place of `spike_count`; source sensorium: always real",
    )
    response_unit: Annotated[str, Field(min_length=1, max_length=24)] | None = Field(
        default=None, description="response real: unit for axes and captions, such as dF/F"
    )
    average: Literal["mean", "median"] = Field(
        default="mean",
        description="average over the trials of an image; the median, against outliers, with "
        "response real only",
    )
    warehouse: str = Field(
        default="http://api.brain-map.org",
        pattern=_ADDRESS + "$",
        description="source allen: address queried by AllenSDK where the bucket fails",
    )
    bucket: str = Field(
        default="https://allen-brain-observatory.s3.amazonaws.com",
        pattern=_ADDRESS + r"(/[A-Za-z0-9._~%+-]+)*$",
        description="sources allen and dandi: public S3 bucket with session files, tables and "
        "templates",
    )
    dandi: Dandi = Dandi()
    stream: bool = Field(
        default=False,
        description="sources allen and dandi: read only the tables, and the spikes of the chosen "
        "units, from the server, in place of a download",
    )
    window_s: tuple[float, float | None] = Field(
        default=(0.0, 0.25),
        description="counting window in seconds after onset; a null end is the end of the "
        "presentation",
    )
    quality: Quality = Quality()
    columns: Columns = Columns()
    stimulus_parameters: StimulusParameters = StimulusParameters()
    movies: NaturalMovies = NaturalMovies()
    sensorium: Sensorium = Sensorium()
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
            raise ValueError("area: use either 'all' or a list of areas")
        start, stop = self.window_s
        if not -1 <= start < (0.2 if stop is None else stop) <= 10:
            raise ValueError(
                f"window_s: needs -1 <= start < stop <= 10 seconds, got {start}, {stop}"
            )
        if self.source == "tables" and self.movies.windows:
            raise ValueError(
                "movies: candidate_lags_s and candidate_widths_s need spike times, but source "
                "tables has counts of whole frames; remove them"
            )
        self._require_tables()
        if self.stream and not self.downloaded:
            raise ValueError(
                f"stream: only sources allen and dandi are read from a server, not {self.source}"
            )
        if self.stream and self.nwb is not None:
            raise ValueError("stream: the file of session.nwb is on disk; remove one of the two")
        return self

    def _require_tables(self) -> None:
        """Check the keys of real-valued responses."""
        if self.source == "sensorium":
            return
        if self.response == "counts":
            for key, default in (("response_unit", None), ("average", "mean")):
                if getattr(self, key) != default:
                    raise ValueError(f"{key}: has no effect without response: real; remove it")
        elif self.source != "tables":
            raise ValueError(
                f"response: real numbers come from tables, not from source {self.source}"
            )

    @property
    def response_type(self) -> ResponseType:
        """What the numbers of the trials are."""
        real = self.response == "real" or self.source == "sensorium"
        return ResponseType(real, self.average, self.response_unit)

    @property
    def downloaded(self) -> bool:
        """Whether the session comes from a server."""
        return self.source in ("allen", "dandi")

    @property
    def custom_tables(self) -> bool:
        """Whether there is no session file, but tables of the user."""
        return self.source in CUSTOM_TABLES

    @property
    def areas(self) -> tuple[str, ...] | None:
        """The requested areas, or None for all areas."""
        areas = [self.area] if isinstance(self.area, str) else list(self.area)
        return None if areas == ["all"] else tuple(areas)


class Image(Section):
    """Image size in pixels and the visual angle it spans."""

    height: int = Field(default=60, ge=8, le=512, description="height in pixels")
    width: int = Field(default=96, ge=8, le=512, description="width in pixels")
    width_deg: Degrees | None = Field(
        default=None,
        description="width in degrees of visual angle; required with sources tables and sensorium; "
        f"null: the {ALLEN_WIDTH_DEG} of the monitor of the Allen Brain Observatory",
    )
    height_deg: Degrees | None = Field(
        default=None,
        description="height in degrees of visual angle; as for width_deg, null: "
        f"{ALLEN_HEIGHT_DEG}",
    )

    @model_validator(mode="after")
    def _both(self) -> Image:
        if (self.width_deg is None) != (self.height_deg is None):
            raise ValueError("give both width_deg and height_deg, or neither of them")
        return self

    @property
    def geometry(self) -> Geometry:
        """Pixel grid and visual angle of the images; by default that of Allen's monitor."""
        width, height = self.width_deg, self.height_deg
        if width is None or height is None:
            return Geometry(self.height, self.width)
        return Geometry(self.height, self.width, width, height)


class Selection(Section):
    """Which neurons are modelled; all conditions that are not null must hold."""

    oracle_p_max: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=0.001,
        description="maximum p value of the oracle correlation (trials permuted across images)",
    )
    oracle_min: float | None = Field(
        default=0.1, ge=-1, le=1, description="minimum oracle correlation"
    )
    oracle_quantile: Fraction | None = Field(
        default=None, description="oracle correlation at or above this quantile of all neurons"
    )
    variance_quantile: Fraction | None = Field(
        default=None, description="variance over images at or above this quantile of all neurons"
    )
    minimum: dict[str, float] = Field(
        default={}, description="minimum of any measure in neurons.csv, such as {fev: 0.1}"
    )
    maximum: dict[str, float] = Field(
        default={}, description="maximum of any measure in neurons.csv"
    )
    quantile_min: dict[str, Fraction] = Field(
        default={}, description="measures that must be at or above this quantile of all neurons"
    )
    quantile_above: dict[str, Fraction] = Field(
        default={}, description="measures that must be above this quantile of all neurons"
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="maximum number of selected neurons, the highest-ranking first",
    )
    rank_by: str = Field(default="oracle", description="measure used to rank neurons for top_k")
    include: list[str] = Field(
        default=[],
        description="ids of neurons that are selected regardless of the other conditions",
    )
    exclude: list[str] | InputPath = Field(
        default=[],
        description="ids of neurons that are never selected, or the path of a CSV of verdicts that "
        "a report saved, of which the rejected ones are taken",
    )
    shuffles: int = Field(
        default=2000,
        ge=100,
        le=100_000,
        description="number of permutations for oracle_p and of resamples for its interval",
    )
    raster: Literal["rastermap", "clustering"] = Field(
        default="rastermap",
        description="order of the raster plot: by the package rastermap, or from a hierarchical "
        "clustering",
    )
    notebook_measures: bool = Field(
        default=False, description="add the notebook's measures, for comparison or for selection"
    )

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _ids_as_text(cls, value: Any) -> Any:
        return ids_as_text(value)

    @field_validator("exclude")
    @classmethod
    def _rejected(cls, value: list[str] | str) -> list[str]:
        """The ids in a file, so that stages get these and rerun when they change."""
        return rejected_ids(value) if isinstance(value, str) else value

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
            raise ValueError(f"include: {both[0]!r} is also in exclude; remove one")
        return self
