"""The page with all MEIs of all sessions, as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from meiflow.combined.atlas import TILE, arrange, sprite
from meiflow.report.columns import choices_of
from meiflow.report.drawing import png_uri
from meiflow.report.page import filled

_CLASSES = ("cell_type", "cluster", "kind")


def render_atlas(neurons: pd.DataFrame, tiles: Sequence[NDArray], title: str, seed: int) -> str:
    """The page as HTML.

    Parameters
    ----------
    neurons : DataFrame
        session_id and neuron_id; columns of summary.csv by which neurons are filtered.
    tiles : sequence of ndarray
        MEI of every neuron; see `meiflow.combined.atlas.centred_tile`.
    title : str
    seed : int
        Seed of the arrangement.
    """
    picture, across = sprite(tiles)
    choices = choices_of(neurons, (*_CLASSES, "session_id"))
    return filled(
        "atlas",
        title=title,
        count=len(neurons),
        choices=choices,
        judged="trusted" in neurons and bool(neurons["trusted"].notna().any()),
        picture=png_uri(picture),
        atlas={
            "tile": TILE,
            "across": across,
            "places": arrange(tiles, seed).tolist(),
            "ids": neurons[["session_id", "neuron_id"]].astype(str).to_numpy().tolist(),
            "classes": {name: _texts(neurons[name]) for name, _, _ in choices},
            "trusted": [value is True or value == 1 for value in neurons.get("trusted", [])],
            "above": [value is not False for value in neurons["model_above_chance"].tolist()],
        },
    )


def _texts(values: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else str(value) for value in values]
