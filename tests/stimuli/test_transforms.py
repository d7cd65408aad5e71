"""Random transformations before the model, against other implementations and closed forms."""

import numpy as np
import pytest
import torch

from meiflow.images.geometry import Geometry
from meiflow.images.moved import moved_image
from meiflow.images.patterns import gabor
from meiflow.stimuli import Jitter, RandomAffine, most_exciting, noise_starts, over_transforms

GRID = Geometry(48, 64, 100.0, 90.0)  # pixels that are not square
PLACE = (12.0, -8.0)
FIELD = gabor(GRID, *PLACE, 30.0, 25.0, 60.0, 10.0, 1.3)
LARGE = {"scale": 1.5, "rotation_deg": 60.0, "shift_deg": 10.0}


def as_tensor(image):
    return torch.as_tensor(np.asarray(image))


@pytest.mark.parametrize("kind", [*LARGE, "all"])
def test_it_scales_rotates_and_shifts_on_the_screen_as_scipy_does(kind):
    """One of the drawn values at a time, found by matching scipy's cubic interpolation."""
    given = LARGE if kind == "all" else {kind: LARGE[kind]}
    image = 0.5 + 0.2 * FIELD
    found = set()
    for step in range(4):
        transform = RandomAffine(GRID, **given, centre=PLACE, seed=3)
        drawn = torch.Generator().manual_seed(1_000_003 * 3 + step)
        u, turn, right, up = (
            2 * torch.rand(6, generator=drawn, dtype=torch.float64)[:4] - 1
        ).numpy()
        expected = moved_image(
            image,
            GRID,
            PLACE,
            given.get("scale", 1.0) ** u,
            (given.get("shift_deg", 0) * right, given.get("shift_deg", 0) * up),
            given.get("rotation_deg", 0) * turn,
        )
        moved = transform(as_tensor(image)[None], step)[0].numpy()
        # linear interpolation is blurrier
        assert np.abs(moved - expected).max() < 0.02
        assert np.corrcoef(moved.ravel(), expected.ravel())[0, 1] > 0.997
        found.add(moved.tobytes())
    assert len(found) == 4


def test_crops_keep_a_rectangle_and_the_rest_is_the_mean():
    image = torch.rand(1, *GRID.shape, generator=torch.Generator().manual_seed(0))
    seen = torch.zeros(GRID.shape, dtype=torch.bool)
    for step in range(60):
        shown = RandomAffine(GRID, crop=0.5)(image, step)
        kept = torch.isclose(shown, image)[0]
        assert kept.float().mean() == pytest.approx(0.25, abs=0.01)
        torch.testing.assert_close(shown[0][~kept], image.mean().expand(int((~kept).sum())))
        seen |= kept
    assert seen.float().mean() > 0.9  # at any position


def test_the_gradient_is_that_of_a_linear_map_and_the_same_with_any_number_of_threads():
    transform = RandomAffine(GRID, **LARGE, crop=0.8, seed=1)
    generator = torch.Generator().manual_seed(2)
    stimuli, weights = (torch.rand(3, *GRID.shape, generator=generator) for _ in range(2))
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            free = stimuli.clone().requires_grad_()
            value = (transform(free, 5) * weights).sum()
            (gradient,) = torch.autograd.grad(value, free)
            results.append((value.item(), gradient))
            torch.testing.assert_close((gradient * stimuli).sum(), value.detach())
    finally:
        torch.set_num_threads(before)
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])
    # each stimulus by itself
    alone = torch.cat([transform(one[None], 5) for one in stimuli])
    torch.testing.assert_close(alone, transform(stimuli, 5))


def test_the_robust_mei_of_a_linear_neuron_is_its_filter_averaged_over_the_transforms():
    field = as_tensor(FIELD).float()

    def neuron(images):
        return ((images - 0.5) * field).sum((-2, -1))

    shaken = RandomAffine(GRID, 1.3, 30.0, 3.0, centre=PLACE)
    robust = over_transforms(neuron, shaken, 12)
    free = torch.full((1, *GRID.shape), 0.5, requires_grad=True)
    (expected,) = torch.autograd.grad(robust(free).sum(), free)
    starts = noise_starts(2, GRID, 1.0, 0.5, 0.05, seed=0)
    found = most_exciting(robust, starts, GRID, 0.5, 0.05)
    plain = most_exciting(neuron, starts, GRID, 0.5, 0.05)
    image, usual = found.stimuli[found.best], plain.stimuli[plain.best]
    pair = torch.stack([image.ravel(), expected.ravel()])
    assert torch.corrcoef(pair)[0, 1] > 0.995
    # better than the MEI under other transforms of the same range, and worse without them
    further = over_transforms(neuron, RandomAffine(GRID, 1.3, 30.0, 3.0, centre=PLACE, seed=9), 200)
    both = torch.stack([image, usual])
    moved, still = further(both), neuron(both)
    assert moved[0] > 1.02 * moved[1]
    assert still[0] < still[1]
    # one draw at each step, as an option of the optimiser
    each = most_exciting(neuron, starts, GRID, 0.5, 0.05, transform=shaken)
    pair = torch.stack([each.stimuli[each.best].ravel(), expected.ravel()])
    assert torch.corrcoef(pair)[0, 1] > 0.9


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="scale >= 1"):
        RandomAffine(GRID, scale=0.9)
    with pytest.raises(ValueError, match=r"crop <= 1 are required, got .* and 0"):
        RandomAffine(GRID, crop=0)
    with pytest.raises(ValueError, match=r"frames have \(3, 4\) pixels"):
        RandomAffine(GRID)(torch.zeros(1, 3, 4), 0)
    with pytest.raises(ValueError, match="at least one draw"):
        over_transforms(lambda images: images, Jitter(1), 0)
