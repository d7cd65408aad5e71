"""Order of neurons in a raster plot, with similar neurons next to each other.

The package rastermap (Stringer et al. 2025) finds the order in which a matrix of time-lagged
correlations best matches a fixed matrix that decreases with the distance between positions. The
order by clustering has the same objective, for single neurons: it starts from the optimal leaf
ordering of a hierarchical clustering (Bar-Joseph et al. 2001) and evaluates all moves of segments
to other positions at once from cumulative sums, while the package evaluates them one by one
(``benchmarks/selection_speed.py`` compares them).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meiflow.selection.rastermap import COMPONENTS, LOCALITY, TIME_LAG_BINS, rastermap_order

# Cumulative sums need about 130 n^3 bytes and n^3 time; beyond, only the leaf ordering is used.
MOST_NEURONS = 150
_MOST_MOVES = 400
_SMALLEST_GAIN = 1e-3


def raster_order(
    counts: NDArray, method: Literal["rastermap", "clustering"] = "rastermap", seed: int = 0
) -> NDArray[np.int64]:
    """Order neurons such that similar activity is adjacent.

    Parameters
    ----------
    counts : ndarray, shape (bins, neurons)
        Binned activity, which is z-scored per neuron.
    method : {"rastermap", "clustering"}
        The package rastermap, or `clustering_order`.
    seed : int
        Seed of the k-means step of rastermap, which is used for more than 100 neurons; the order by
        clustering is not random.

    Returns
    -------
    ndarray of int, shape (neurons,)
        ``counts[:, order]`` is sorted; neurons without variance, or with values that are not
        finite, come last.

    Raises
    ------
    MeiflowError
        If the package rastermap fails.

    Examples
    --------
    >>> import numpy as np
    >>> wave = np.sin(np.arange(90)[:, None] / 9 - np.array([0.0, 0.6, 0.2, 0.8, 0.4]))
    >>> raster_order(wave, "clustering")
    array([0, 2, 4, 1, 3])
    """
    finite = np.flatnonzero(np.isfinite(counts).all(axis=0))
    varies = finite[np.ptp(counts[:, finite], axis=0) > 0]
    rest = np.setdiff1d(np.arange(counts.shape[1]), varies)
    if len(varies) < 3:
        return np.concatenate([varies, rest])
    z = counts[:, varies].astype(float)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    order = clustering_order(z) if method == "clustering" else rastermap_order(z, seed)
    return np.concatenate([varies[order], rest])


def clustering_order(z: NDArray) -> NDArray[np.int64]:
    """Optimal leaf ordering; for up to 150 neurons refined to maximise rastermap's objective.

    Parameters
    ----------
    z : ndarray, shape (bins, neurons)
        z-scored activity, finite; all neurons vary.

    Returns
    -------
    ndarray of int, shape (neurons,)

    References
    ----------
    Bar-Joseph, Z., Gifford, D. K. & Jaakkola, T. S. (2001). Fast optimal leaf ordering for
    hierarchical clustering. Bioinformatics 17, S22-S29.
    """
    order = leaf_order(np.corrcoef(z.T))
    if len(order) <= MOST_NEURONS:
        similarity = lagged_similarity(z)[np.ix_(order, order)]
        order = order[improve_order(similarity, matching_weights(len(order)))]
    return order


def leaf_order(correlation: NDArray) -> NDArray[np.int64]:
    """Optimal leaf ordering of the average-linkage tree of a correlation matrix."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    n = len(correlation)
    if n < 3:
        return np.arange(n)
    distance = 1 - correlation[np.triu_indices(n, 1)]
    tree = linkage(np.clip(distance, 0, None), "average")
    return leaves_list(optimal_leaf_ordering(tree, distance)).astype(np.int64)


def lagged_similarity(z: NDArray) -> NDArray[np.float64]:
    """Rastermap's similarity: the highest correlation over lags of 0 to 15 bins.

    Parameters
    ----------
    z : ndarray, shape (bins, neurons)
        z-scored activity; the mean time course of all neurons is removed and the remainder reduced
        to 64 principal components.

    Returns
    -------
    ndarray, shape (neurons, neurons)
        Entry [i, j] is for i following j; the matrix is not symmetric.
    """
    common = z.mean(axis=1)
    length = np.linalg.norm(common)
    if length > 0:
        common = common / length
        z = z - common[:, None] * (common @ z)
    components = np.linalg.eigh(z.T @ z)[1][:, -COMPONENTS:]
    x = components @ (components.T @ z.T)
    x = (x - x.mean(axis=1, keepdims=True)) / np.maximum(x.std(axis=1, keepdims=True), 1e-12)
    bins = x.shape[1]
    lags = range(min(TIME_LAG_BINS + 1, bins))
    return np.max([x[:, lag:] @ x[:, : bins - lag].T / (bins - lag) for lag in lags], axis=0)


def matching_weights(n: int) -> NDArray[np.float64]:
    """Rastermap's weight of two neurons at distance d = 0 .. n - 1 (0 is not used).

    Decreases with the logarithm of the distance, with an extra `LOCALITY` for neighbours.
    """
    places = np.arange(n) / n
    far = np.abs(places[:, None] - places)
    far[far == 0] = 1 - 1e-3
    wide = -np.log(1e-3 + far)
    near = np.exp(-((places[:, None] - places) ** 2) / (2 * (0.5 / n) ** 2))
    np.fill_diagonal(near, 0)
    matrix = (1 - LOCALITY) * wide / wide.mean() + LOCALITY * near / near.mean()
    return matrix[0]


def matching_score(similarity: NDArray, weights: NDArray) -> float:
    """Rastermap's objective for `similarity` in its current order."""
    n = len(similarity)
    rows, columns = np.triu_indices(n, 1)
    return float((weights[columns - rows] * similarity[rows, columns]).sum())


def improve_order(similarity: NDArray, weights: NDArray) -> NDArray[np.int64]:
    """Move segments of the order, best move first, while `matching_score` increases.

    A move exchanges two neighbouring segments, ``[i, j)`` and ``[j, k)``. It changes only the
    distances between blocks, each by a constant. With two-dimensional cumulative sums of the score
    for every constant, each move is evaluated with a few look-ups.
    """
    n = len(similarity)
    i, j, k = (a.ravel() for a in np.indices((n + 1, n + 1, n + 1), dtype=np.int16))
    moves = (i < j) & (j < k) & (k <= n)
    i, j, k = (a[moves].astype(np.int64) for a in (i, j, k))
    left, right = j - i, k - j
    rows, columns = np.indices((n, n))
    apart = columns - rows
    upper = apart > 0
    padded = np.zeros(4 * n)
    padded[n : 2 * n] = np.where(np.arange(n) > 0, weights, 0)

    def weight_at(distance: NDArray) -> NDArray:
        return padded[np.clip(n + distance, 0, 4 * n - 1)]

    now = np.where(upper, weight_at(apart), 0)
    shifts = np.arange(-n, n + 1)[:, None, None]
    shifted = np.where(upper, weight_at(apart + shifts), 0) - now  # gain at each shift
    together = np.arange(n + 1)[:, None, None]
    swapped = np.where(upper, weight_at(together - apart), 0)  # the later segment now comes first
    order = np.arange(n)
    zero, end = np.zeros_like(i), np.full_like(i, n)
    matrix = similarity.astype(float)
    for _ in range(_MOST_MOVES):
        by_shift, by_length = _cumulative(shifted * matrix), _cumulative(swapped * matrix.T)
        gain = (
            _block(by_shift, n + right, zero, i, i, j)
            + _block(by_shift, n - right, i, j, k, end)
            + _block(by_shift, n - left, zero, i, j, k)
            + _block(by_shift, n + left, j, k, k, end)
            + _block(by_length, left + right, i, j, j, k)
            - _block(_cumulative((now * matrix)[None]), zero, i, j, j, k)
        )
        best = int(gain.argmax()) if len(gain) else 0
        if not len(gain) or gain[best] <= _SMALLEST_GAIN:
            break
        a, b, c = i[best], j[best], k[best]
        move = np.r_[:a, b:c, a:b, c:n]
        matrix, order = matrix[np.ix_(move, move)], order[move]
    return order


def _cumulative(stack: NDArray) -> NDArray[np.float64]:
    """Sums over all upper left rectangles of each matrix, shape (m, n + 1, n + 1)."""
    out = np.zeros((len(stack), stack.shape[1] + 1, stack.shape[2] + 1))
    np.cumsum(np.cumsum(stack, axis=1), axis=2, out=out[:, 1:, 1:])
    return out


def _block(
    sums: NDArray, which: NDArray, r0: NDArray, r1: NDArray, c0: NDArray, c1: NDArray
) -> NDArray[np.float64]:
    """Sum over rows [r0, r1) and columns [c0, c1) of matrix `which`."""
    return sums[which, r1, c1] - sums[which, r0, c1] - sums[which, r1, c0] + sums[which, r0, c0]
