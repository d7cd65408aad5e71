"""The optimiser takes the steps of PyTorch's, and does not import its compiler."""

import subprocess
import sys

import torch

from meiflow.models.adam import Adam, Group, one_cycle


def test_steps_are_those_of_torch():
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone(), start.clone().requires_grad_(True)
    group = Group([ours], 0.0)
    optimiser = Adam([group], weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(reference, max_lr=0.3, total_steps=50)
    for step in range(50):
        group.rate, group.momentum = one_cycle(step, 50, 0.3)
        for p, chosen in ((ours, optimiser), (theirs, reference)):
            p.grad = 2 * (p.detach() - 1) ** 3
            chosen.step()
        if step < 49:
            schedule.step()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-6, atol=1e-7)
    assert float((ours - start).abs().max()) > 0.5


FITTED = """
import sys
import numpy as np
import meiflow as mf
from meiflow.images.patterns import gabor
screen = mf.Geometry(24, 40, width_deg=100.0, height_deg=60.0)
rng = np.random.default_rng(0)
images = rng.uniform(0, 1, (40, 24, 40))
rate = np.maximum(4 + (images * gabor(screen, 10.0, 5.0, 40.0, 30.0, 0.0, 12.0)).sum((1, 2)), 0)
counts = rng.poisson(rate, (3, 40))[:, :, None]
pop = mf.fit(images, counts, screen, folds=2, wavelengths_deg=[30.0], stride=8)
mf.mei(pop, contrast=0.05, restarts=600, steps=2)
assert "torch" in sys.modules and "torch._dynamo" not in sys.modules
"""


def test_the_compiler_is_not_imported():
    subprocess.run([sys.executable, "-c", FITTED], check=True, timeout=120)
