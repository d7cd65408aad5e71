"""Feature maps of published cores, compared with the modules of which they were made."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from meiflow.config.model import CoreInput
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.core_maps import CoreMaps
from meiflow.models.documents import write_document
from meiflow.models.members import build_member
from meiflow.models.published_core import PublishedCore, read_core

SCREEN = Geometry(20, 32, 64.0, 40.0)
SEEN = CoreInput(deg_per_px=2.0, mean=0.4, sd=0.2, layers=2)


def published(layers=3, channels=5):
    """Modules of a core, and their state dict with the names of neuralpredictors."""
    torch.manual_seed(0)
    modules, state = [], {"readout.mouse.bias": torch.zeros(3)}
    for i in range(layers):
        if i == 0:
            parts = {"conv": nn.Conv2d(1, channels, 5, bias=False)}
        else:
            parts = {
                "ds_conv.in_depth_conv": nn.Conv2d(channels, channels, 1, bias=False),
                "ds_conv.spatial_conv": nn.Conv2d(
                    channels, channels, 3, padding=1, groups=channels, bias=False
                ),
                "ds_conv.out_depth_conv": nn.Conv2d(channels, channels, 1, bias=False),
            }
        parts["norm"] = nn.BatchNorm2d(channels)
        nn.init.normal_(parts["norm"].running_mean)
        nn.init.uniform_(parts["norm"].running_var, 0.5, 2)
        for name, part in parts.items():
            for key, value in part.state_dict().items():
                state[f"core.features.layer{i}.{name}.{key}"] = value
        modules.append(nn.Sequential(*parts.values(), nn.ELU()).eval())
    return modules, state


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("core") / "core.pth"
    torch.save(published()[1], path)
    return path


# The published file, which is not part of the project.
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "twins"


@pytest.mark.skipif(not REAL.is_dir(), reason="the published core is not here")
def test_the_published_core_itself_is_read():
    core = PublishedCore(read_core(REAL / "sensorium_sota_model.pth"), 2)
    maps = CoreMaps(core, SCREEN, 8.0, SEEN)
    with torch.no_grad():
        found = maps((torch.rand(2, *SCREEN.shape) - 0.5).flatten(1))
    assert len(found) == 2
    assert torch.isfinite(found).all()
    assert (found.flatten(1).std(dim=1) > 0.01).all()


def test_maps_are_those_of_the_published_modules(path):
    """At the core's own pixels, with grey beyond the screen."""
    images = torch.rand(4, *SCREEN.shape)
    maps = CoreMaps(PublishedCore(read_core(path), 2), SCREEN, 8.0, SEEN)
    with torch.no_grad():
        found = maps((images - 0.5).flatten(1))
        x = nn.functional.pad((images[:, None] - 0.4) / 0.2, (2, 2, 2, 2), value=0.1 / 0.2)
        outputs = []
        for module in published()[0]:
            x = module(x)
            outputs.append(x)
    expected = torch.cat(outputs[1:], 1)
    for position, (x, y) in enumerate(zip(maps.x, maps.y, strict=True)):
        row, column = (round(float(v)) for v in SCREEN.to_pixels(x, y))
        at = expected[:, :, row, column]
        torch.testing.assert_close(found[:, position], at, rtol=1e-4, atol=1e-5)
    assert len(maps.x) == 5 * 8
    assert abs(maps.x.mean()) < 2
    assert abs(maps.y.mean()) < 2


@pytest.mark.parametrize("pixels", [(40, 64), (10, 16), (20, 33)])
def test_images_of_any_resolution_are_resampled_to_the_core(path, pixels):
    """A grating of 0.03 cycles/degree looks the same whatever the number of pixels."""
    found = []
    for shape in ((20, 32), pixels):
        screen = Geometry(*shape, 64.0, 40.0)
        grating = 0.3 * np.cos(2 * np.pi * 0.03 * screen.x)[None].repeat(shape[0], 0)
        maps = CoreMaps(PublishedCore(read_core(path), 2), screen, 8.0, SEEN)
        with torch.no_grad():
            found.append(maps(torch.as_tensor(grating, dtype=torch.float32).reshape(1, -1)))
    inner = np.abs(maps.x) < 20
    a, b = (f[0, inner].flatten().numpy() for f in found)
    assert np.corrcoef(a, b)[0, 1] > 0.98


def test_a_document_rebuilds_the_maps(path):
    maps = CoreMaps(PublishedCore(read_core(path), 2), SCREEN, 8.0, SEEN)
    state = {
        "kind": "core_window",
        "maps": maps.as_document(),
        "box": [1, 2, 2, 4],
        "positions": torch.ones(8, 1),
        "channels": torch.ones(1, len(maps.prior)),
        "bias": 500.0,
        "floor": 0.1,
    }
    contrast = torch.rand(2, 640) - 0.5
    with torch.no_grad():
        found = build_member(state, SCREEN)(contrast)
        inside = maps(contrast).unflatten(1, (5, 8))[:, 1:3, 2:6]
        torch.testing.assert_close(found, inside.sum((1, 2, 3)) + 500)


@pytest.mark.parametrize(
    "harm",
    [
        lambda state: {"weight": torch.zeros(2)},
        lambda state: {k: v for k, v in state.items() if "layer1.ds_conv.spatial" not in k},
        lambda state: state | {"core.features.layer0.conv.weight": torch.zeros(5, 3, 5, 5)},
    ],
)
def test_another_network_is_refused(tmp_path, harm):
    write_document(harm(published()[1]), tmp_path / "other.pth")
    with pytest.raises(MeiflowError, match=re.escape("other.pth: not a core that can be read")):
        read_core(tmp_path / "other.pth")


def test_a_file_of_another_kind_is_refused_without_advice_to_delete_it(tmp_path):
    (tmp_path / "notes.pth").write_text("not a network")
    with pytest.raises(MeiflowError, match=re.escape("notes.pth: not a core that can be read")):
        read_core(tmp_path / "notes.pth")
