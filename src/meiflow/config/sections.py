"""Sections of the configuration: all keys with type, range and default, in one place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from meiflow.config.base import Degrees, Positive, Section, ids_as_text
from meiflow.config.base_models import GaborEnergy, LinearNonlinear
from meiflow.config.clusters import Clusters
from meiflow.config.experiments import Experiments
from meiflow.config.model import Model, Network
from meiflow.config.recording import (
    Image,
    Quality,
    Selection,
    Session,
    Simulation,
)
from meiflow.config.shown import StimulusParameters
from meiflow.config.stimuli import Gabor, Mei, Movie, Stimuli

__all__ = [
    "Clusters",
    "Comparison",
    "Config",
    "Experiments",
    "Gabor",
    "GaborEnergy",
    "Image",
    "LinearNonlinear",
    "Mei",
    "Model",
    "Movie",
    "Network",
    "Quality",
    "Report",
    "Selection",
    "Session",
    "Simulation",
    "Stimuli",
    "StimulusParameters",
]

_MOST_GABORS = 5_000_000


class Comparison(Section):
    """Image metrics."""

    mask_threshold: Positive = Field(
        default=1.5, description="absolute z-score above which pixels form the mask"
    )
    mask: Literal["auto", "tight", "disc"] = Field(
        default="auto",
        description="mask for luminance, contrast, centre and size: the automatic mask, the part "
        "of it that drives the model, or a disc",
    )
    tight_fraction: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="fraction of the response that the tight mask must retain",
    )
    disc_diameter_deg: Degrees = Field(
        default=30.0, description="diameter of the disc, centred on the pattern"
    )
    notebook: bool = Field(
        default=False,
        description="also measure each neuron as the notebook did, including its faults",
    )


class Report(Section):
    """The HTML page."""

    title: str = Field(
        default="",
        max_length=200,
        description="title of the report; empty: derived from the session",
    )

    @field_validator("title")
    @classmethod
    def _one_line(cls, title: str) -> str:
        if not title.isprintable():
            raise ValueError("contains non-printable characters; give one line of text")
        return title


class Config(Section):
    """The whole configuration."""

    session: Session = Session()
    sessions: Literal["all"] | Annotated[list[str | dict[str, Any]], Field(min_length=1)] | None = (
        Field(
            default=None,
            description="several sessions in one run: a list of ids, or of keys that override "
            "those of `session`; 'all': the sessions of the Allen warehouse with units in "
            "`session.area`",
        )
    )
    image: Image = Image()
    selection: Selection = Selection()
    model: Model = Model()
    mei: Mei = Mei()
    stimuli: Stimuli = Stimuli()
    movie: Movie = Movie()
    gabor: Gabor = Gabor()
    comparison: Comparison = Comparison()
    experiments: Experiments = Experiments()
    clusters: Clusters = Clusters()
    report: Report = Report()
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of all random numbers")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="cpu",
        description="where models are fitted and stimuli made; cuda: a GPU; auto: a GPU if there "
        "is one. Untried on a GPU",
    )

    def for_source(self) -> Config:
        """The configuration with the core of its session source in place of auto.

        Raises
        ------
        MeiflowError
            If a base model needs a core, and there is none.
        """
        return self.model_copy(update={"model": self.model.for_source(self.session.source)})

    @field_validator("sessions", mode="before")
    @classmethod
    def _ids_as_text(cls, value: Any) -> Any:
        return ids_as_text(value)

    @field_validator("sessions")
    @classmethod
    def _named(cls, value: Any) -> Any:
        for number, entry in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(entry, str) and "id" not in entry:
                raise ValueError(
                    f"{number}: id is missing; it names the results folder of the session"
                )
        return value

    @model_validator(mode="after")
    def _known(self) -> Config:
        # with `sessions`, the id in the section `session` is not used
        session = self.session
        if session.source == "allen" and self.sessions is None and not session.id.isdigit():
            raise ValueError(
                "session.id: source allen needs a numeric ecephys session id such as 798911424, "
                f"got {session.id!r}"
            )
        return self

    @model_validator(mode="after")
    def _searchable(self) -> Config:
        screen = self.image.geometry
        gabors = self.gabor.size(screen.width_deg, screen.height_deg)
        if gabors > _MOST_GABORS:
            raise ValueError(
                f"gabor: the grid has {gabors:,} Gabors, more than {_MOST_GABORS:,}; use fewer "
                "wavelengths, orientations, phases, sigmas_over_wavelength or aspects, or a larger "
                "spacing"
            )
        return self
