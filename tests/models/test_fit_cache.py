"""Finished parts of a killed fit are not fitted again."""

import numpy as np
import torch

from meiflow.models.fit_cache import FitCache
from meiflow.models.jobs import Fits, Jobs, fit_in_chunks


def make_jobs(rng, n=5):
    return Jobs(
        rng.poisson(3.0, (n, 8)).astype(float),
        np.ones((n, 8), bool),
        np.zeros(n),
        np.zeros(n),
        np.zeros((n, 1, 5)),
    )


class Fitter:
    def __init__(self, fail_after=None):
        self.calls, self.fail_after = 0, fail_after

    def __call__(self, jobs):
        if self.calls == self.fail_after:
            raise KeyboardInterrupt
        self.calls += 1
        states = [{"kind": "ln", "filter": torch.ones(2), "scale": 0.5} for _ in range(len(jobs))]
        return Fits(jobs.responses * 2, states)


def run(folder, jobs, fitter, *inputs):
    parts = FitCache(folder, *inputs)
    return fit_in_chunks(parts.keeping("ln", fitter), jobs, 2, 1, "test")


def test_a_second_run_fits_only_what_is_missing(tmp_path, rng):
    jobs, images = make_jobs(rng), rng.uniform(size=(8, 3, 4))
    broken = Fitter(fail_after=2)
    try:
        run(tmp_path / "parts", jobs, broken, images, "config")
        raise AssertionError("was to be interrupted")
    except KeyboardInterrupt:
        pass
    assert len(list((tmp_path / "parts").glob("*.pt"))) == 2
    whole = Fitter()
    fits = run(tmp_path / "parts", jobs, whole, images, "config")
    assert whole.calls == 1
    undisturbed = fit_in_chunks(Fitter(), jobs, 2, 1, "test")
    np.testing.assert_array_equal(fits.predictions, undisturbed.predictions)
    assert len(fits.states) == 5
    assert torch.equal(fits.states[0]["filter"], undisturbed.states[0]["filter"])


def test_parts_of_other_inputs_or_damaged_ones_do_not_count(tmp_path, rng):
    jobs, images = make_jobs(rng), rng.uniform(size=(8, 3, 4))
    run(tmp_path, jobs, Fitter(), images, "config")
    for inputs in ((images, "other"), (images + 1, "config")):
        again = Fitter()
        run(tmp_path, jobs, again, *inputs)
        assert again.calls == 3
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"half")
    again = Fitter()
    run(tmp_path, jobs, again, images, "config")
    assert again.calls == 3
    FitCache(tmp_path).clear()
    assert not tmp_path.exists()
