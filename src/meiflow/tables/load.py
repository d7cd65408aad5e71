"""Read the tables stage's results back as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, closest
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_csv
from meiflow.tables.counts import TRIAL_COLUMNS, Trials, trials_from_table
from meiflow.tables.stack import read_stack


@dataclass(frozen=True)
class Responses:
    """Images and the mean response of every neuron to each.

    ``image_ids`` (images,), ``images`` (images, height, width) luminance in [0, 1],
    ``neuron_ids`` (neurons,) and ``means`` (images, neurons) in spikes per presentation.
    """

    image_ids: NDArray[np.int64]
    images: NDArray[np.float32]
    neuron_ids: list[str]
    means: NDArray[np.float64]

    def column(self, neuron: str) -> int:
        """Index of a neuron.

        Raises
        ------
        MeiflowError
            If the session has no such neuron.
        """
        if neuron not in self.neuron_ids:
            raise MeiflowError(
                f"neuron {neuron!r} is not in this session's tables"
                f"{closest(neuron, self.neuron_ids)}; tables/units.csv lists those that are"
            )
        return self.neuron_ids.index(neuron)


def load_responses(folder: str | Path, geometry: Geometry | None = None) -> Responses:
    r"""Read responses.csv and the image stack of a tables folder; see `read_stack`.

    Examples
    --------
    >>> import tempfile
    >>> from meiflow.tables.stack import write_stack
    >>> screen = Geometry(6, 8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_stack(np.full((2, 6, 8), 0.5, np.float32), np.array([4, 7]), screen, Path(folder))
    ...     _ = (Path(folder) / "responses.csv").write_text("image_id,a,b\n4,1.5,0\n7,2.0,0.5\n")
    ...     found = load_responses(folder, screen)
    >>> found.neuron_ids, found.image_ids, found.means.tolist()
    (['a', 'b'], array([4, 7]), [[1.5, 0.0], [2.0, 0.5]])
    """
    folder = Path(folder)
    table = read_csv(folder / "responses.csv", ("image_id",))
    image_ids, images = read_stack(folder, geometry)
    if table["image_id"].tolist() != image_ids.tolist():
        raise MeiflowError(
            f"{folder}: images.npy has {len(images)} images but responses.csv {len(table)} rows, "
            "or others; make the tables again"
        )
    neurons = [c for c in table.columns if c != "image_id"]
    return Responses(image_ids, images, neurons, table[neurons].to_numpy(float))


def load_trials(folder: str | Path) -> Trials:
    r"""Read trials.csv of a tables folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = "trial_id,neuron_id,spike_count,image_id\n0,a,2,7\n1,a,0,-1\n"
    ...     _ = (Path(folder) / "trials.csv").write_text(rows)
    ...     trials = load_trials(folder)
    >>> trials.counts.ravel(), trials.of_images().image_ids
    (array([2, 0]), array([7]))
    """
    path = Path(folder) / "trials.csv"
    return trials_from_table(read_csv(path, TRIAL_COLUMNS), str(path))


def window_length(window_s: tuple[float, float | None], folder: str | Path) -> float:
    """Length of the counting window in seconds; the mean one, where presentations differ."""
    if window_s[1] is not None:
        return window_s[1] - window_s[0]
    shown = read_csv(Path(folder) / "presentations.csv", ("start_s", "stop_s"))
    return float((shown["stop_s"] - shown["start_s"]).mean()) - window_s[0]
