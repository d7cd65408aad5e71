"""What the page of all sessions shows of each functional cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pandas as pd
from numpy.typing import NDArray

from meiflow.report.drawing import picture_uri

_MEMBERS = 8


@dataclass(frozen=True)
class ClusterMember:
    """A neuron of a cluster: link to its page, picture of its MEI, and name."""

    link: str
    picture: str
    name: str


@dataclass(frozen=True)
class ClusterCard:
    """A cluster: number from 1, picture of its stimulus, its size, and typical members."""

    number: int
    picture: str
    text: str
    members: list[ClusterMember]


def typical_members(neurons: pd.DataFrame) -> pd.DataFrame:
    """Neurons of each cluster that are furthest from all other clusters.

    Parameters
    ----------
    neurons : DataFrame
        With cluster (missing for neurons that are in none) and margin.

    Returns
    -------
    DataFrame
        At most eight rows per cluster, the highest margin first.

    Examples
    --------
    >>> table = pd.DataFrame({"cluster": [1, 1, 2, None], "margin": [0.2, 0.6, 0.5, 0.9]})
    >>> typical_members(table).index.tolist()
    [1, 0, 2]
    """
    inside = neurons[neurons["cluster"].notna()]
    ordered = inside.sort_values(["cluster", "margin"], ascending=[True, False], kind="stable")
    return ordered.groupby("cluster").head(_MEMBERS)


def cluster_cards(
    clusters: pd.DataFrame, stimuli: NDArray, members: pd.DataFrame, tiles: Sequence[NDArray]
) -> list[ClusterCard]:
    """Cards of all clusters.

    Parameters
    ----------
    clusters : DataFrame
        session_id, cluster and stability of all neurons.
    stimuli : ndarray, shape (clusters, height, width)
        Luminance.
    members : DataFrame
        session_id, neuron_id and cluster of the neurons shown; see `typical_members`.
    tiles : sequence of ndarray
        Their MEIs, from -1 to 1.
    """
    pictures = [picture_uri(tile, reach=1.0) for tile in tiles]
    names = members[["session_id", "neuron_id", "cluster"]].astype(str).to_numpy().tolist()
    cards = []
    for number, stimulus in enumerate(stimuli, 1):
        own = clusters[clusters["cluster"] == number]
        shown = [
            ClusterMember(
                f"../{quote(session, safe='')}/report.html#neuron-{quote(neuron, safe='')}",
                picture,
                f"session {session}, neuron {neuron}",
            )
            for (session, neuron, cluster), picture in zip(names, pictures, strict=True)
            if cluster == str(number)
        ]
        text = _text(own, len(stimuli))
        cards.append(ClusterCard(number, picture_uri(stimulus), text, shown))
    return cards


def _text(own: pd.DataFrame, clusters: int) -> str:
    count, sessions = len(own), own["session_id"].nunique()
    text = f"{count} neuron{'s' * (count != 1)} in {sessions} session{'s' * (sessions != 1)}"
    if clusters == 1:
        return text
    share = f"{own['stability'].mean():.0%}".replace("%", " %")
    return f"{text}; {share} agreement with clusterings of parts of the neurons"
