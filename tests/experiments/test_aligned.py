"""Stimuli in the coordinates of neurons, and most discriminative stimuli, of known neurons."""

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from meiflow.combined.clusters import cluster_neurons
from meiflow.experiments.aligned import CANONICAL, AlignedPopulation
from meiflow.experiments.discriminative import discriminative_stimuli
from meiflow.experiments.fingerprints import bank_responses
from meiflow.experiments.standard import Preferred
from meiflow.images.patterns import gabor
from meiflow.simulation.truth import render_filters, true_drive
from meiflow.validation.closed_loop import as_tensors
from tests.experiments.truth import GRID, neurons

KINDS = ("simple", "complex", "texture", "surround_suppressed")


def linear(filters, rectified=False):
    """Function of rows of neurons, as `AlignedPopulation` needs it, for linear neurons."""
    flat = torch.as_tensor(np.asarray(filters)).float().flatten(1)
    flat = flat / flat.norm(dim=1, keepdim=True)

    def pair(rows):
        def respond(images):
            sets = images.reshape(len(rows), -1, flat.shape[1]) - 0.5
            drive = (sets @ flat[rows][:, :, None])[..., 0].flatten()
            return drive.relu() if rectified else drive

        return respond

    return pair


def gabors(n, seed):
    """Gabors of the same shape at different positions, orientations, sizes and phases."""
    rng = np.random.default_rng(seed)
    wave = rng.uniform(14, 24, n)
    x, y = rng.uniform(-20, 20, n), rng.uniform(-12, 12, n)
    columns = (x, y, wave, rng.uniform(0, 180, n), rng.uniform(0, 360, n), 0.4 * wave)
    return [Preferred(GRID, *row) for row in np.column_stack(columns).tolist()]


def test_gabors_of_one_shape_respond_alike_in_their_own_coordinates():
    given = gabors(20, 1)
    pair = linear([p.gabor() for p in given])
    names = ("position", "orientation", "scale", "phase")
    spread = {}
    for missing in (None, *names[1:]):
        align = [name for name in names if name != missing]
        responses = bank_responses(AlignedPopulation(pair, given, align))
        relative = responses / responses.max(axis=1, keepdims=True)
        spread[missing] = float(relative.std(axis=0).max())
    assert spread[None] < 0.12  # of the highest response; pixels are coarse
    assert min(spread["orientation"], spread["phase"]) > 0.5
    assert spread["scale"] > 0.2


def test_some_neurons_respond_as_among_all():
    given = gabors(7, 2)
    whole = AlignedPopulation(linear([p.gabor() for p in given]), given, ["position"])
    rows = np.array([5, 1, 4])
    np.testing.assert_allclose(
        bank_responses(whole.part(rows)), bank_responses(whole)[rows], atol=1e-5
    )


def test_the_stimulus_of_a_cluster_is_what_only_its_neurons_prefer():
    """Of rectified linear neurons with two orthogonal filters."""
    place = [Preferred(GRID, x, 0.0, 20.0, 0.0, 0.0, 8.0) for x in np.linspace(-15, 15, 6)]
    kinds = np.repeat([0, 1], 3)
    filters = [
        gabor(GRID, p.x_deg, 0.0, 20.0, 90.0 * kind, 0.0, 8.0)
        for p, kind in zip(place, kinds, strict=True)
    ]
    population = AlignedPopulation(linear(filters, rectified=True), place)
    highest = bank_responses(population).max(axis=1)
    images = discriminative_stimuli(population, kinds, highest)
    wave = gabor(CANONICAL, 0.0, 0.0, 1.0, [0.0, 90.0], 0.0, 0.4)
    alike = np.corrcoef(np.vstack([images.reshape(2, -1), wave.reshape(2, -1)]))
    assert alike[[0, 1], [2, 3]].min() > 0.75
    assert np.abs(alike[[0, 1], [3, 2]]).max() < 0.3
    responses = population.responses(images)
    means = np.array([responses[kinds == kind].mean(axis=0) for kind in (0, 1)])
    assert (means.diagonal() > 10 * np.abs(means[[0, 1], [1, 0]])).all()
    # without another cluster, it is what drives the neurons most
    (alone,) = discriminative_stimuli(population.part([0, 1, 2]), kinds[:3], highest[:3], steps=10)
    assert np.corrcoef(alone.ravel(), wave[0].ravel())[0, 1] > 0.75


def found_gabor(row, rng):
    """The Gabor of a simulated neuron, with small errors."""
    wave = row["wavelength_deg"]
    return Preferred(
        GRID,
        row["x_deg"] + rng.uniform(-0.05, 0.05) * wave,
        row["y_deg"] + rng.uniform(-0.05, 0.05) * wave,
        wave * np.exp(rng.uniform(-0.05, 0.05)),
        row["orientation_deg"] + rng.uniform(-4, 4),
        row["phase_deg"] + rng.uniform(-10, 10),
        row["sigma_deg"],
    )


def simulated(seed):
    """Simulated neurons, and nearly the right Gabors."""
    table = neurons(8, seed, KINDS)
    rng = np.random.default_rng(seed)
    each = [as_tensors(render_filters(table.iloc[[i]], GRID)) for i in range(len(table))]

    def pair(rows):
        def respond(images):
            sets = images.reshape(len(rows), -1, GRID.height * GRID.width)
            pairs = zip(rows, sets, strict=True)
            return torch.cat([true_drive(each[row], own)[:, 0] for row, own in pairs])

        return respond

    preferred = [found_gabor(row, rng) for _, row in table.iterrows()]
    return table["kind"].to_numpy(), AlignedPopulation(pair, preferred)


def test_simulated_kinds_are_found():
    kinds, population = simulated(7)
    responses = bank_responses(population)
    relative = responses / responses.max(axis=1, keepdims=True)
    found = cluster_neurons(relative)
    assert adjusted_rand_score(kinds, found.labels) >= 0.8
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(column) for column in relative.T], axis=1)
    assert abs(adjusted_rand_score(kinds, cluster_neurons(shuffled).labels)) < 0.1
