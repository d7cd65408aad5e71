"""Simulated neurons of random structure."""

import numpy as np
import torch

from meiflow.benchmark.truths import RandomTruth, as_torch
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.random_neurons import NONLINEARITIES, OPERATIONS, draw_random_neuron

SCREEN = Geometry(30, 48)


def natural(n):
    return np.stack([dead_leaves(SCREEN.shape, np.random.default_rng(i)) for i in range(n)]) / 255


def test_structures_differ_and_all_of_them_respond():
    images = natural(60)
    flat = images.reshape(60, -1)
    neurons = [draw_random_neuron(seed, SCREEN, images) for seed in range(40)]
    trees = {str(neuron.root) for neuron in neurons}
    assert len(trees) > 25
    assert all(any(word in tree for tree in trees) for word in (*NONLINEARITIES, *OPERATIONS))
    for neuron in neurons:
        response = neuron.drive(flat)
        assert np.isclose(response.mean(), 1)
        assert response.max() > 2
        # the same for tensors, and differentiable
        shown = torch.as_tensor(flat, dtype=torch.float32).requires_grad_()
        again = as_torch(neuron).drive(shown)
        np.testing.assert_allclose(again.detach().numpy(), response, rtol=1e-3, atol=1e-3)
        again.sum().backward()
        assert shown.grad is not None
        assert torch.isfinite(shown.grad).all()
        assert shown.grad.any()
    np.testing.assert_array_equal(draw_random_neuron(7, SCREEN, images).filters, neurons[7].filters)


def test_no_natural_image_exceeds_the_optimum():
    images = natural(60)
    neuron = draw_random_neuron(4, SCREEN, images)
    truth = RandomTruth([neuron], np.zeros(1), SCREEN, 0)
    matched = project_array(images, 0.45, 0.05)
    grey = truth.rates(np.full((1, *SCREEN.shape), 0.45))
    (best,) = truth.maximal_drive(0.45, 0.05)
    assert best > 1.5 * (truth.rates(matched) - grey).max()
