"""The report stage: figures on disk and one self-contained HTML page."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from meiflow import __version__
from meiflow.config.sections import Config
from meiflow.io.files import write_text
from meiflow.report.provenance import hash_of_text, read_provenance, versions
from meiflow.report.session_data import read_session_data
from meiflow.report.trust import Calibration, calibration_of
from meiflow.report.view import ReportView, build_view


def write_report(
    config: Config,
    results: Path,
    loop_path: Path | None,
    recorded: bool,
    figures: Path,
    output: Path,
    calibration: Calibration | None = None,
) -> None:
    """Write ``report.html`` and the overview figures (PNG and SVG).

    Parameters
    ----------
    config : Config
        The whole configuration, which is shown on the page.
    results : path
        Complete results folder of the session.
    loop_path : path or None
        closed_loop.csv of a simulated session.
    recorded : bool
        Whether recorded tuning was compared with the models' predictions.
    figures : path
        Folder for the figures.
    output : path
        The page, a single file that works offline.
    calibration : Calibration, optional
        Precision of the trust flag; by default, if the summary contains flags, as measured for
        this version.

    Raises
    ------
    MeiflowError
        If a result is missing or damaged.
    """
    data = read_session_data(config, results, loop_path, recorded)
    view = build_view(data, figures, calibration or calibration_of(data.summary))
    inputs = read_provenance(results / "provenance.json")
    movies = results / "stimuli" / "movies.png" if config.movie.model else None
    write_text(render(view, config, inputs, _movies(movies)), output)


def _movies(path: Path | None) -> str:
    import base64

    if path is None:
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def render(view: ReportView, config: Config, inputs: list[dict[str, Any]], movies: str = "") -> str:
    """The page as HTML.

    Parameters
    ----------
    view : ReportView
    config : Config
    inputs : list of dict
        Output of `meiflow.report.provenance.read_provenance`.
    movies : str
        Picture of the movies for a custom model as a ``data:`` URL; empty if there is none.
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
    """Render a template with the style and the scripts embedded.

    Parameters
    ----------
    name : str
        Name of ``templates/{name}.html.jinja`` and of its script ``templates/{name}.js``.
    **values
        Values used by the template; text in them is escaped.
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
