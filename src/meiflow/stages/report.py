"""The report stage: figures on disk and one self-contained HTML page."""

from __future__ import annotations

import base64

from meiflow.config.sections import Config
from meiflow.io.files import write_text
from meiflow.models.fitters import LEARN_FROM_MOVIES
from meiflow.report.page import render_report
from meiflow.report.provenance import read_notes, read_provenance
from meiflow.report.session_data import read_session_data
from meiflow.report.trust import TrustCalibration, calibration_of
from meiflow.report.view import build_view
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.outdated import as_text, made_of
from meiflow.stages.provisional import lead_to_report


def write_report(
    config: Config,
    results: Layout,
    has: SessionHas,
    calibration: TrustCalibration | None = None,
) -> None:
    """Write the figures and the HTML report.

    Parameters
    ----------
    config : Config
        The whole configuration, which is shown on the page.
    results : Layout
        Complete results of the session.
    has : SessionHas
    calibration : TrustCalibration, optional
        Precision of the trust flag; by default, if the summary contains flags, as measured for
        this version.

    Raises
    ------
    MeiflowError
        If a result is missing or damaged.
    """
    data = read_session_data(config, results, has)
    view = build_view(data, calibration or calibration_of(data.summary))
    inputs = read_provenance(results.provenance)
    movies = ""
    if config.movie.model:
        picture = results.procedure("movies").picture.read_bytes()
        movies = "data:image/png;base64," + base64.b64encode(picture).decode()
    learned = []
    if has.movies and "movies" in config.model.learn_from and not view.without_scenes:
        learned = [name for name in config.model.members if name in LEARN_FROM_MOVIES]
    state = as_text(made_of(results, data.neurons))
    page = render_report(view, config, inputs, movies, learned, read_notes(results.notes), state)
    write_text(page, results.report)
    lead_to_report(results)
