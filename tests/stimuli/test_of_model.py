"""`meiflow.mei`: linear neurons with MEIs known in closed form, in every kind of module."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch import nn

import meiflow as mf
from meiflow.errors import MeiflowError
from meiflow.images.patterns import gabor
from meiflow.models.fitted import FittedPopulation

SCREEN = mf.Geometry(20, 32, 64.0, 40.0)
CONTRAST = 0.05
QUICK = {"contrast": CONTRAST, "restarts": 3, "steps": 30}


def field(x, y):
    return torch.as_tensor(gabor(SCREEN, x, y, 16.0, 30.0, 0.0, 6.0), dtype=torch.float32)


FIELDS = torch.stack([field(12.0, 8.0), field(-10.0, 0.0)])


class Neurons(nn.Module):
    """Rectified linear neurons: images (batch, 1, height, width) to (batch, neurons)."""

    def __init__(self, fields=FIELDS):
        super().__init__()
        self.fields = nn.Parameter(fields.clone())

    def forward(self, images):
        return torch.einsum("bhw,nhw->bn", images[:, 0] - 0.5, self.fields).relu()


class First(Neurons):
    def forward(self, images):
        return super().forward(images)[:, 0]


class Column(Neurons):
    def forward(self, images):
        return super().forward(images)[:, :1]


class WithoutChannel(Neurons):
    def forward(self, images):
        if images.ndim != 3:
            raise ValueError("luminance images are needed")
        return super().forward(images[:, None])[:, 0]


class Rows(nn.Module):
    """A module that would give one number per row for images with a channel axis."""

    def forward(self, images):
        weights = FIELDS[0] if images.ndim == 3 else FIELDS[0][:, 0]
        return ((images - 0.5) * weights).sum((1, 2) if images.ndim == 3 else (1, 3))


def best_response(template):
    """A linear neuron's maximal response at this contrast without clipping (Cauchy-Schwarz)."""
    return CONTRAST * np.sqrt(template.numel()) * float((template - template.mean()).norm())


def correlation(image, template):
    return np.corrcoef(np.ravel(image), np.ravel(template))[0, 1]


@pytest.mark.parametrize(
    ("module", "more"),
    [
        (First(), {}),
        (Column(), {}),
        (WithoutChannel(), {}),
        (Rows(), {}),
        (Neurons(), {"neuron": 0}),
        (First().double(), {}),
    ],
    ids=["first", "column", "without channel", "rows", "several", "double"],
)
def test_the_mei_of_a_linear_neuron_is_its_field_in_every_kind_of_module(module, more, capfd):
    found = mf.mei(module.eval(), screen=SCREEN, **QUICK, **more)
    assert found.dims == ("y", "x")
    assert correlation(found, FIELDS[0]) > 0.999
    assert found.attrs["response"] == pytest.approx(best_response(FIELDS[0]), rel=2e-3)
    assert float(found.mean()) == pytest.approx(0.5, abs=1e-5)
    assert float(found.std()) == pytest.approx(CONTRAST, abs=1e-5)
    assert found.attrs["restarts"] == 3
    assert capfd.readouterr() == ("", "")


def test_outputs_are_chosen_by_number():
    found = mf.mei(Neurons().eval(), screen=SCREEN, neuron=1, **QUICK)
    assert correlation(found, FIELDS[1]) > 0.999


def test_starts_mean_and_seed_are_the_users():
    starts = np.random.default_rng(0).uniform(0, 1, (2, *SCREEN.shape))
    found = mf.mei(First().eval(), screen=SCREEN, starts=starts, mean=0.4, contrast=0.03, steps=5)
    assert float(found.mean()) == pytest.approx(0.4, abs=1e-5)
    assert found.attrs["restarts"] == 2
    assert "seed" not in found.attrs
    neuron = population(FIELDS[0])["u0"]
    one, same, other = (mf.mei(neuron, seed=seed, steps=1) for seed in (1, 1, 2))
    assert one.identical(same)
    assert not one.equals(other)


@pytest.mark.parametrize("draw", ["pcolormesh", "imshow"])
def test_it_is_drawn_the_right_way_up(draw):
    """A bright spot in the upper right of the screen is in the upper right of the figure."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    x, y = torch.as_tensor(SCREEN.x), torch.as_tensor(SCREEN.y)[:, None]
    spot = torch.exp(-((x - 20) ** 2 + (y - 12) ** 2) / 30).float()
    found = mf.mei(First(spot[None]).eval(), screen=SCREEN, **QUICK)
    row, column = np.unravel_index(found.values.argmax(), found.shape)
    brightest = found[row, column]
    assert float(brightest.x) == pytest.approx(20, abs=2)
    assert float(brightest.y) == pytest.approx(12, abs=2)
    assert found.x.attrs["units"] == found.y.attrs["units"] == "deg"
    figure, ax = plt.subplots(figsize=(4, 4), dpi=100)
    ax.set_position([0, 0, 1, 1])
    getattr(found.plot, draw)(ax=ax, cmap="gray", add_colorbar=False, add_labels=False)
    ax.axis("off")
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., 0].astype(float)
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert column / drawn.shape[1] == pytest.approx(0.5 + 20 / 64, abs=0.06)
    assert row / drawn.shape[0] == pytest.approx(0.5 - 12 / 40, abs=0.06)
    plt.close(figure)


class Flat(Neurons):
    def forward(self, images):
        return (super().forward(images)[:, 0] - 1e6).relu()


class Detached(Neurons):
    def forward(self, images):
        return super().forward(images.detach()).detach()[:, 0]


class InTime(Neurons):
    def forward(self, images):
        return super().forward(images)[:, None]


@pytest.mark.parametrize(
    ("module", "more", "reason"),
    [
        (First().train(), {"screen": SCREEN}, r"training mode.*call \.eval\(\)"),
        (lambda images: images, {"screen": SCREEN}, "not a torch.nn.Module"),
        (First().eval(), {}, r"pass screen=Geometry\("),
        (First().eval(), {"screen": mf.Geometry(5, 6)}, "fails on images of shape"),
        (Neurons().eval(), {"screen": SCREEN}, "has 2 outputs; choose one"),
        (
            Neurons().eval(),
            {"screen": SCREEN, "neuron": 2},
            "2 is out of range; Neurons",
        ),
        (InTime().eval(), {"screen": SCREEN}, r"\(3, 1, 2\) for 3 images"),
        (Detached().eval(), {"screen": SCREEN}, "not differentiable"),
        (Flat().eval(), {"screen": SCREEN, "restarts": 2}, "zero gradient at all 2 starts"),
        (First().eval(), {"screen": SCREEN, "contrast": 0.6}, "the maximum is 0.5"),
        (First().eval(), {"screen": SCREEN, "mean": 1.2}, "mean luminance within 0..1"),
        (First().eval(), {"screen": SCREEN, "restarts": 0}, "at least 1 each, got 0"),
        (First().eval(), {"screen": SCREEN, "starts": np.ones((20, 32))}, "images, height"),
    ],
)
def test_what_cannot_have_an_mei_is_refused_with_the_reason(module, more, reason):
    with pytest.raises(MeiflowError, match=reason):
        mf.mei(module, **more)


def test_the_module_is_left_as_it_was():
    module = First().eval()
    before = module.fields.detach().clone()
    mf.mei(module, screen=SCREEN, restarts=1, steps=2)
    assert torch.equal(module.fields, before)
    assert module.fields.grad is None
    assert module.fields.requires_grad


def population(*fields, mean=0.45):
    """Linear neurons far above threshold, as `meiflow.fit` would hold them."""
    states = [
        {"kind": "ln", "filter": f, "offset": 30.0, "baseline": -20.0, "scale": 1.0} for f in fields
    ]
    names = [f"u{i}" for i in range(len(fields))]
    documents = {
        name: {"x_deg": 0.0, "y_deg": 0.0, "base_models": [state], "weights": [1.0]}
        for name, state in zip(names, states, strict=True)
    }
    nothing = xr.DataArray(np.empty((0, len(names))), dims=("image", "neuron"))
    return FittedPopulation(SCREEN, documents, {}, pd.DataFrame(), nothing, mean)


def test_a_population_has_the_meis_of_its_neurons_one_by_one():
    pop = population(*FIELDS)
    together = mf.mei(pop, **QUICK)
    assert together.dims == ("neuron", "y", "x")
    expected = {"mean": 0.45, "rms_contrast": CONTRAST, "seed": 0, "restarts": 3}
    assert together.attrs == expected
    for name, template in zip(pop, FIELDS, strict=True):
        alone = mf.mei(pop[name], **QUICK)
        one = together.sel(neuron=name)
        np.testing.assert_allclose(one, alone, atol=1e-5)
        assert float(one.response) == pytest.approx(alone.attrs["response"], rel=1e-5)
        assert float(one.restarts_agreeing) == alone.attrs["restarts_agreeing"] == 1
        assert correlation(one, template) > 0.999
        # those of the images to which the population was fitted
        assert float(alone.mean()) == pytest.approx(0.45, abs=1e-5)


def test_many_neurons_are_done_in_several_batches(monkeypatch):
    together = mf.mei(population(*FIELDS), **QUICK)
    monkeypatch.setattr("meiflow.stimuli.of_model._BATCH", 3)
    xr.testing.assert_allclose(mf.mei(population(*FIELDS), **QUICK), together, atol=1e-5)


def test_a_neuron_that_responds_to_nothing_stops_no_other(caplog):
    found = mf.mei(population(FIELDS[0], torch.zeros(SCREEN.shape)), **QUICK)
    assert correlation(found.sel(neuron="u0"), FIELDS[0]) > 0.999
    assert found.sel(neuron="u1").isnull().all()
    assert "u1" in caplog.text
    with pytest.raises(MeiflowError, match="zero gradient"):
        mf.mei(population(torch.zeros(SCREEN.shape))["u0"], **QUICK)


def test_a_neuron_of_a_population_is_chosen_by_its_id():
    with pytest.raises(MeiflowError, match=r"population\[id\]"):
        mf.mei(population(*FIELDS), neuron=0)
    with pytest.raises(MeiflowError, match="the model expects"):
        mf.mei(population(*FIELDS), screen=mf.Geometry(5, 6))
