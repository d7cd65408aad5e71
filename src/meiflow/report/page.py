"""The report as one self-contained HTML page."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from meiflow import __version__
from meiflow.config.sections import Config
from meiflow.report.provenance import hash_of_text, versions
from meiflow.report.view import ReportView


def render(view: ReportView, config: Config, inputs: list[dict[str, Any]], movies: str = "") -> str:
    """The page as HTML.

    Parameters
    ----------
    view : ReportView
    config : Config
    inputs : list of dict
        As `meiflow.report.provenance.read_provenance` returns them.
    movies : str
        Picture of an own model's movies as a ``data:`` address; empty if there is none.
    """
    text = json.dumps(config.model_dump(mode="json"), indent=1)
    return filled(
        "report",
        view=view,
        session=config.session,
        seed=config.seed,
        custom=config.model.custom,
        config_text=text,
        config_hash=hash_of_text(text),
        inputs=inputs,
        versions=versions(),
        movies=movies,
        data={key: d.data for key, d in view.drawings.items()},
    )


def filled(name: str, **values: Any) -> str:
    """A page of one template, with the style and the scripts in it.

    Parameters
    ----------
    name : str
        Of ``templates/{name}.html.jinja`` and of the script beside it.
    **values
        What the template shows; text in them is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("meiflow.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates = files("meiflow.report") / "templates"
    style, *scripts = (
        (templates / file).read_text(encoding="utf-8")
        for file in ("report.css", "shared.js", f"{name}.js")
    )
    page = environment.get_template(f"{name}.html.jinja")
    return page.render(**values, style=style, script="".join(scripts), version=__version__)
