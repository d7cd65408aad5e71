"""The methods as text for a paper."""

from __future__ import annotations

import json
import re

from meiflow.report.page import render_report
from meiflow.report.paper import as_latex, references


def test_text_latex_and_bibtex_cite_the_same_works(view, report_config):
    page = render_report(view, report_config, [])
    found = re.search(r'id="data-methods">(.*?)</script>', page, re.DOTALL)
    texts = json.loads(found[1])
    plain, latex, bibtex = (texts[kind] for kind in ("txt", "tex", "bib"))
    assert "Selection." in plain
    assert "<" not in plain
    assert re.search(r"Software\. meiflow [\d.]+.* \(Python [\d.]+, torch ", plain)
    keys = set(re.findall(r"\\cite(?:t|alp)\{(\w+)\}", latex))
    assert {"walker2019", "schoppe2016", "wolpert1992"} <= keys
    assert keys == set(re.findall(r"^@\w+\{(\w+),", bibtex, re.MULTILINE))
    # nothing that looks like a citation is left as plain text
    assert not re.findall(r"(?:et al\.|&) [^.;]*?\(?(?:19|20)\d\d", latex)
    assert not re.search(r"(?<!\\)[%&#_]", re.sub(r"\\cite\w+\{\w+\}", "", latex))


def test_every_reference_is_found_in_both_forms():
    for one in references():
        assert as_latex(f"({one.names} {one.year})") == f"(\\citealp{{{one.key}}})"
        assert as_latex(f"{one.names} ({one.year})") == f"\\citet{{{one.key}}}"
    keys = [one.key for one in references()]
    assert len(set(keys)) == len(keys)
