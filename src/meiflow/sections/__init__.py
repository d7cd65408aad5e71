"""The configuration's sections: every key, its type, its range and its default, in one place."""

from __future__ import annotations

from pydantic import Field

from meiflow.sections.base import Positive, Section
from meiflow.sections.model import GaborEnergy, LinearNonlinear, Model, Network
from meiflow.sections.recording import Image, Quality, Selection, Session, Shown, Simulation
from meiflow.sections.stimuli import Gabor, Mei, Movie, Procedure, Stimuli

__all__ = [
    "Comparison",
    "Config",
    "Gabor",
    "GaborEnergy",
    "Image",
    "LinearNonlinear",
    "Mei",
    "Model",
    "Movie",
    "Network",
    "Procedure",
    "Quality",
    "Report",
    "Selection",
    "Session",
    "Shown",
    "Simulation",
    "Stimuli",
]


class Comparison(Section):
    """Image metrics."""

    mask_threshold: Positive = Field(default=1.5, description="|z-score| that starts the mask")
    notebook: bool = Field(
        default=False, description="measure each neuron as the notebook did, too, faults included"
    )


class Report(Section):
    """The HTML page."""

    title: str = Field(default="", max_length=200, description="empty: made from the session")


class Config(Section):
    """The whole configuration."""

    session: Session = Session()
    image: Image = Image()
    selection: Selection = Selection()
    model: Model = Model()
    mei: Mei = Mei()
    stimuli: Stimuli = Stimuli()
    movie: Movie = Movie()
    gabor: Gabor = Gabor()
    comparison: Comparison = Comparison()
    report: Report = Report()
    seed: int = Field(default=0, ge=0, lt=2**31, description="of everything random")
