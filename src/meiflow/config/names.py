"""The procedures that make further stimuli: one entry each, which everything else reads.

A procedure is its entry here and one function of the same name in `meiflow.stages.procedures`.
Rule, command, configuration, documentation and figures follow from the entry.
"""

from __future__ import annotations

from dataclasses import dataclass

_MATCHED = ("mei.mean", "mei.contrast")


@dataclass(frozen=True)
class Procedure:
    """A kind of optimal stimulus, made for all fitted neurons in one job.

    Parameters
    ----------
    name : str
    about : str
        One sentence: help of the command, and documentation.
    keys : tuple of str
        What it reads of the configuration, beside ``image``, ``model.custom`` and ``seed`` where
        that is drawn from.
    stimulus : str or None
        What figures and the closed loop call its images; None if neither shows them. Of several
        images per neuron, the first is shown.
    label, colour : str
        How figures show that stimulus.
    place : int
        Its place among those of the procedures in figures, from the left.
    excites : bool
        Whether its images are meant to excite, so that the closed loop shows them.
    needs_mei : bool
        Whether it starts from the MEI of the stimuli stage.
    needs_images : bool
        Whether it reads the image stack.
    """

    name: str
    about: str
    keys: tuple[str, ...]
    stimulus: str | None = None
    label: str = ""
    colour: str = ""
    place: int = 0
    excites: bool = True
    needs_mei: bool = False
    needs_images: bool = False

    @property
    def searches_naturals(self) -> bool:
        """Whether further natural images are searched."""
        return "stimuli.natural_images" in self.keys


PROCEDURES: dict[str, Procedure] = {
    procedure.name: procedure
    for procedure in (
        Procedure(
            "population_mei",
            "MEIs of all neurons in one batch, from noise, and how far restarts agree.",
            ("mei", "seed"),
            "noise_mei",
            "MEI, from noise alone",
            "#E4A188",
            0,
        ),
        Procedure(
            "notebook_mei",
            "MEIs by the procedure of the notebook, faults included.",
            (*_MATCHED, "stimuli.published_steps", "seed"),
            "notebook_mei",
            "MEI, notebook",
            "#E69F00",
            2,
            needs_images=True,
        ),
        Procedure(
            "walker_mei",
            "MEIs by the procedure of Walker et al. (2019).",
            (*_MATCHED, "stimuli.published_steps", "seed"),
            "walker_mei",
            "MEI, Walker et al.",
            "#CC79A7",
            1,
            needs_images=True,
        ),
        Procedure(
            "suppressive",
            "The images that suppress each neuron most.",
            ("mei", "seed"),
            "suppressive",
            "most suppressive",
            "black",
            5,
            excites=False,
            needs_mei=True,
        ),
        Procedure(
            "diverse",
            "Sets of different images that all excite a neuron nearly as much as its MEI.",
            (
                *_MATCHED,
                "stimuli.diverse_images",
                "stimuli.diverse_fraction",
                "stimuli.diverse_steps",
                "seed",
            ),
            needs_mei=True,
        ),
        Procedure(
            "natural",
            "The natural image that each neuron responds to most, of the session's and others.",
            (*_MATCHED, "stimuli.natural_images"),
            needs_images=True,
        ),
        Procedure(
            "regularised_natural",
            "Best natural images, with everything faded that does not change the response.",
            (*_MATCHED, "stimuli.natural_images", "stimuli.fade_steps"),
            "regularised_natural",
            "best natural, faded",
            "#8DD3A8",
            3,
            needs_images=True,
        ),
        Procedure(
            "receptive_field",
            "Linear receptive field of each model, and its gradient at grey.",
            (*_MATCHED, "stimuli.field_samples", "seed"),
            "linear_field",
            "linear field",
            "#7F7F7F",
            4,
            needs_images=True,
        ),
    )
}

# Procedure -> stimulus: what figures show, and what is shown to simulated neurons.
PICTURED_PROCEDURES = {p.name: p.stimulus for p in PROCEDURES.values() if p.stimulus is not None}
SHOWN_PROCEDURES = {n: s for n, s in PICTURED_PROCEDURES.items() if PROCEDURES[n].excites}
