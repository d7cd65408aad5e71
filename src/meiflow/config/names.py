"""Registry of the procedures that make additional stimuli, one entry each.

A procedure consists of its entry here and a function of the same name in
`meiflow.stages.procedures`. Rule, command, configuration, documentation and figures are derived
from the entry.
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
        One sentence for the help of the command and the documentation.
    keys : tuple of str
        Parts of the configuration that it reads, in addition to ``image`` and ``model.custom``;
        ``seed`` is included if the procedure draws random numbers.
    stimulus : str or None
        Name of its images in figures and in the closed loop; None if neither shows them. If there
        are several images per neuron, the first is shown.
    label, colour : str
        Label and colour of the stimulus in figures.
    place : int
        Position among the procedures in figures, from the left.
    excites : bool
        Whether its images are excitatory and therefore shown in the closed loop.
    needs_mei : bool
        Whether it needs the MEI made by the stimuli stage.
    needs_images : bool
        Whether it reads the image stack.
    needs_rf_map : bool
        Whether it compares its images with the RF maps of the models.
    on_card : bool
        Whether its images are shown on the page of each neuron.
    usual : bool
        Whether it is run by default.
    base_model : str or None
        Base model to which it applies; None for the whole model.
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
    needs_rf_map: bool = False
    on_card: bool = False
    usual: bool = True
    base_model: str | None = None

    @property
    def searches_naturals(self) -> bool:
        """Whether additional natural images are searched."""
        return "stimuli.natural_images" in self.keys


PROCEDURES: dict[str, Procedure] = {
    procedure.name: procedure
    for procedure in (
        Procedure(
            "population_mei",
            "MEIs of all neurons in one batch, from noise only, and the agreement of restarts.",
            ("mei", "seed"),
            "noise_mei",
            "MEI, from noise only",
            "#E4A188",
            0,
        ),
        Procedure(
            "cnn_mei",
            "MEI of the convolutional network, the base model cnn, alone.",
            ("mei", "seed"),
            "cnn_mei",
            "MEI, CNN alone",
            "#8C510A",
            1,
            usual=False,
            base_model="cnn",
        ),
        Procedure(
            "notebook_mei",
            "MEIs by the procedure of the notebook, including its faults.",
            (*_MATCHED, "stimuli.published_steps", "seed"),
            "notebook_mei",
            "MEI, notebook",
            "#E69F00",
            3,
            needs_images=True,
        ),
        Procedure(
            "walker_mei",
            "MEIs by the procedure of Walker et al. (2019).",
            (*_MATCHED, "stimuli.published_steps", "seed"),
            "walker_mei",
            "MEI, Walker et al.",
            "#CC79A7",
            2,
            needs_images=True,
        ),
        Procedure(
            "suppressive",
            "The image that suppresses each neuron most.",
            ("mei", "seed"),
            "suppressive",
            "most suppressive",
            "black",
            6,
            excites=False,
            needs_mei=True,
        ),
        Procedure(
            "diverse",
            "Set of different images that all excite a neuron nearly as much as its MEI.",
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
            "transparent",
            "MEI with an alpha channel, which shows the pixels that matter.",
            (
                *_MATCHED,
                "stimuli.transparent_fraction",
                "stimuli.transparent_background",
                "stimuli.transparent_backgrounds",
                "stimuli.transparent_steps",
                "seed",
            ),
            needs_mei=True,
            needs_images=True,
            needs_rf_map=True,
            on_card=True,
        ),
        Procedure(
            "robust_mei",
            "MEI that is robust to small scalings, rotations and shifts.",
            (
                "mei",
                "stimuli.robust_scale",
                "stimuli.robust_rotation_deg",
                "stimuli.robust_shift_deg",
                "seed",
            ),
            needs_mei=True,
            usual=False,
        ),
        Procedure(
            "natural",
            "Natural image with the highest predicted response, among the session's and others.",
            (*_MATCHED, "stimuli.natural_images"),
            needs_images=True,
        ),
        Procedure(
            "regularised_natural",
            "Best natural image, with everything irrelevant to the neuron faded to grey.",
            (*_MATCHED, "stimuli.natural_images", "stimuli.fade_steps"),
            "regularised_natural",
            "best natural, faded",
            "#8DD3A8",
            4,
            needs_images=True,
        ),
        Procedure(
            "receptive_field",
            "Linear RF of each model, and its gradient at grey.",
            (*_MATCHED, "stimuli.field_samples", "seed"),
            "linear_rf",
            "linear RF",
            "#7F7F7F",
            5,
            needs_images=True,
        ),
    )
}

USUAL_PROCEDURES = [p.name for p in PROCEDURES.values() if p.usual]
# Procedures shown on the pages of the neurons.
CARD_PROCEDURES = [p.name for p in PROCEDURES.values() if p.on_card]
# Procedure -> stimulus: those in figures, and those shown to simulated neurons.
PICTURED_PROCEDURES = {p.name: p.stimulus for p in PROCEDURES.values() if p.stimulus is not None}
SHOWN_PROCEDURES = {n: s for n, s in PICTURED_PROCEDURES.items() if PROCEDURES[n].excites}
