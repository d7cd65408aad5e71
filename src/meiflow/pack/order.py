"""Order in which stimuli are presented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blocked_order(stimuli: int, blocks: int, seed: int) -> NDArray[np.int64]:
    """A random order in which each block contains every stimulus once, and none follows itself.

    Parameters
    ----------
    stimuli : int
        Number of stimuli, at least 2.
    blocks : int
        Number of blocks, which is the number of presentations of each stimulus.
    seed : int

    Returns
    -------
    ndarray of int, shape (blocks, stimuli)

    Examples
    --------
    >>> order = blocked_order(4, 3, seed=0)
    >>> np.sort(order).tolist()
    [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    >>> bool((np.diff(order.ravel()) != 0).all())
    True
    """
    rng = np.random.default_rng(seed)
    found: list[NDArray[np.int64]] = []
    while len(found) < blocks:
        block = rng.permutation(stimuli)
        if not found or block[0] != found[-1][-1]:
            found.append(block)
    return np.stack(found)
