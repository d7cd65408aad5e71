"""Read the spikes of a Kilosort or phy folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import read_array
from meiflow.io.paths import require_file

# Labels of the clusters, by preference: of the user (phy), of Kilosort.
_LABELS = (
    ("cluster_info.tsv", "group"),
    ("cluster_group.tsv", "group"),
    ("cluster_info.tsv", "KSLabel"),
    ("cluster_KSLabel.tsv", "KSLabel"),
)
_RATE = re.compile(r"^\s*sample_rate\s*=\s*([0-9][0-9_.eE+]*)\s*(#.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class SortedSpikes:
    """Spikes of the chosen clusters.

    Parameters
    ----------
    neuron_ids : list of str
        Numbers of the clusters.
    spike_times : list of ndarray
        Sorted times of each cluster in seconds from the start of the recording.
    found : dict of str to int
        Number of clusters in the folder by label.
    """

    neuron_ids: list[str]
    spike_times: list[NDArray[np.float64]]
    found: dict[str, int]


def sample_rate(text: str) -> float | None:
    r"""The sampling rate in params.py, which is not run.

    Examples
    --------
    >>> sample_rate("dat_path = 'a.dat'\nsample_rate = 30000.0\n")
    30000.0
    >>> sample_rate("sample_rate = rate()") is None
    True
    """
    found = _RATE.search(text)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def read_phy(folder: Path, labels: tuple[str, ...] = ("good",)) -> SortedSpikes:
    """Read spike_times.npy, spike_clusters.npy, params.py and the labels of the clusters.

    Parameters
    ----------
    folder : path
    labels : tuple of str
        Labels of the clusters to be read; those of the user come before those of Kilosort.

    Raises
    ------
    MeiflowError
        If a file is missing or invalid, or no cluster has one of the labels.
    """
    params = folder / "params.py"
    require_file(params)
    rate = sample_rate(params.read_text(encoding="utf-8", errors="replace"))
    if not rate or not np.isfinite(rate):
        raise MeiflowError(f"{params}: no line such as sample_rate = 30000.0")
    times = _whole(folder / "spike_times.npy")
    clusters = _whole(folder / "spike_clusters.npy")
    if len(times) != len(clusters):
        raise MeiflowError(
            f"{folder}: {len(times)} spike times, but the clusters of {len(clusters)} spikes; they "
            "belong to different sortings"
        )
    given = _labels(folder)
    known = {int(c): given.get(int(c), "") for c in np.unique(clusters)}
    found = pd.Series(known).replace("", "unlabelled").value_counts().to_dict()
    chosen = [cluster for cluster, label in known.items() if label in labels]
    if not chosen:
        raise MeiflowError(
            f"{folder}: no cluster is labelled {shorten(labels)}; found: "
            + shorten(f"{count} {label}" for label, count in found.items())
        )
    spikes = [np.sort(times[clusters == cluster]) / rate for cluster in chosen]
    return SortedSpikes([str(c) for c in chosen], spikes, found)


def _whole(path: Path) -> NDArray[np.int64]:
    array = read_array(path).squeeze()
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise MeiflowError(
            f"{path}: expected whole numbers, one per spike, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array.astype(np.int64)


def _labels(folder: Path) -> dict[int, str]:
    """Labels of the clusters; those of the first file win, cluster by cluster."""
    found: dict[int, str] = {}
    for name, column in _LABELS:
        path = folder / name
        if not path.is_file():
            continue
        try:
            table = pd.read_csv(path, sep="\t")
        except (ValueError, OSError) as error:
            raise MeiflowError(f"{path}: not a table ({error})") from None
        number = next((c for c in ("cluster_id", "id") if c in table), None)
        if number is None or column not in table:
            continue
        labelled = table.dropna(subset=[number, column])
        for cluster, label in zip(labelled[number], labelled[column], strict=True):
            found.setdefault(int(cluster), str(label))
    if not found:
        raise MeiflowError(
            f"{folder}: no labels of clusters; expected one of "
            f"{', '.join(dict.fromkeys(name for name, _ in _LABELS))}"
        )
    return found
