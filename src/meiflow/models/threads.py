"""Number of threads of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Use a single thread, and then as many as before.

    The models are small: more threads hardly help, and on a busy machine they wait for each other
    (on two cores with one of them in use, an MEI took 30 to 80 times as long).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
