"""The report as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from meiflow import __version__
from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.paths import require_file
from meiflow.report.methods import data_credit, used_config
from meiflow.report.paper import as_latex, as_plain, bibliography, cited, with_versions
from meiflow.report.provenance import hash_of_text, versions
from meiflow.report.view import ReportView

_STYLES = {"report": ("report", "views", "plots"), "combined": ("report",), "atlas": ("report",)}
# Scripts of a page, in one scope: each uses what those before it define.
_SCRIPTS = {
    "report": (
        *("shared", "table", "neurons", "plots", "neuron_plots", "raster"),
        *("tip", "map", "scatter", "tray", "curate", "report"),
    ),
    "combined": ("shared", "table", "combined"),
    "atlas": ("shared", "atlas"),
}


def render_report(
    view: ReportView,
    config: Config,
    inputs: list[dict[str, Any]],
    movies: str = "",
    natural_movies: Sequence[str] = (),
    notes: Sequence[str] = (),
    made_of: str = "",
    missing: Sequence[str] = (),
) -> str:
    """The page as HTML.

    Parameters
    ----------
    view : ReportView
    config : Config
    inputs : list of dict
        Output of `meiflow.report.provenance.read_provenance`.
    movies : str
        Picture of the movies for a custom model as a ``data:`` URL; empty if there is none.
    natural_movies : sequence of str
        Base models that were also fitted to natural movies.
    notes : sequence of str
        What may be wrong with the inputs.
    made_of : str
        Hashes of the results that it shows; see `meiflow.stages.outdated`.
    missing : sequence of str
        What a provisional report does not have yet.
    """
    screen = config.image.geometry
    text = json.dumps(used_config(config), indent=1)
    methods = (
        environment()
        .get_template("_methods_text.html.jinja")
        .render(
            view=view,
            session=config.session,
            custom=config.model.custom,
            base_models=config.model.members,
            core=config.model.network.known_core,
            stacking_prior=config.model.stacking_prior,
            natural_movies=natural_movies,
            smoothed=config.mei.smoothing_exponent > 0,
            refined=config.gabor.refine_steps > 0,
        )
    )
    credit, used = data_credit(config.session), versions()
    plain = with_versions(as_plain(methods), used)
    references = cited(f"{plain} {credit}")
    return filled(
        "report",
        libraries=libraries(),
        view=view,
        methods=Markup(methods),
        references=references,
        for_paper={
            "txt": plain,
            "tex": as_latex(plain),
            "bib": bibliography(references),
        },
        session=config.session,
        seed=config.seed,
        custom=config.model.custom,
        config_text=text,
        config_hash=hash_of_text(text),
        inputs=inputs,
        versions=used,
        movies=movies,
        notes=notes,
        made_of=made_of,
        missing=missing,
        credit=credit,
        angle=f"{screen.width_deg:g} x {screen.height_deg:g}",
        data={key: d.data for key, d in view.drawings.items()},
        linked={
            "session": config.session.id,
            "config": hash_of_text(text)[:12],
            "screen": [screen.width_deg, screen.height_deg],
            "further": view.further_columns,
            "neurons": [{"id": page.id} | page.linked for page in view.pages],
        },
    )


def config_of_report(path: Path) -> Config:
    """The configuration of a run, from its report.

    Raises
    ------
    MeiflowError
        If there is no report, or if it was made by another version.
    """
    require_file(path)
    text = path.read_text(encoding="utf-8")
    saved = text.partition('id="data-config">')[2].partition("</script>")[0]
    try:
        return parse_config(json.loads(json.loads(saved)))
    except ValueError:
        raise MeiflowError(
            f"{path}: its configuration cannot be read; make the report again: meiflow run FILE"
        ) from None


def environment() -> Environment:
    """Where the templates are found."""
    return Environment(
        loader=PackageLoader("meiflow.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def filled(name: str, **values: Any) -> str:
    """Render a template with the style and the scripts embedded.

    Parameters
    ----------
    name : str
        Name of ``templates/{name}.html.jinja``, whose scripts are listed in `_SCRIPTS`.
    **values
        Values used by the template; text in them is escaped.
    """
    style = "".join(_template(f"{part}.css") for part in _STYLES[name])
    script = "".join(_template(f"{part}.js") for part in _SCRIPTS[name])
    page = environment().get_template(f"{name}.html.jinja")
    return page.render(**values, style=style, script=script, version=__version__)


def _template(name: str) -> str:
    return (files("meiflow.report") / "templates" / name).read_text(encoding="utf-8")


def libraries() -> str:
    """d3, Observable Plot and fflate, with their licence texts in ``vendor``."""
    folder = files("meiflow.report") / "vendor"
    names = ("d3.min.js", "plot.umd.min.js", "fflate.umd.js")
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
