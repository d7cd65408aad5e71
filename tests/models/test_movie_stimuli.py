"""Learning from movies: which frames, on which scale, and only where they help."""

import numpy as np
import pytest

from meiflow.config.config import parse_config
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.models.cross_validate import fit_all
from meiflow.models.movie_stimuli import MovieStimuli, movie_slope, thin_movies
from meiflow.models.search import find_places
from meiflow.session.movie_passes import MoviePasses
from meiflow.simulation.movies import draw_movie, temporal_rates
from meiflow.tables.movies import MovieCounts, MovieWindows

SCREEN = Geometry(20, 32)


def noise(rng, n, shape=(20, 32)):
    return rng.uniform(0.2, 0.8, (n, *shape)).astype(np.float32)


def test_frames_that_are_alike_are_averaged_and_scenes_left_out(rng):
    different = noise(rng, 6)
    frames = np.repeat(different, 5, axis=0)
    scenes = np.concatenate([noise(rng, 10), different[:1]])
    means = np.arange(30.0)[:, None]
    found = thin_movies(frames, means, np.full(30, 4.0), scenes, 50.0, 20)
    np.testing.assert_allclose(found.images, different[1:], atol=1e-6)
    np.testing.assert_allclose(found.means[:, 0], [7, 12, 17, 22, 27])
    np.testing.assert_allclose(found.weights, 5 * 4 / 50)


def test_the_frames_that_are_kept_are_those_that_differ_most(rng):
    frames = 0.5 + 0.02 * (noise(rng, 40) - 0.5)
    far = [3, 17, 30]
    frames[far] = noise(rng, 3)
    found = thin_movies(frames, np.zeros((40, 1)), np.ones(40), noise(rng, 8), 10.0, 3)
    np.testing.assert_allclose(found.images, frames[far], atol=1e-6)


@pytest.mark.parametrize("true", [0.3, 1.0, 2.0])
def test_the_slope_is_that_of_the_true_responses(rng, true):
    """A calibrated prediction is the truth plus an error that is uncorrelated with itself."""
    predicted = rng.normal(size=(100, 30))
    truth = predicted + rng.normal(size=predicted.shape)
    recorded = true * truth + rng.normal(size=predicted.shape)
    assert movie_slope(predicted, recorded) == pytest.approx(true, abs=0.1)


@pytest.fixture(scope="module")
def neurons():
    """Simple cells, their mean counts to 40 scenes and to 30 images of a movie, and fresh ones."""
    rng = np.random.default_rng(4)
    fields = patterns.gabor(SCREEN, [-20, 10, 25], [10, -15, 5], 24.0, [0, 60, 120], 90.0, 9.0)

    def respond(images):
        drive = np.tensordot(images - 0.5, fields, axes=([1, 2], [1, 2]))
        return 1 + 4 * np.maximum(drive, 0)

    scenes, shown, fresh = noise(rng, 40), noise(rng, 60), noise(rng, 100)
    means = respond(scenes) + rng.normal(0, 0.3, (40, 3))
    movie = 3 + 0.5 * respond(shown) + rng.normal(0, 0.2, (60, 3))
    return scenes, np.maximum(means, 0), shown, movie, fresh, respond(fresh)


def config(**model):
    model |= {"folds": 3, "wavelengths_deg": [16.0, 24.0], "base_models": ["v1", "ln", "v1_window"]}
    model |= {"gabor_energy": {"starts": 1, "steps": 20}}  # fitted in any case, but never to movies
    return parse_config({"model": model}).model


def fitted(neurons, movie):
    scenes, means, shown, *_ = neurons
    stimuli = None if movie is None else MovieStimuli(shown, movie, np.ones(len(shown)))
    settings = config()
    return fit_all(scenes, means, np.ones(40), SCREEN, settings, 0, 2, None, None, stimuli)


@pytest.fixture(scope="module")
def alone(neurons):
    """The fit to the scenes alone."""
    return fitted(neurons, None)


def test_movies_improve_the_prediction_of_scenes(neurons, alone):
    """Although the movie has half the gain and another mean rate."""
    means = neurons[1]
    both = fitted(neurons, neurons[3])
    for name in ("v1", "ln", "model"):
        cc = [
            np.mean([np.corrcoef(f.predictions[name][:, i], means[:, i])[0, 1] for i in range(3)])
            for f in (alone, both)
        ]
        assert cc[1] > cc[0] + 0.03, name
    # on the scale of the scenes
    error = both.predictions["model"].mean(axis=0) / means.mean(axis=0) - 1
    assert np.abs(error).max() < 0.2
    # not fitted to movies: equal but for rounding
    np.testing.assert_allclose(
        alone.predictions["gabor_energy"], both.predictions["gabor_energy"], rtol=1e-3
    )


def test_a_movie_that_does_not_fit_the_responses_does_no_harm(neurons, alone):
    wrong = fitted(neurons, np.roll(neurons[3], 23, axis=0))
    np.testing.assert_array_equal(alone.predictions["ln"], wrong.predictions["ln"])
    for name in ("v1", "model"):
        np.testing.assert_allclose(alone.predictions[name], wrong.predictions[name], rtol=0.05)


def test_movies_of_real_numbers_help_in_any_unit(neurons):
    """dF/F around an arbitrary zero: as much is gained, and in another unit exactly as much."""
    scenes, means, shown, movie, *_ = neurons
    found = []
    for unit, stimuli in ((1.0, None), (1.0, movie - 5.0), (1e-4, movie - 5.0)):
        given = stimuli if stimuli is None else unit * stimuli
        given = given if given is None else MovieStimuli(shown, given, np.ones(len(shown)))
        responses = unit * (means - 2.0)
        of = SCREEN, config(), 0, 2, None, None, given
        fit = fit_all(scenes, responses, np.ones(40), *of, real=True)
        found.append(fit.predictions["model"] / unit)
    cc = [np.mean([np.corrcoef(f[:, i], means[:, i])[0, 1] for i in range(3)]) for f in found]
    assert cc[1] > cc[0] + 0.03
    assert np.abs(found[1].mean(axis=0) - (means - 2.0).mean(axis=0)).max() < 0.3
    np.testing.assert_allclose(found[2], found[1], atol=1e-3)


def test_a_receptive_field_found_in_movies_is_that_found_in_scenes(rng):
    """Within one step of the search, although the frames are those of one short movie."""
    from meiflow.images.geometry import ALLEN_MOVIE_HEIGHT_DEG, ALLEN_MOVIE_WIDTH_DEG
    from meiflow.session.images import resize
    from meiflow.session.movie_frames import cut_to_screen
    from meiflow.simulation.dead_leaves import dead_leaves

    fields = patterns.gabor(SCREEN, [-24, 12], [14, -18], 20.0, [0, 60], 0.0, 7.0)
    movie = draw_movie(1500, rng)[::8] / 255.0
    frames = cut_to_screen(movie, ALLEN_MOVIE_WIDTH_DEG, ALLEN_MOVIE_HEIGHT_DEG, SCREEN)
    scenes = resize(np.stack([dead_leaves((90, 120), rng) for _ in range(120)]) / 255.0, (20, 32))
    places = []
    for images in (scenes, frames):
        drive = np.tensordot(images - 0.5, fields, axes=([1, 2], [1, 2]))
        rates = np.maximum(drive, 0)
        everything = [np.arange(len(images))]
        found = find_places(images, rates, everything, SCREEN, config(stride=1), 2)
        places.append(np.stack([found.x[0], found.y[0]], axis=1))
    step = np.array([SCREEN.dx, SCREEN.dy]) + 1e-6
    assert (np.abs(places[0] - places[1]) <= step).all()
    assert (np.abs(places[1] - [[-24, 14], [12, -18]]) <= 2 * step).all()


def test_neurons_integrate_over_time_and_adapt():
    """A step of the drive is followed late, then overshoots and settles."""
    import pandas as pd

    step = np.where(np.arange(120) < 30, 1.0, 5.0)[:, None].repeat(2, 1)
    units = pd.DataFrame({"integration_s": [0.08, 0.08], "adaptation": [0.0, 0.6]})
    plain, adapting = temporal_rates(step, units).T
    late = plain[30:]
    assert late[0] < 2.5
    assert late[-1] == pytest.approx(5, abs=0.05)
    assert (np.diff(late) > -1e-9).all()
    settled = adapting[-1]
    assert adapting[33:45].max() > 1.2 * settled


LATENCY_S, FRAME = 0.12, 1 / 30


@pytest.fixture(scope="module")
def late_neurons():
    """Simple cells with a known latency: counts to 40 scenes, and spikes during a movie."""
    rng = np.random.default_rng(6)
    fields = patterns.gabor(SCREEN, [-20, 10, 25], [10, -15, 5], 24.0, [0, 60, 120], 90.0, 9.0)

    def respond(images):
        drive = np.tensordot(images - 0.5, fields, axes=([1, 2], [1, 2]))
        return 1 + 4 * np.maximum(drive, 0)

    scenes, shown = noise(rng, 40), noise(rng, 60)
    means = np.maximum(respond(scenes) + rng.normal(0, 0.3, (40, 3)), 0)
    passes = 10
    starts = 100.0 * np.arange(passes)[:, None] + FRAME * np.arange(240)
    every = respond(shown)
    trains = []
    for rates in every.T:
        spikes = [
            start + LATENCY_S + rng.uniform(0, 4 * FRAME, rng.poisson(rate))
            for pass_starts in starts[:, ::4]
            for start, rate in zip(pass_starts, rates, strict=True)
        ]
        trains.append(np.sort(np.concatenate(spikes)))
    return scenes, means, shown, trains, MoviePasses("one", starts, starts + FRAME)


def with_windows(late_neurons, *windows):
    scenes, means, shown, trains, passes = late_neurons
    found = MovieWindows.of(trains, [passes], 4, windows)
    stimuli = MovieStimuli(shown, found.means[0], np.ones(60), found.means)
    arguments = scenes, means, np.ones(40), SCREEN, config(), 0, 2, None, None, stimuli
    return found, fit_all(*arguments)


@pytest.mark.thorough
def test_each_neuron_is_counted_at_its_latency(late_neurons):
    """In every fold; a wrong fixed delay gains nothing from the movie."""
    lags = [(lag, None) for lag in (0.0, 0.06, LATENCY_S, 0.18)]
    windows, chosen = with_windows(late_neurons, *lags)
    np.testing.assert_array_equal(windows.lag_s[chosen.windows], LATENCY_S)
    wrong = with_windows(late_neurons, lags[0])[1]
    right = with_windows(late_neurons, lags[2])[1]
    np.testing.assert_array_equal(chosen.predictions["model"], right.predictions["model"])

    def score(found):
        pairs = zip(found.predictions["model"].T, late_neurons[1].T, strict=True)
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])

    assert score(chosen) > score(wrong) + 0.02


def test_held_out_scenes_do_not_choose_the_window(late_neurons):
    lags = [(lag, None) for lag in (0.06, LATENCY_S)]
    scenes, means, *rest = late_neurons
    before = with_windows(late_neurons, *lags)[1]
    test = before.held_out[0]
    changed = means.copy()
    changed[test] = means.max() - means[test]
    after = with_windows((scenes, changed, *rest), *lags)[1]
    np.testing.assert_array_equal(before.windows[0], after.windows[0])
    unchanged = before.predictions["v1"][test]
    np.testing.assert_array_equal(unchanged, after.predictions["v1"][test])


def test_a_window_of_another_length_counts_spikes_per_bin(late_neurons):
    *_, trains, passes = late_neurons
    found = MovieWindows.of(trains, [passes], 4, [(LATENCY_S, None), (LATENCY_S, 2 * FRAME)])
    whole, half = found.means
    np.testing.assert_allclose(found.width_s, [4 * FRAME, 2 * FRAME], atol=1e-5)
    assert half.mean() == pytest.approx(whole.mean(), rel=0.1)
    expected = MovieCounts.of(trains, passes, 4, LATENCY_S).means
    np.testing.assert_allclose(whole, expected, atol=0.11)  # rounding of two equal limits
