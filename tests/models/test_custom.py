"""A custom module is accepted if it works, and otherwise refused with a reason."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from meiflow.config.config import check_inputs, parse_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.custom import check_module, load_custom
from meiflow.models.documents import write_document
from meiflow.models.network import NeuronModel, load_model, save_model
from meiflow.models.soundness import check_on_images
from meiflow.progress import collect_notes

GRID = Geometry(8, 12, 24.0, 16.0)


class Good(nn.Module):
    def forward(self, images):
        return images.flatten(1).mean(1)


class Column(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(96, 1)

    def forward(self, images):
        return self.layer(images.flatten(1))


class Detached(Good):
    def forward(self, images):
        return super().forward(images.detach())


class Numpy(Good):
    def forward(self, images):
        return torch.as_tensor(images.detach().numpy().mean(axis=(1, 2, 3)))


class Wide(Good):
    def forward(self, images):
        return images.flatten(1)


class Nothing(Good):
    def forward(self, images):
        return None


class Infinite(Good):
    def forward(self, images):
        return super().forward(images) / 0


class Crash(Good):
    def forward(self, images):
        return images.reshape(3, 5)


class Constant(Good):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return self.value.expand(len(images))


class Noise(Good):
    def forward(self, images):
        return super().forward(images) + 0.1 * torch.rand(len(images))


class Dropout(Column):
    """Dropout that ignores the mode."""

    def forward(self, images):
        return self.layer(nn.functional.dropout(images.flatten(1), training=True))


class Counter(Good):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls += 1
        return super().forward(images) * (1 + 0.01 * self.calls)


class Hidden(Good):
    """Counts calls in an attribute."""

    calls = 0

    def forward(self, images):
        self.calls += 1
        return super().forward(images) + self.calls


class Normalised(Good):
    """Relative to the mean of the batch."""

    def forward(self, images):
        values = super().forward(images)
        return values / values.mean()


class BatchNorm(Column):
    def __init__(self):
        super().__init__()
        self.normal = nn.BatchNorm1d(96, track_running_stats=False)

    def forward(self, images):
        if len(images) == 1:  # as PyTorch requires more than one
            return self.layer(images.flatten(1))
        return self.layer(self.normal(images.flatten(1)))


class Silent(Good):
    def forward(self, images):
        return torch.relu(images - 100).flatten(1).mean(1)


class Bytes(Column):
    """A network that was trained on 0..255: its response hardly varies for 0..1."""

    def forward(self, images):
        return nn.functional.softplus(0.05 * super().forward(images)[:, 0] + 3)


class Rounded(Good):
    def forward(self, images):
        return torch.round(20 * super().forward(images))


class Centre(Good):
    """Responds to a few images only, as sparse neurons do."""

    def forward(self, images):
        return torch.relu(images[:, 0, 4, 6] - 0.9)


def elsewhere():
    return Column().to("meta").eval()


@pytest.mark.parametrize("module", [Good(), Column()])
def test_modules_that_work(module):
    assert check_module(module.eval(), GRID, "mine") is module


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (lambda images: images, "not a torch.nn.Module"),
        (Good().train(), "in training mode"),
        (nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(96, 1)), "in training mode"),
        (elsewhere(), "is on meta; return it with .cpu()"),
        (Detached().eval(), "not differentiable"),
        (Numpy().eval(), "not differentiable"),
        (Constant().eval(), "no finite gradient"),
        (Wide().eval(), r"returns \(3, 96\) for 3 images"),
        (Nothing().eval(), "returns NoneType"),
        (Infinite().eval(), "not finite"),
        (Noise().eval(), "other responses when the same images are shown again; remove noise"),
        (Dropout().eval(), "other responses when the same images are shown again"),
        (Counter().eval(), "changes its buffer calls when it is called"),
        (Hidden().eval(), "other responses when the same images are shown again"),
        (Normalised().eval(), "images shown alone than in a batch"),
        (BatchNorm().eval(), "images shown alone than in a batch"),
        (Crash().eval(), r"fails on images of shape \(3, 1, 8, 12\)"),
    ],
)
def test_modules_that_do_not(module, reason):
    with pytest.raises(MeiflowError, match=f"^mine: .*{reason}"):
        check_module(module, GRID, "mine")


@pytest.fixture
def pictures(rng):
    return rng.uniform(size=(40, *GRID.shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Silent(), r"response is 0 for all 24 images .*, but not if their luminance is multiplied"),
        (Constant(), r"response is 1 for all 24 images .*; images are luminance in 0..1"),
        (Rounded(), r"the gradient is zero at all 24 images"),
    ],
)
def test_modules_that_do_not_respond_to_the_images_of_the_session(module, reason, pictures):
    with pytest.raises(MeiflowError, match=f"^mine: .*{reason}"):
        check_on_images(module.eval(), pictures[:, None], "mine")


def test_modules_for_another_range_are_noted(pictures):
    torch.manual_seed(0)
    with collect_notes() as notes:
        check_on_images(Bytes().eval(), pictures[:, None], "mine")
    assert len(notes) == 1
    assert "hardly vary" in notes[0]
    assert "multiplied by 255" in notes[0]
    with collect_notes() as notes:
        for module in (Good(), Column(), Centre()):
            check_on_images(module.eval(), pictures[:, None], "mine")
    assert notes == []


@pytest.fixture
def custom_code(tmp_path, monkeypatch):
    text = """
        from torch import nn

        class Bright(nn.Module):
            def forward(self, images):
                return 3 * images.flatten(1).mean(1)

        def build(neuron, geometry):
            if neuron == "unknown":
                raise KeyError(neuron)
            return Bright().eval()

        def lazy(neuron, geometry):
            import myhelper
            return Bright().eval()

        number = 3
    """
    (tmp_path / "mymodels.py").write_text(textwrap.dedent(text))
    (tmp_path / "myhelper.py").write_text("")
    (tmp_path / "mybroken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mymodels", None)


def test_a_function_of_the_present_folder(custom_code, rng):
    images = rng.uniform(size=(4, *GRID.shape)).astype(np.float32)
    state = {"kind": "custom", "spec": "mymodels:build", "neuron": "7"}
    model = NeuronModel(GRID, 0.0, 0.0, [state], [1.0])
    np.testing.assert_allclose(model.predict(images), 3 * images.mean(axis=(1, 2)), rtol=1e-5)
    save_model(model, custom_code / "model.pt")
    again = load_model(custom_code / "model.pt", GRID, ["mymodels:build"])
    np.testing.assert_array_equal(again.predict(images), model.predict(images))
    assert str(custom_code) not in sys.path
    load_custom("mymodels:lazy", "7", GRID)
    with pytest.raises(
        ValueError, match=r"images have \(12, 8\) pixels; the model expects \(8, 12\)"
    ):
        model.predict(images.transpose(0, 2, 1))


def test_a_missing_module_is_noticed_before_anything_runs(custom_code):
    check_inputs(parse_config({"model": {"custom": "mymodels:build"}}))
    with pytest.raises(
        MeiflowError,
        match=r"model.custom: module 'nowhere' is neither in this folder nor installed",
    ):
        check_inputs(parse_config({"model": {"custom": "nowhere.models:build"}}))
    with pytest.raises(MeiflowError, match=r"model.network.core: none.pt does not exist"):
        check_inputs(parse_config({"model": {"network": {"core": "none.pt"}}}))
    for wrong, reason in (
        ({"custom": "no colon"}, "model.custom"),
        ({"base_models": ["ln", "ln"]}, "duplicate 'ln'"),
        ({"base_models": ["pretrained"]}, "pretrained needs model.network.core"),
    ):
        with pytest.raises(MeiflowError, match=reason):
            parse_config({"model": wrong})


def test_a_file_alone_never_calls_code(custom_code):
    """Only modules named in the configuration are imported."""
    state = {"kind": "custom", "spec": "mymodels:build", "neuron": "7"}
    save_model(NeuronModel(GRID, 0.0, 0.0, [state], [1.0]), custom_code / "model.pt")
    document = torch.load(custom_code / "model.pt", weights_only=True)
    document["base_models"][0]["spec"] = "os:system"
    document["base_models"][0]["neuron"] = "touch called"
    write_document(document, custom_code / "model.pt")
    for allowed in ([], ["mymodels:build"]):
        with pytest.raises(MeiflowError, match=r"made with the code of os:system, but the conf"):
            load_model(custom_code / "model.pt", GRID, allowed)
    assert not (custom_code / "called").exists()


@pytest.mark.parametrize(
    ("spec", "neuron", "reason"),
    [
        ("nowhere:build", "7", "No module named 'nowhere'"),
        ("mymodels:nothing", "7", "nothing"),
        ("mymodels:number", "7", "not callable"),
        ("mymodels:build", "unknown", "KeyError"),
        ("mybroken:build", "7", "ZeroDivisionError"),
    ],
)
def test_functions_that_do_not_work(custom_code, spec, neuron, reason):
    with pytest.raises(MeiflowError, match=f"model.custom {spec} .neuron {neuron}.: .*{reason}"):
        load_custom(spec, neuron, GRID)
