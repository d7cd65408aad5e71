"""The page of all sessions, as one self-contained HTML file."""

from __future__ import annotations

import json

from meiflow.config.sections import Config
from meiflow.report.combined_view import CombinedView
from meiflow.report.page import filled
from meiflow.report.provenance import versions


def render_combined(view: CombinedView, config: Config) -> str:
    """The page as HTML.

    Parameters
    ----------
    view : CombinedView
    config : Config
    """
    return filled(
        "combined",
        view=view,
        seed=config.seed,
        config_text=json.dumps(config.model_dump(mode="json"), indent=1),
        versions=versions(),
        data={key: d.data for key, d in view.drawings.items()},
        table={"columns": [c.name for c in view.columns], "rows": view.rows},
    )
