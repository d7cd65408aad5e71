"""Stimuli read back: those of the correct neuron, and as they are shown."""

import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, write_array, write_csv
from meiflow.results.layout import Layout
from meiflow.results.stimuli import (
    read_gabor,
    read_procedure,
    read_procedures,
    read_stimuli,
    stimulus_images,
)

SHAPE = (6, 8)


@pytest.fixture
def results(tmp_path):
    return Layout(tmp_path)


def pictures(rng, *several):
    return rng.random((3, *several, *SHAPE)).astype(np.float32)


def write(results, procedure, images, neurons=("000", "001", "002"), times=1):
    files = results.procedure(procedure)
    write_array(images, files.images)
    write_csv(pd.DataFrame({"neuron_id": np.repeat(neurons, times)}), files.table)
    return files


def test_each_neuron_gets_its_own_and_of_several_the_first(results, rng):
    one, two = pictures(rng), pictures(rng, 2)
    write(results, "population_mei", one)
    write(results, "receptive_field", two, times=2)
    found = read_procedure(results, "population_mei", ["002", "000"])
    np.testing.assert_array_equal(found, one[[2, 0]])
    found = read_procedure(results, "receptive_field", ["002", "000"])
    np.testing.assert_array_equal(found, two[[2, 0], 0])


def test_what_excites_is_read_at_the_common_contrast_in_the_order_of_figures(results, rng):
    shown = {"population_mei": pictures(rng), "receptive_field": pictures(rng, 2)}
    for name, images in shown.items():
        write(results, name, images)
    made = ["receptive_field", "population_mei", "suppressive"]
    found = read_procedures(results, made, ["002"], 0.47, 0.05)
    assert list(found) == ["002"]
    assert [s.name for s in found["002"]] == ["noise_mei", "linear_rf"]
    wanted = shown["population_mei"][2], shown["receptive_field"][2, 0]
    for stimulus, image in zip(found["002"], wanted, strict=True):
        assert stimulus.image.mean() == pytest.approx(0.47, abs=1e-4)
        assert stimulus.image.std() == pytest.approx(0.05, abs=1e-4)
        assert np.corrcoef(stimulus.image.ravel(), image.ravel())[0, 1] > 0.999
    with pytest.raises(MeiflowError, match="rebuild it"):
        read_procedures(results, ["population_mei"], ["900"], 0.47, 0.05)


def test_damaged_files_of_a_procedure_are_named(results, rng):
    files = write(results, "population_mei", pictures(rng))
    whole = read_array(files.images)
    for bad in (np.full_like(whole, np.nan), np.float32(3), whole[:2]):
        write_array(bad, files.images)
        with pytest.raises(MeiflowError, match=r"population_mei\.npy: .*rebuild it"):
            read_procedure(results, "population_mei", ["000"])


def test_a_recorded_gabor_left_behind_is_not_read(results, rng):
    """Another session in the same folder may have shown Gabors."""
    neuron = results.neuron("7")
    for path in stimulus_images(neuron, gabors=True):
        write_array(rng.random(SHAPE).astype(np.float32), path)
    names = ["mei", "recorded_gabor", "best_gabor", "best_natural", "windowed_natural"]
    shown = read_stimuli(neuron, gabors=True)
    assert [s.name for s in shown] == names
    np.testing.assert_array_equal(shown[1].image, read_array(neuron.gabor))
    assert [s.name for s in read_stimuli(neuron, gabors=False)] == [names[0], *names[2:]]
    neuron.gabor.unlink()
    with pytest.raises(MeiflowError, match=r"gabor\.npy"):
        read_stimuli(neuron, gabors=True)


def test_a_neuron_that_was_not_searched_is_reported(results):
    files = results.procedure("best_gabors")
    write_csv(pd.DataFrame({"neuron_id": ["a"], "predicted_response": [1.0]}), files.table)
    write_array(np.zeros((1, *SHAPE), np.float32), files.images)
    assert read_gabor(results, "a")[1]["predicted_response"].tolist() == [1.0]
    with pytest.raises(MeiflowError, match="no Gabor for neuron b; delete it"):
        read_gabor(results, "b")
    write_array(np.zeros((2, *SHAPE), np.float32), files.images)
    with pytest.raises(MeiflowError, match="no Gabor for neuron a; delete it"):
        read_gabor(results, "a")
