"""Section: the neurons' models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from meiflow.config.base import Amount, Degrees, InputPath, Positive, Section, each_once


class LinearNonlinear(Section):
    """One smooth, local filter and a rectifier."""

    widths_deg: list[Degrees] = Field(
        default=[5.0, 8.0, 12.0],
        min_length=1,
        max_length=64,
        description="of the window tried, sigma",
    )
    smoothness_deg: Degrees = Field(default=2.0, description="of the filter, sigma")
    penalties: list[Positive] = Field(
        default=[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
        min_length=1,
        max_length=64,
        description="penalties on the filter tried, in units of the variance of the responses",
    )


class GaborEnergy(Section):
    """One Gabor pair, rectified and squared, with divisive normalisation."""

    starts: int = Field(default=3, ge=1, le=8, description="orientations to start from")
    steps: int = Field(default=150, ge=1, le=100_000, description="gradient steps from each start")


class Network(Section):
    """Convolutional network of the members scratch, shared and pretrained."""

    readout: Literal["pyramid", "gaussian", "factorised"] = Field(
        default="pyramid", description="how it reads the feature maps"
    )
    channels: int = Field(default=64, ge=1, le=4096, description="of each block")
    layers: int = Field(default=3, ge=1, le=8, description="blocks, all of which are read")
    input_kernel: int = Field(default=4, ge=1, le=25, description="pixels")
    hidden_kernel: int = Field(default=3, ge=1, le=15, description="pixels")
    even_kernels: Literal["after", "before"] = Field(
        default="after",
        description="side to which they reach a pixel further: right and down, or left and up as "
        "the notebook's",
    )
    scales: int = Field(default=3, ge=1, le=5, description="levels of the readout's pyramid")
    positive_weights: bool = Field(default=False, description="of the readout")
    output: Literal["elu_plus_one", "linear"] = Field(
        default="elu_plus_one",
        description="what keeps counts positive; linear (the notebook's code) does not, and is "
        "fitted by squared error instead of Poisson loss",
    )
    laplace: Amount = Field(default=0.1, description="smoothness of the first kernels")
    group_sparsity: Amount = Field(default=0.1, description="of the other kernels")
    epochs: int = Field(default=100, ge=1, le=100_000, description="at most so many")
    patience: int = Field(
        default=10, ge=1, le=100_000, description="epochs without a better correlation"
    )
    batch: int = Field(default=32, ge=2, le=100_000, description="images")
    learning_rate: Positive = Field(default=0.005, description="a fifth of it at the end")
    weight_decay: Amount = Field(default=0.0001, description="of AdamW")
    seeds: int = Field(default=1, ge=1, le=20, description="networks whose mean is taken")
    core: InputPath | None = Field(
        default=None, description="file of a pretrained core (meiflow pretrain)"
    )
    fine_tuning: float = Field(
        default=0.0, ge=0, le=1, description="learning rate of a pretrained core, relative"
    )


MemberName = Literal["v1", "ln", "gabor_energy", "scratch", "shared", "pretrained"]


class Model(Section):
    """What a neuron's model is made of, and how it is fitted."""

    members: list[MemberName] = Field(
        default=["v1", "ln", "gabor_energy"],
        min_length=1,
        max_length=64,
        description="mixed with weights from held-out images; the first three are always scored",
    )
    extra: list[Literal["blank", "gratings"]] = Field(
        default=["blank"], description="stimuli of the session to learn from beside the images"
    )
    custom: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="module:function that returns an own torch module, used instead of ours",
    )
    ln: LinearNonlinear = LinearNonlinear()
    gabor_energy: GaborEnergy = GaborEnergy()
    network: Network = Network()

    wavelengths_deg: list[Degrees] = Field(
        default=[8.0, 11.3, 16.0, 22.6, 32.0],
        min_length=1,
        max_length=64,
        description="of the Gabor pairs",
    )
    orientations: int = Field(default=8, ge=2, le=36, description="of the Gabor pairs")
    envelope: Positive = Field(default=0.4, description="envelope sigma / wavelength")
    aspect: Positive = Field(default=1.3, description="envelope across / along the modulation")
    centre_sigmas_deg: list[Degrees] = Field(
        default=[2.0, 2.8, 4.0, 5.6],
        min_length=1,
        max_length=64,
        description="of the ON/OFF filters",
    )
    pool_sigmas_deg: list[Degrees] = Field(
        default=[4.0, 8.0, 16.0],
        min_length=1,
        max_length=64,
        description="windows that measure local contrast",
    )
    semisaturation: Positive = Field(default=0.1, description="of the normalised channels")
    stride: int = Field(default=2, ge=1, le=8, description="pixels between searched places")
    penalties: list[Positive] = Field(
        default=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
        min_length=1,
        max_length=64,
        description="ridge penalties tried, in units of the mean squared feature",
    )
    reweightings: int = Field(default=0, ge=0, le=5, description="sparsifying passes")
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.25, 0.5, 0.75],
        description="shares of the training images with which the models are fitted again",
    )
    folds: int = Field(default=5, ge=2, le=50, description="cross-validation folds over images")

    @field_validator("members", "extra")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return each_once(names)

    @model_validator(mode="after")
    def _core_is_there(self) -> Model:
        if "pretrained" in self.members and self.network.core is None:
            raise ValueError(
                "members: pretrained needs model.network.core, the file of a core; "
                "meiflow pretrain makes one"
            )
        return self
