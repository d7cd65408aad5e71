"""Order of neurons by the package rastermap (Stringer et al. 2025)."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError

LOCALITY = 0.15
TIME_LAG_BINS = 15
COMPONENTS = 64
# Ordering neurons individually gives better results, but the time grows with the fifth power of
# their number: half a minute for 100, minutes for 135; the package accepts at most 200.
MOST_SINGLE = 100
CLUSTERS = 50


def rastermap_order(z: NDArray, seed: int = 0) -> NDArray[np.int64]:
    """Order of neurons by the package rastermap, with the settings of its single-neuron example.

    Up to 100 neurons are ordered individually. More are grouped into 50 clusters by k-means, the
    clusters are ordered, and every neuron is positioned on or between them.

    Parameters
    ----------
    z : ndarray, shape (bins, neurons)
        z-scored activity of at least three neurons, finite; all neurons vary.
    seed : int
        Seed of k-means.

    Returns
    -------
    ndarray of int, shape (neurons,)
        ``z[:, order]`` is sorted.

    Raises
    ------
    MeiflowError
        If the package fails, which happens for more than 100 neurons with hardly any structure.

    References
    ----------
    Stringer, C., Zhong, L., Syeda, A., Du, F., Kesa, M. & Pachitariu, M. (2025). Rastermap: a
    discovery method for neural population recordings. Nature Neuroscience 28, 201-212.
    """
    bins, neurons = z.shape
    # Without the mean of all neurons there are no more components; a further one would be of
    # rounding errors, which the package would scale up.
    components = max(1, min(COMPONENTS, neurons - 1, bins - 2))
    single = neurons <= MOST_SINGLE
    package = _package()
    with _contained():
        model = package.Rastermap(
            n_clusters=None if single else CLUSTERS,
            n_PCs=components,
            locality=LOCALITY,
            time_lag_window=min(TIME_LAG_BINS, bins - 1),
            grid_upsample=0 if single else 10,
            normalize=False,
            keep_norm_X=False,
            random_state=seed,
            verbose=False,
        )
        try:
            # a copy, because the package subtracts the mean of all neurons in place
            model.fit(np.array(z.T, dtype=float, order="C"), compute_X_embedding=False)
        except (ValueError, IndexError, np.linalg.LinAlgError) as error:
            raise MeiflowError(
                f"rastermap cannot order these {neurons} neurons ({error}); set selection.raster "
                "to clustering"
            ) from error
    # not model.isort, in which the order of neurons at the same position is arbitrary
    return np.argsort(model.embedding[:, 0], kind="stable").astype(np.int64)


def _package() -> ModuleType:
    """Import the package, whose functions numba compiles on import, unless they are cached.

    The cache is next to the package or in the user's cache folder. If neither is writable, the
    import fails, and the functions are compiled for this process only.
    """
    import numba

    try:
        import rastermap
    except RuntimeError:
        with tempfile.TemporaryDirectory() as folder:
            numba.config.CACHE_DIR, before = folder, numba.config.CACHE_DIR
            try:
                import rastermap
            finally:
                numba.config.CACHE_DIR = before
    return rastermap


@contextmanager
def _contained() -> Iterator[None]:
    """Use one thread, and undo the side effects of the package.

    The package seeds numpy's global generator, adds a handler to a root logger without one, and
    warns if there are few neurons.
    """
    import numba
    from threadpoolctl import threadpool_limits

    root, handler = logging.getLogger(), logging.NullHandler()
    state, threads = np.random.get_state(), numba.get_num_threads()  # noqa: NPY002
    root.addHandler(handler)
    try:
        with threadpool_limits(1), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            numba.set_num_threads(1)
            yield
    finally:
        numba.set_num_threads(threads)
        root.removeHandler(handler)
        np.random.set_state(state)  # noqa: NPY002
