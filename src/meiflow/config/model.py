"""Section: models of the neurons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

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
from meiflow.config.base_models import (
    MEMBERS,
    WINDOW_MEMBERS,
    GaborEnergy,
    LinearNonlinear,
    MemberName,
    Window,
)
from meiflow.config.cores import KNOWN_CORES, RECOMMENDED, KnownCore
from meiflow.config.seen import SeenImages
from meiflow.errors import MeiflowError

AUTO = "auto"


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
        default=AUTO,
        description="core that core_window reads: auto, for source allen sensorium, which is "
        "downloaded with the session, and none for other sources; null: none; the name of a known "
        "one, sensorium, which meiflow core downloads; a file, published or, for the base model "
        "pretrained, made by meiflow pretrain; or module:function, which returns any torch module "
        "with feature maps",
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
    def known_core(self) -> KnownCore | None:
        """The core, if it is given by name."""
        return KNOWN_CORES.get(self.core or "")

    @property
    def core_path(self) -> Path | None:
        """File of the core, which may be given by name."""
        if self.core is None or self.core == AUTO or self.own_core is not None:
            return None
        return self.known_core.path if self.known_core else Path(self.core)

    @property
    def core_seen(self) -> CoreInput:
        """How the core sees images: as known for its name, or as configured."""
        known = self.known_core
        return self.core_input.model_copy(update=known.seen) if known else self.core_input


class Model(Section):
    """Composition of a neuron's model, and how it is fitted."""

    base_models: (
        Literal["auto"] | Annotated[list[MemberName], Field(min_length=1, max_length=64)]
    ) = Field(
        default="auto",
        description="base models, combined with weights from held-out images; auto: v1, v1_window, "
        "cnn, ln and gabor_energy, and core_window if there is a core (model.network.core); v1, ln "
        "and gabor_energy are always scored",
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
    gaze: Literal["none", "shift", "auto"] = Field(
        default="none",
        description="images shifted by gaze, where it was recorded: none, shift, or auto: in every "
        "fold whose training images are explained better by it",
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
        default=3, ge=1, le=8, description="distance between candidate RF positions, in pixels"
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
        description="fractions of the training images to which the models of the learning curve "
        "are refitted",
    )
    curve_models: (
        Literal["auto"] | Annotated[list[MemberName], Field(min_length=1, max_length=64)]
    ) = Field(
        default="auto",
        description="base models of the learning curve, some of base_models; auto: v1_window and "
        "core_window, which are fitted in closed form, or all if neither is a base model",
    )
    folds: int = Field(
        default=5, ge=2, le=50, description="number of cross-validation folds over images"
    )

    @property
    def members(self) -> list[MemberName]:
        """The base models."""
        if isinstance(self.base_models, list):
            return self.base_models
        without_core = self.network.core in (None, AUTO)
        return [name for name in MEMBERS if name != "core_window" or not without_core]

    @property
    def curve_members(self) -> list[MemberName]:
        """The base models of the learning curve."""
        if isinstance(self.curve_models, list):
            return [name for name in self.members if name in self.curve_models] or self.members
        return [name for name in self.members if name in WINDOW_MEMBERS] or self.members

    def for_source(self, source: str) -> Model:
        """The section with the core of a session source in place of auto.

        Raises
        ------
        MeiflowError
            If a base model needs a core, and there is none.

        Examples
        --------
        >>> model = Model().for_source("allen")
        >>> model.network.core, "core_window" in model.members
        ('sensorium', True)
        >>> Model().for_source("simulated").members
        ['v1', 'v1_window', 'cnn', 'ln', 'gabor_energy']
        """
        if self.network.core != AUTO:
            return self
        reads = self.base_models == AUTO or self._on_core
        core = RECOMMENDED if source == "allen" and reads else None
        network = self.network.model_copy(update={"core": core})
        found = self.model_copy(update={"network": network})
        fault = found._without_core()
        if fault is not None:
            raise MeiflowError(f"model.{fault}")
        return found

    @property
    def _on_core(self) -> list[str]:
        """Base models that read a core, in the words of messages."""
        on_core = "cnn" in self.members and self.cnn.first_layer == "core"
        readers = [name for name in self.members if name in ("pretrained", "core_window")]
        return [*readers, *(["cnn with first_layer core"] if on_core else [])]

    def _without_core(self) -> str | None:
        """What is wrong if a base model reads a core, and there is none."""
        own = "pretrained" in self.members  # which auto does not provide
        if not self._on_core or self.network.core not in (None, AUTO if own else None):
            return None
        name = "pretrained" if own else self._on_core[0]
        source = (
            "the file of a core; create one with meiflow pretrain"
            if name == "pretrained"
            else f"for example {RECOMMENDED}, which meiflow core {RECOMMENDED} downloads"
        )
        return f"base_models: {name} needs model.network.core, {source}"

    @field_validator("base_models", "learn_from", "curve_models")
    @classmethod
    def _each_once(cls, names: Any) -> Any:
        return each_once(names) if isinstance(names, list) else names

    @field_validator("learn_from")
    @classmethod
    def _scenes_are_learned(cls, names: list[str]) -> list[str]:
        if "scenes" not in names:
            raise ValueError(
                "learn_from: scenes are required, because models are scored on them; add scenes"
            )
        return names

    @model_validator(mode="after")
    def _core_fits(self) -> Model:
        fault = self._without_core()
        if fault is not None:
            raise ValueError(fault)
        if "pretrained" in self.members and self.network.own_core is not None:
            raise ValueError(
                "base_models: pretrained needs a core made by meiflow pretrain, not a "
                "module:function; use core_window or cnn with first_layer core"
            )
        # core_window may be added by the source of the session
        unknown = set(self.curve_models) - {*self.members, "core_window", AUTO}
        if isinstance(self.curve_models, list) and unknown:
            raise ValueError(
                f"curve_models: {min(unknown)} is not one of the base models (base_models); add it "
                "there, or remove it here"
            )
        if {"pretrained", "core_window"} <= set(self.members):
            raise ValueError(
                "base_models: pretrained and core_window need different cores; name one of them"
            )
        return self
