"""The page of all sessions, as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from meiflow.combined.clusters import ENOUGH
from meiflow.config.sections import Config
from meiflow.report.cluster_cards import ClusterCard
from meiflow.report.combined_view import CombinedView
from meiflow.report.methods import data_credit, used_config
from meiflow.report.page import filled
from meiflow.report.provenance import versions


def render_combined(
    view: CombinedView, config: Config, made_of: str = "", clusters: Sequence[ClusterCard] = ()
) -> str:
    """The page as HTML.

    Parameters
    ----------
    view : CombinedView
    config : Config
    made_of : str
        Hashes of the results that it shows; see `meiflow.stages.outdated`.
    clusters : sequence of ClusterCard
    """
    return filled(
        "combined",
        view=view,
        made_of=made_of,
        seed=config.seed,
        clustered=config.clusters.make,
        clusters=clusters,
        enough=ENOUGH,
        aligned=config.clusters.align,
        config_text=json.dumps(used_config(config), indent=1),
        credit=data_credit(config.session),
        versions=versions(),
        data={key: d.data for key, d in view.drawings.items()},
        table={"columns": [c.name for c in view.columns], "rows": view.rows},
    )
