"""The configuration's sections: every key, its type, its range and its default, in one place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from meiflow.geometry import ALLEN_HEIGHT_DEG, ALLEN_WIDTH_DEG, Geometry

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Quality(_Section):
    """Unit quality filters; the defaults are AllenSDK's. A metric that is NaN fails."""

    isi_violations_max: Positive = Field(default=0.5, description="at most")
    amplitude_cutoff_max: Positive = Field(default=0.1, description="at most")
    presence_ratio_min: Fraction = Field(default=0.95, description="at least")


class Simulation(_Section):
    """Size and kind of the simulated session (source simulated)."""

    units: dict[Identifier, Annotated[int, Field(ge=1, le=2000)]] = Field(
        min_length=1,
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
    repeats: int = Field(default=30, ge=2, description="presentations per image and of the blank")
    gabor_repeats: int = Field(default=5, ge=0, description="per Gabor condition (243)")
    grating_repeats: int = Field(default=5, ge=0, description="per static grating (120)")
    frame_height: int = Field(default=236, ge=40, le=918, description="pixels of the templates")
    frame_width: int = Field(default=302, ge=40, le=1174, description="pixels")
    mean_rate_hz: Positive = Field(default=4.0, description="median evoked rate of tuned units")
    gain_drift: float = Field(default=0.2, ge=0, le=1, description="std of the shared log gain")
    latency_s: float = Field(
        default=0.04, ge=0, le=0.2, description="from stimulus onset to response"
    )


class Session(_Section):
    """Where the recording comes from."""

    source: Literal["simulated", "allen", "nwb", "tables"] = Field(
        default="simulated", description="simulation, Allen warehouse, session NWB, or own CSV"
    )
    id: Identifier = Field(default="demo", description="name of the results folder")
    area: Identifier | Annotated[list[Identifier], Field(min_length=1)] = Field(
        default="VISam", description="structure acronym, list of acronyms, or 'all'"
    )
    nwb: str | None = Field(
        default=None,
        description="source nwb: a session NWB file; source allen: one already at hand",
    )
    images: str | None = Field(
        default=None, description="sources nwb and tables: folder of frame images or .npy stack"
    )
    trials: str | None = Field(
        default=None, description="source tables: CSV trial_id, neuron_id, spike_count, image_id"
    )
    warehouse: str = Field(
        default="http://api.brain-map.org",
        pattern=r"^https?://[^/\s]+$",
        description="source allen: address that AllenSDK asks; second choice for the session",
    )
    bucket: str = Field(
        default="https://allen-brain-observatory.s3.amazonaws.com",
        pattern=r"^https?://[^\s]+[^/\s]$",
        description="source allen: public S3 bucket, first choice for the session file",
    )
    window_s: tuple[float, float | None] = Field(
        default=(0.0, 0.25),
        description="spikes are counted from/to these seconds after onset; a null end is the "
        "presentation's own",
    )
    quality: Quality = Quality()
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
        if self.source == "allen" and not self.id.isdigit():
            raise ValueError(
                f"id: source allen needs a numeric ecephys session id such as 798911424, "
                f"got {self.id!r}"
            )
        return self

    @property
    def areas(self) -> tuple[str, ...] | None:
        """The areas asked for, or None for all of them."""
        areas = [self.area] if isinstance(self.area, str) else list(self.area)
        return None if areas == ["all"] else tuple(areas)


class Image(_Section):
    """Image size in pixels and the visual angle it spans."""

    height: int = Field(default=60, ge=8, le=512, description="pixels")
    width: int = Field(default=96, ge=8, le=512, description="pixels")
    width_deg: Positive = Field(default=ALLEN_WIDTH_DEG, description="degrees spanned")
    height_deg: Positive = Field(default=ALLEN_HEIGHT_DEG, description="degrees spanned")

    @property
    def geometry(self) -> Geometry:
        """The grid these numbers describe."""
        return Geometry(self.height, self.width, self.width_deg, self.height_deg)


class Selection(_Section):
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
    top_k: int | None = Field(default=None, ge=1, description="at most so many, the highest first")
    rank_by: str = Field(default="oracle", description="measure that ranks them for top_k")
    include: list[str] = Field(default=[], description="neuron ids selected whatever the rest says")
    exclude: list[str] = Field(default=[], description="neuron ids never selected")
    shuffles: int = Field(
        default=2000,
        ge=100,
        le=100_000,
        description="shuffles behind oracle_p, resamples behind its interval",
    )
    notebook_measures: bool = Field(
        default=False, description="add the notebook's measures, to compare or to select by"
    )

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _ids_as_text(cls, value: Any) -> Any:
        return (
            [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
            if isinstance(value, list)
            else value
        )

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


class LinearNonlinear(_Section):
    """One smooth, local filter and a rectifier."""

    widths_deg: list[Positive] = Field(
        default=[5.0, 8.0, 12.0], min_length=1, description="of the window tried, sigma"
    )
    smoothness_deg: Positive = Field(default=2.0, description="of the filter, sigma")
    penalties: list[Positive] = Field(
        default=[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
        min_length=1,
        description="penalties on the filter tried, in units of the variance of the responses",
    )


class GaborEnergy(_Section):
    """One Gabor pair, rectified and squared, with divisive normalisation."""

    starts: int = Field(default=3, ge=1, le=8, description="orientations to start from")
    steps: int = Field(default=150, ge=1, description="gradient steps from each start")


class Network(_Section):
    """Convolutional network of the members scratch, shared and pretrained."""

    readout: Literal["pyramid", "gaussian", "factorised"] = Field(
        default="pyramid", description="how it reads the feature maps"
    )
    channels: int = Field(default=64, ge=1, description="of each block")
    layers: int = Field(default=3, ge=1, le=8, description="blocks, all of which are read")
    input_kernel: int = Field(default=4, ge=1, le=25, description="pixels")
    hidden_kernel: int = Field(default=3, ge=1, le=15, description="pixels")
    scales: int = Field(default=3, ge=1, le=5, description="levels of the readout's pyramid")
    positive_weights: bool = Field(default=False, description="of the readout")
    laplace: float = Field(default=0.1, ge=0, description="smoothness of the first kernels")
    group_sparsity: float = Field(default=0.1, ge=0, description="of the other kernels")
    epochs: int = Field(default=100, ge=1, description="at most so many")
    patience: int = Field(default=10, ge=1, description="epochs without a better correlation")
    batch: int = Field(default=32, ge=2, description="images")
    learning_rate: Positive = Field(default=0.005, description="a fifth of it at the end")
    weight_decay: float = Field(default=0.0001, ge=0, description="of AdamW")
    seeds: int = Field(default=1, ge=1, le=20, description="networks whose mean is taken")
    core: str | None = Field(
        default=None, description="file of a pretrained core (meiflow pretrain)"
    )
    fine_tuning: float = Field(
        default=0.0, ge=0, le=1, description="learning rate of a pretrained core, relative"
    )


MemberName = Literal["v1", "ln", "gabor_energy", "scratch", "shared", "pretrained"]


class Model(_Section):
    """What a neuron's model is made of, and how it is fitted."""

    members: list[MemberName] = Field(
        default=["v1", "ln", "gabor_energy"],
        min_length=1,
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

    wavelengths_deg: list[Positive] = Field(
        default=[8.0, 11.3, 16.0, 22.6, 32.0], min_length=1, description="of the Gabor pairs"
    )
    orientations: int = Field(default=8, ge=2, le=36, description="of the Gabor pairs")
    envelope: Positive = Field(default=0.4, description="envelope sigma / wavelength")
    aspect: Positive = Field(default=1.3, description="envelope across / along the modulation")
    centre_sigmas_deg: list[Positive] = Field(
        default=[2.0, 2.8, 4.0, 5.6], min_length=1, description="of the ON/OFF filters"
    )
    pool_sigmas_deg: list[Positive] = Field(
        default=[4.0, 8.0, 16.0], min_length=1, description="windows that measure local contrast"
    )
    semisaturation: Positive = Field(default=0.1, description="of the normalised channels")
    stride: int = Field(default=2, ge=1, le=8, description="pixels between searched places")
    penalties: list[Positive] = Field(
        default=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
        min_length=1,
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
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} stands there twice; name each once")
        return names

    @model_validator(mode="after")
    def _core_is_there(self) -> Model:
        if "pretrained" in self.members and self.network.core is None:
            raise ValueError(
                "members: pretrained needs model.network.core, the file of a core; "
                "meiflow pretrain makes one"
            )
        return self


class Mei(_Section):
    """Gradient ascent with fixed mean and RMS contrast."""

    steps: int = Field(default=100, ge=1, le=100_000, description="of gradient ascent")
    restarts: int = Field(default=12, ge=1, le=64, description="noise images to start from")
    step_size: tuple[Positive, Positive] = Field(
        default=(0.3, 0.01), description="first and last step, in units of the RMS contrast"
    )
    contrast: Annotated[float, Field(gt=0, lt=0.5)] | Literal["images"] = Field(
        default=0.05, description="RMS contrast of the whole image, or 'images': their mean"
    )
    mean: Annotated[float, Field(gt=0, lt=1)] | Literal["images"] = Field(
        default="images", description="mean luminance, or 'images': that of the images"
    )
    smoothing_exponent: float = Field(
        default=1.0, ge=0, le=4, description="gradient spectrum is multiplied by 1 / f**exponent"
    )


class Gabor(_Section):
    """Search of the best Gabor in silico."""

    wavelengths_deg: list[Positive] = Field(
        default=[8.0, 11.3, 16.0, 22.6, 32.0], min_length=1, description="of the grid"
    )
    orientations: int = Field(default=8, ge=1, le=36, description="of the grid")
    phases: int = Field(default=4, ge=1, le=36, description="of the grid")
    envelopes: list[Positive] = Field(
        default=[0.3, 0.5], min_length=1, description="envelope sigma / wavelength"
    )
    offsets: int = Field(default=3, ge=1, le=15, description="positions per axis about the field")
    refine_steps: int = Field(default=80, ge=0, le=5000, description="of gradient refinement")
    refine_top: int = Field(default=16, ge=1, le=256, description="best of the grid refined")


class Comparison(_Section):
    """Image metrics."""

    mask_threshold: Positive = Field(default=1.5, description="|z-score| that starts the mask")


class Report(_Section):
    """The HTML page."""

    title: str = Field(default="", max_length=200, description="empty: made from the session")


class Config(_Section):
    """The whole configuration."""

    session: Session = Session()
    image: Image = Image()
    selection: Selection = Selection()
    model: Model = Model()
    mei: Mei = Mei()
    gabor: Gabor = Gabor()
    comparison: Comparison = Comparison()
    report: Report = Report()
    seed: int = Field(default=0, ge=0, lt=2**31, description="of everything random")
