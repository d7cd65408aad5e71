"""Section: models of the neurons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from meiflow.config.base import (
    CUSTOM_FILES,
    FUNCTION,
    Amount,
    CustomFiles,
    Degrees,
    InputPath,
    Positive,
    Section,
    each_once,
)
from meiflow.config.cores import KNOWN_CORES
from meiflow.config.seen import SeenImages


class LinearNonlinear(Section):
    """One smooth, local filter and a rectifier."""

    widths_deg: list[Degrees] = Field(
        default=[5.0, 8.0, 12.0],
        min_length=1,
        max_length=64,
        description="candidate widths (sigma) of the Gaussian window",
    )
    smoothness_deg: Degrees = Field(default=2.0, description="smoothness of the filter (sigma)")
    penalties: list[Positive] = Field(
        default=[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
        min_length=1,
        max_length=64,
        description="candidate penalties on the filter, in units of the variance of the responses",
    )


class Window(Section):
    """Readout of many positions through a window: base models v1_window and core_window."""

    sigmas_deg: list[Degrees] = Field(
        default=[6.0, 12.0],
        min_length=1,
        max_length=64,
        description="candidate widths (sigma) of the Gaussian window",
    )
    spacing_deg: Degrees = Field(
        default=8.0, description="approximate distance between the positions that are read"
    )
    penalties: list[Positive] = Field(
        default=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
        min_length=1,
        max_length=64,
        description="candidate ridge penalties, in units of the mean squared feature",
    )
    rank: int = Field(
        default=16,
        ge=1,
        le=512,
        description="number of products of a map of positions and a profile of channels to which "
        "the weights are reduced",
    )


class GaborEnergy(Section):
    """One Gabor pair, rectified and squared, with divisive normalisation."""

    starts: int = Field(default=3, ge=1, le=8, description="number of orientations to start from")
    steps: int = Field(
        default=150, ge=1, le=100_000, description="number of gradient steps from each start"
    )


class CoreInput(SeenImages):
    """How a published core sees images, and which of its layers are read."""

    layers: int = Field(default=2, ge=1, le=16, description="number of last layers that are read")


class Training(Section):
    """Training of a network by gradient descent, with early stopping."""

    epochs: int = Field(default=100, ge=1, le=100_000, description="maximum number of epochs")
    patience: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="number of epochs without a higher correlation before training stops",
    )
    batch: int = Field(default=32, ge=2, le=100_000, description="number of images per batch")
    learning_rate: Positive = Field(
        default=0.005, description="initial learning rate; a fifth of it at the end"
    )
    weight_decay: Amount = Field(default=0.0001, description="weight decay of AdamW")


class Cnn(Training):
    """Convolutional network of the base model cnn, on the V1 front end or on a published core."""

    first_layer: Literal["v1", "core"] = Field(
        default="v1",
        description="fixed first layer: channels of the V1 front end, or of model.network.core",
    )
    channels: int = Field(default=16, ge=1, le=1024, description="number of learned channels")
    scales: int = Field(
        default=2, ge=1, le=5, description="number of levels of the readout's pyramid"
    )
    networks: int = Field(
        default=5, ge=1, le=20, description="number of networks, whose predictions are averaged"
    )
    patience: int = Field(
        default=5,
        ge=1,
        le=100_000,
        description="number of epochs without a higher correlation before training stops",
    )
    learning_rate: Positive = Field(default=0.005, description="learning rate")


class Network(Training):
    """Convolutional network of the base models scratch, shared and pretrained."""

    readout: Literal["pyramid", "gaussian", "factorised"] = Field(
        default="pyramid", description="type of readout from the feature maps"
    )
    channels: int = Field(default=64, ge=1, le=4096, description="number of channels of each block")
    layers: int = Field(
        default=3, ge=1, le=8, description="number of blocks; the readout uses all of them"
    )
    input_kernel: int = Field(
        default=4, ge=1, le=25, description="size of the first kernels in pixels"
    )
    hidden_kernel: int = Field(
        default=3, ge=1, le=15, description="size of the other kernels in pixels"
    )
    even_kernels: Literal["after", "before"] = Field(
        default="after",
        description="side on which even kernels extend one pixel further: right and down, or left "
        "and up as in the notebook",
    )
    scales: int = Field(
        default=3, ge=1, le=5, description="number of levels of the readout's pyramid"
    )
    positive_weights: bool = Field(
        default=False, description="restrict the readout weights to positive values"
    )
    output: Literal["elu_plus_one", "linear"] = Field(
        default="elu_plus_one",
        description="nonlinearity that keeps counts positive; linear (as in the notebook's code) "
        "does not, and is fitted with squared error instead of the Poisson loss",
    )
    laplace: Amount = Field(default=0.1, description="smoothness penalty on the first kernels")
    group_sparsity: Amount = Field(
        default=0.1, description="group-sparsity penalty on the other kernels"
    )
    seeds: int = Field(
        default=1, ge=1, le=20, description="number of networks, whose predictions are averaged"
    )
    core: InputPath | None = Field(
        default=None,
        description="file of a core: made by meiflow pretrain for the base model pretrained, or a "
        "published one for core_window; the name of a known one, sensorium, which meiflow core "
        "downloads; or module:function, which returns any torch module with feature maps",
    )
    core_input: CoreInput = CoreInput()
    fine_tuning: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="learning rate of a pretrained core, relative to learning_rate",
    )

    @property
    def own_core(self) -> str | None:
        """The core as ``module:function``, if it is one."""
        return self.core if self.core and re.match(FUNCTION, self.core) else None

    @property
    def core_path(self) -> Path | None:
        """File of the core, which may be given by name."""
        if self.core is None or self.own_core is not None:
            return None
        return KNOWN_CORES[self.core].path if self.core in KNOWN_CORES else Path(self.core)

    @property
    def core_seen(self) -> CoreInput:
        """How the core sees images: as known for its name, or as configured."""
        known = KNOWN_CORES.get(self.core or "")
        return self.core_input.model_copy(update=known.seen) if known else self.core_input


MemberName = Literal[
    "v1",
    "v1_window",
    "core_window",
    "cnn",
    "ln",
    "gabor_energy",
    "scratch",
    "shared",
    "pretrained",
]


class Model(Section):
    """Composition of a neuron's model, and how it is fitted."""

    base_models: list[MemberName] = Field(
        default=["v1", "v1_window", "cnn", "ln", "gabor_energy"],
        min_length=1,
        max_length=64,
        description="base models, combined with weights from held-out images; v1, ln and "
        "gabor_energy are always scored",
    )
    stacking_prior: Literal["equal", "session"] = Field(
        default="session",
        description="prior of the weights of the base models: equal, or those that suit the other "
        "neurons of the session",
    )
    learn_from: list[
        Literal["scenes", "blanks", "movies", "static_gratings", "gabors", "drifting_gratings"]
    ] = Field(
        default=["scenes", "blanks", "movies", "static_gratings"],
        description="stimuli of the session to which models are fitted, where they were shown; "
        "scenes are required, because models are scored on them; only v1, v1_window and "
        "core_window learn from gabors and drifting_gratings",
    )
    movie_images: int = Field(
        default=150,
        ge=4,
        le=2000,
        description="maximum number of images from natural movies; similar ones are averaged",
    )
    gain: Literal["none", "behaviour", "population", "auto"] = Field(
        default="none",
        description="gain of single trials, so that models are fitted to means at one state of the "
        "animal: none; from running speed and pupil area (behaviour), or from the other neurons "
        "(population); auto: behaviour where recorded, else population",
    )
    custom: str | None = Field(
        default=None,
        pattern=FUNCTION,
        description="module:function that returns a custom torch module, used instead of our model",
    )
    custom_files: CustomFiles = Field(
        default=[], description=f"for custom and network.core: {CUSTOM_FILES}"
    )
    ln: LinearNonlinear = LinearNonlinear()
    window: Window = Window()
    gabor_energy: GaborEnergy = GaborEnergy()
    cnn: Cnn = Cnn()
    network: Network = Network()

    wavelengths_deg: list[Degrees] = Field(
        default=[8.0, 11.3, 16.0, 22.6, 32.0],
        min_length=1,
        max_length=64,
        description="wavelengths of the Gabor pairs",
    )
    orientations: int = Field(
        default=8, ge=2, le=36, description="number of orientations of the Gabor pairs"
    )
    sigma_over_wavelength: Positive = Field(
        default=0.4, description="sigma over wavelength of the Gabor pairs"
    )
    aspect: Positive = Field(
        default=1.3,
        description="sigma across over sigma along the modulation (1/gamma of the usual Gabor)",
    )
    centre_sigmas_deg: list[Degrees] = Field(
        default=[2.0, 2.8, 4.0, 5.6],
        min_length=1,
        max_length=64,
        description="sigmas of the centres of the ON and OFF filters",
    )
    pool_sigmas_deg: list[Degrees] = Field(
        default=[4.0, 8.0, 16.0],
        min_length=1,
        max_length=64,
        description="sigmas of the windows that measure local contrast",
    )
    semisaturation: Positive = Field(
        default=0.1, description="semi-saturation contrast of the normalised channels"
    )
    stride: int = Field(
        default=2, ge=1, le=8, description="distance between candidate RF positions, in pixels"
    )
    penalties: list[Positive] = Field(
        default=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
        min_length=1,
        max_length=64,
        description="candidate ridge penalties, in units of the mean squared feature",
    )
    reweightings: int = Field(default=0, ge=0, le=5, description="number of sparsifying passes")
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.25, 0.5, 0.75],
        description="fractions of the training images to which the models are refitted",
    )
    folds: int = Field(
        default=5, ge=2, le=50, description="number of cross-validation folds over images"
    )

    @field_validator("base_models", "learn_from")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return each_once(names)

    @field_validator("learn_from")
    @classmethod
    def _scenes_are_learned(cls, names: list[str]) -> list[str]:
        if "scenes" not in names:
            raise ValueError(
                "learn_from: scenes are required, because models are scored on them; add scenes"
            )
        return names

    @model_validator(mode="after")
    def _core_is_there(self) -> Model:
        on_core = "cnn" in self.base_models and self.cnn.first_layer == "core"
        used = [*self.base_models, *(["cnn with first_layer core"] if on_core else [])]
        for name, source in (
            ("pretrained", "create one with meiflow pretrain"),
            ("core_window", "for example sensorium_sota_model.pth (docs/methods.md)"),
            ("cnn with first_layer core", "for example sensorium (docs/methods.md)"),
        ):
            if name in used and self.network.core is None:
                raise ValueError(
                    f"base_models: {name} needs model.network.core, the file of a core; {source}"
                )
        if "pretrained" in self.base_models and self.network.own_core is not None:
            raise ValueError(
                "base_models: pretrained needs a core made by meiflow pretrain, not a "
                "module:function; use core_window or cnn with first_layer core"
            )
        if {"pretrained", "core_window"} <= set(self.base_models):
            raise ValueError(
                "base_models: pretrained and core_window need different cores; name one of them"
            )
        return self
