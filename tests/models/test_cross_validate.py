import numpy as np
import pytest

from meiflow.config.sections import GaborEnergy, Model
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.models.cross_validate import fit_all, ridge_predictions
from meiflow.models.folds import image_folds
from meiflow.models.network import NeuronModel
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves

GRID = Geometry(30, 48, 60.6, 47.4)
CONFIG = Model(
    wavelengths_deg=[8.0, 12.0, 18.0],
    orientations=6,
    stride=3,
    penalties=[0.01, 0.1, 1.0],
    folds=4,
)


@pytest.fixture(scope="module")
def images():
    frames = [dead_leaves((60, 78), np.random.default_rng([8, i])) for i in range(70)]
    return resize(np.stack(frames) / 255.0, GRID.shape)


@pytest.fixture(scope="module")
def found(images):
    """Two tuned neurons (a simple and a complex cell) and ten that ignore the images."""
    rng = np.random.default_rng(2)
    pair = patterns.gabor(
        GRID, np.array([10.0, 10.0]), -6.0, 12.0, 60.0, np.array([0.0, 90.0]), 5.0
    )
    even, odd = (images - 0.5).reshape(70, -1) @ pair.reshape(2, -1).T[:, :2].T[0], None
    odd = (images - 0.5).reshape(70, -1) @ pair[1].ravel()
    simple, cell = np.maximum(even, 0), np.hypot(even, odd)
    rates = np.column_stack([1 + 3 * simple / simple.mean(), 1 + 3 * cell / cell.mean()])
    means = np.column_stack(
        [rng.poisson(rates, (40, 70, 2)).mean(0), rng.poisson(3.0, (40, 70, 10)).mean(0)]
    )
    return rates, means, fit_all(images, means, np.ones(70), GRID, CONFIG, 0)


def correlations(prediction, means):
    return np.array([np.corrcoef(p, m)[0, 1] for p, m in zip(prediction.T, means.T, strict=True)])


def test_tuned_neurons_are_found_and_predicted(found):
    rates, _, result = found
    x, y = result.places.x[-1, :2], result.places.y[-1, :2]
    assert np.hypot(x - 10, y + 6).max() < 4
    assert correlations(result.predictions["v1"][:, :2], rates).min() > 0.6
    assert correlations(result.predictions["model"][:, :2], rates).min() > 0.9
    # the simple cell is linear up to its threshold; the complex one is not
    assert correlations(result.predictions["ln"][:, :1], rates[:, :1])[0] > 0.8
    assert correlations(result.predictions["ln"][:, 1:2], rates[:, 1:])[0] < 0.4


def test_nothing_leaks_into_the_scores(found):
    """Untuned neurons, and shuffled responses put through the same search, score zero."""
    _, means, result = found
    untuned = [
        correlations(result.predictions[m][:, 2:], means[:, 2:])
        for m in ("model", "v1", "ln", "gabor_energy", "pixel_ridge")
    ]
    shuffled = correlations(result.predictions["model_shuffled"], result.shuffled_means)
    for values in (*untuned, shuffled):
        assert values.mean() < 2.5 * 0.12 / np.sqrt(len(values)) + 0.02
    # without nesting, the same search is biased upwards: the reason for nesting
    assert result.places.score[..., 2:12].max(axis=(0, 1)).mean() > 0.05


def test_every_module_predicts_what_its_fit_did(images, found):
    """The model that a user loads is the one that was fitted, whatever grid was used to fit it."""
    _, means, result = found
    again = fit_all(images, means[:, :2], np.ones(70), GRID, CONFIG.model_copy(), 5)
    for fitted in (result, again):
        for neuron in (0, 1):
            mixed = np.zeros(len(images))
            for state, weight in zip(fitted.states[neuron], fitted.weights[neuron], strict=True):
                module = NeuronModel(GRID, 0.0, 0.0, [state], [1.0])
                prediction = module.predict(images)
                assert np.corrcoef(prediction, means[:, neuron])[0, 1] > (
                    0.2 if state["kind"] == "ln" else 0.8
                )
                mixed += weight * prediction
            model = NeuronModel(
                GRID, 0.0, 0.0, fitted.states[neuron], fitted.weights[neuron].tolist()
            )
            np.testing.assert_allclose(model.predict(images), mixed, rtol=1e-4, atol=1e-5)
    assert result.weights.sum(axis=1) == pytest.approx(1)
    assert (result.weights >= 0).all()


def test_fold_models_predict_their_held_out_images(images, found):
    result = found[2]
    assert len(result.fold_states) == len(result.held_out)
    names = result.members
    for fold, test in enumerate(result.held_out):
        for state, name in zip(result.fold_states[fold][0], names, strict=True):
            own = NeuronModel(GRID, 0.0, 0.0, [state], [1.0]).predict(images[test])
            # ln and gabor_energy were fitted on other sums of single precision
            np.testing.assert_allclose(own, result.predictions[name][test, 0], rtol=1e-3, atol=1e-3)


def test_base_models_left_out_get_no_weight(images, found):
    means = found[1]
    only = CONFIG.model_copy(update={"base_models": ["ln"]})
    fitted = fit_all(images, means[:, :1], np.ones(70), GRID, only, 0)
    np.testing.assert_allclose(fitted.weights, [[0, 1, 0]])
    np.testing.assert_allclose(fitted.predictions["model"], fitted.predictions["ln"])


@pytest.mark.thorough
def test_result_does_not_depend_on_threads(images, found):
    quick = CONFIG.model_copy(
        update={"stride": 6, "gabor_energy": GaborEnergy(starts=2, steps=4), "folds": 3}
    )
    few = images[:30], found[1][:30, :4], np.ones(30)
    result, again = (fit_all(*few, GRID, quick, 0, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(again.places.score, result.places.score)
    np.testing.assert_array_equal(again.weights, result.weights)
    for name, prediction in result.predictions.items():
        np.testing.assert_array_equal(again.predictions[name], prediction)


def test_folds_partition_the_images():
    folds = image_folds(23, 5, np.random.default_rng(0))
    assert sorted(np.concatenate(folds)) == list(range(23))
    assert {len(f) for f in folds} == {4, 5}
    # neighbouring images may show the same scene: no fold is a contiguous run
    assert all(np.diff(f).max() > 1 for f in folds)
    assert len(image_folds(3, 5, np.random.default_rng(0))) == 3


@pytest.mark.parametrize("neurons", [1, 3])
def test_pixel_ridge_is_ridge_of_the_training_images_alone(neurons):
    """Compared with ridge solved on each fold, with the penalty chosen by leaving images out."""
    rng = np.random.default_rng(4)
    images = rng.uniform(size=(24, 4, 5))
    flat = images.reshape(24, -1)
    means = flat @ rng.normal(size=(20, neurons)) * [0.1, 1.0, 4.0][:neurons]
    means += rng.normal(size=means.shape)
    held_out = image_folds(24, 4, rng)
    training = [np.setdiff1d(np.arange(24), test) for test in held_out]

    def ridge(train, test, penalty):
        x, y = flat[train], means[train]
        centred = x - x.mean(0)
        gram = centred.T @ centred + penalty * 20 * np.eye(20)
        weights = np.linalg.solve(gram, centred.T @ (y - y.mean(0)))
        return y.mean(0) + (flat[test] - x.mean(0)) @ weights

    expected = np.empty_like(means)
    chosen = set()
    for test, train in zip(held_out, training, strict=True):
        errors = {
            penalty: sum(
                (ridge(np.setdiff1d(train, i), [i], penalty)[0] - means[i]) ** 2 for i in train
            )
            for penalty in (0.001, 0.01, 0.03, 0.3, 1.0, 10.0)
        }
        for neuron in range(neurons):
            best = min(errors, key=lambda penalty: errors[penalty][neuron])
            chosen.add(best)
            expected[test, neuron] = ridge(train, test, best)[:, neuron]
    responses = np.stack([means] * len(held_out))
    found = ridge_predictions(flat, responses, held_out, training, np.array([0.001, 0.01]))
    assert len(chosen) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-9)
