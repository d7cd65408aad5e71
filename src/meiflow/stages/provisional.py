"""A report of the first neurons, while the others are in work.

It waits for no stage that is made of all neurons together. When the report is written, this page
leads there; it is not removed, because a browser may show it.
"""

from __future__ import annotations

import os
from contextlib import suppress

from meiflow.config.sections import Config
from meiflow.io.files import write_text
from meiflow.report.page import render_report
from meiflow.report.provenance import read_notes
from meiflow.report.session_data import read_first_data
from meiflow.report.unfinished import still_missing, without_later_stages
from meiflow.report.view import build_view
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import first_neurons, selected_neurons
from meiflow.stages.outdated import is_outdated, still_shows
from meiflow.stages.summary import summarise

_FINISHED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={page}">
<title>meiflow</title></head>
<body><p>The report is finished: <a href="{page}">{page}</a></p></body></html>
"""


def write_provisional(config: Config, results: Layout, has: SessionHas) -> None:
    """Write a report of the first neurons, or a link to a report that shows their results.

    Raises
    ------
    MeiflowError
        If a result of these neurons is missing or damaged.
    """
    first = first_neurons(selected_neurons(results.fitted_neurons))
    if _is_finished(results, first):
        write_text(_link(results), results.provisional)
        return
    early = without_later_stages(config)
    summary = summarise(early, results, SessionHas(), first, judged=False)
    view = build_view(read_first_data(early, results, has, first, summary), None)
    missing = still_missing(config, has)
    page = render_report(view, config, [], notes=read_notes(results.notes), missing=missing)
    # the report may have been written meanwhile
    finished = _is_finished(results, first)
    write_text(_link(results) if finished else page, results.provisional)


def _is_finished(results: Layout, neurons: list[str]) -> bool:
    """Whether there is a report that is up to date, or at least for these neurons."""
    page = results.report
    return page.is_file() and (not is_outdated(page) or still_shows(page, results, neurons))


def _link(results: Layout) -> str:
    return _FINISHED.format(page=results.report.name)


def lead_to_report(results: Layout) -> None:
    """Make a provisional report lead to the report; its date remains, for Snakemake."""
    with suppress(FileNotFoundError):
        before = results.provisional.stat()
        write_text(_link(results), results.provisional)
        os.utime(results.provisional, ns=(before.st_atime_ns, before.st_mtime_ns))
