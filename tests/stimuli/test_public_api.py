"""What `meiflow.stimuli` offers, and what all of it does to a model: nothing."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import meiflow.experiments
import meiflow.stimuli
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project
from meiflow.stimuli import (
    best_of,
    diverse_images,
    fade,
    gradient,
    gradient_rf,
    linear_rf,
    most_exciting,
    most_exciting_movie,
    noise_starts,
    notebook_mei,
    optimise,
    walker_mei,
)

GRID = Geometry(8, 10)


@pytest.mark.parametrize("name", meiflow.stimuli.__all__)
def test_every_name_imports_and_is_documented(name):
    thing = getattr(meiflow.stimuli, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith(("meiflow.stimuli.", "meiflow.images.geometry"))
    text = thing.__doc__
    assert text
    assert not text.startswith(f"{name}(")  # what a dataclass writes by itself
    assert inspect.cleandoc(text).split("\n\n")[0].endswith(".")


def test_the_list_is_complete_sorted_and_what_a_star_takes():
    names = meiflow.stimuli.__all__
    assert names == sorted(set(names))
    assert dir(meiflow.stimuli) == names
    taken = {}
    exec("from meiflow.stimuli import *", taken)
    assert set(taken) - {"__builtins__"} == set(names)
    with pytest.raises(AttributeError, match=r"No meiflow.stimuli attribute maximise"):
        meiflow.stimuli.maximise  # noqa: B018


@pytest.mark.parametrize("package", [meiflow.stimuli, meiflow.experiments])
def test_type_checkers_see_what_python_offers(package):
    """In a stub a name is public only if it is imported under its own name, `x as x`."""
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    assert all(isinstance(line, ast.ImportFrom) for line in stub.body)
    aliases = [alias for line in stub.body for alias in line.names]
    assert all(alias.asname == alias.name for alias in aliases)
    assert sorted(alias.name for alias in aliases) == package.__all__


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys\nimport meiflow.stimuli\n"
        "heavy = {'torch', 'scipy', 'pandas', 'matplotlib', 'sklearn'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
        "from meiflow.stimuli import Iterations\n"
        "print('THEN', 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "HEAVY []\nTHEN True\n"


# Every procedure with a module in training mode.


class Careless(nn.Module):
    """Dropout and batch statistics: responses in training are not those in evaluation."""

    def __init__(self, pixels):
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1)
        )
        nn.init.constant_(self.parts[4].bias, 3.0)

    def forward(self, stimuli):
        return nn.functional.softplus(self.parts(stimuli))[:, 0]


STARTS = noise_starts(2, GRID, 1.0, 0.5, 0.1, seed=0)
NATURALS = project(torch.randn(4, 8, 10, generator=torch.Generator().manual_seed(1)), 0.5, 0.2)
PROCEDURES = {
    "optimise": lambda m: optimise(m, STARTS).images,
    "most_exciting": lambda m: most_exciting(m, STARTS, GRID, 0.5, 0.1, 4).images,
    "most_exciting_movie": lambda m: most_exciting_movie(m, (1, 2, 8, 10), steps=3).images,
    "notebook_mei": lambda m: notebook_mei(m, GRID, NATURALS.numpy(), 0, 3, n=2).images,
    "walker_mei": lambda m: walker_mei(m, GRID, NATURALS.numpy(), 0, 3, n=2).images,
    "diverse_images": lambda m: diverse_images(m, STARTS[0], GRID, 0.5, 0.1, 2, 0.5, 3).images,
    "fade": lambda m: fade(m, NATURALS.numpy(), steps=3).images,
    "best_of": lambda m: np.array(best_of(m, NATURALS.numpy())),
    "gradient": lambda m: gradient(m, STARTS).numpy(),
    "gradient_rf": lambda m: gradient_rf(m, GRID.shape),
    "linear_rf": lambda m: linear_rf(m, GRID.shape, 0.1, samples=16),
}


@pytest.mark.parametrize("name", PROCEDURES)
def test_modules_are_evaluated_and_left_as_they_were(name):
    pixels = 160 if name == "most_exciting_movie" else 80
    expected = PROCEDURES[name](Careless(pixels).eval())
    module = Careless(pixels).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    found = PROCEDURES[name](module)
    assert all(part.training for part in module.modules())
    assert all(p.grad is None for p in module.parameters())
    assert all(p.requires_grad for p in module.parameters())
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
