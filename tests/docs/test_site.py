"""The website: built without warnings, dead links, or network access."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from tests.docs.notebooks import NOTEBOOKS
from tests.docs.pages import PAGES, ROOT

DOCS = ROOT / "docs"


class Page(HTMLParser):
    """Ids of a page, its links, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if named.get("id"):
            self.ids.add(str(named["id"]))
        if tag == "a" and named.get("href"):
            self.links.append(str(named["href"]))
        elif named.get("src") or (tag == "link" and named.get("href")):
            self.loaded.append(str(named.get("src") or named.get("href")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site, built by `make docs` in this environment."""
    folder = tmp_path_factory.mktemp("site")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "--old-file=dev", "docs", f"BUILT={folder}"],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    home = folder / "html"
    return {path: Page(path) for path in home.rglob("*.html")}


@pytest.mark.thorough
def test_every_page_is_built_and_can_be_reached(site: dict[Path, Page]) -> None:
    home = next(path for path in site if path.name == "index.html" and path.parent.name == "html")
    sources = [*(p for p in PAGES if DOCS in p.parents), *NOTEBOOKS]
    pages = {p.relative_to(DOCS).with_suffix(".html") for p in sources}
    assert {home.parent / page for page in pages} <= site.keys()
    reached = {(home.parent / urlsplit(link).path).resolve() for link in site[home].links}
    below = {
        (home.parent / "api" / urlsplit(link).path).resolve()
        for link in site[home.parent / "api" / "index.html"].links
    }
    assert all((home.parent / page).resolve() in reached | below | {home} for page in pages)


@pytest.mark.thorough
def test_links_and_anchors_of_the_site_resolve(site: dict[Path, Page]) -> None:
    dead = []
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = site.get(target)
            if not target.exists() or (
                parts.fragment and known is not None and unquote(parts.fragment) not in known.ids
            ):
                dead.append(f"{path.name}: {link}")
    assert not dead


@pytest.mark.thorough
def test_nothing_is_loaded_from_a_network(site: dict[Path, Page]) -> None:
    loaded = {link for page in site.values() for link in page.loaded}
    assert loaded
    assert not [link for link in loaded if urlsplit(link).scheme not in ("", "data")]
    styles = next(iter(site)).parent.glob("_static/**/*.css")
    imported = [re.findall(r"url\(['\"]?(https?:[^)]*)|@import", f.read_text()) for f in styles]
    assert not any(imported)


@pytest.mark.thorough
def test_notebooks_are_pages_with_their_output(site: dict[Path, Page]) -> None:
    for notebook in NOTEBOOKS:
        page = ("notebooks", f"{notebook.stem}.html")
        path = next(p for p in site if p.parts[-2:] == page)
        saved, text = notebook.read_text(), path.read_text()
        assert text.count("data:image/png") == saved.count('"image/png"')
        assert any(link.endswith(f"/{notebook.name}") for link in site[path].links)


@pytest.mark.thorough
def test_formulas_are_drawn_by_the_browser_itself(site: dict[Path, Page]) -> None:
    text = next(path for path in site if path.name == "methods.html").read_text()
    assert text.count("<math ") >= 10
    assert "<merror" not in text
    assert "$" not in re.sub(r"<(code|pre).*?</\1>", "", text.split("<article", 1)[1], flags=re.S)


def headings(path: Path) -> set[str]:
    """Anchors that GitHub and MyST give to the headings of a Markdown file."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    pairs = pairwise(tokens)
    titles = [after.content for token, after in pairs if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_the_pages_as_files_resolve(page: Path) -> None:
    """The pages are also read on a code host, where links go to Markdown files."""
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in headings(target), link


def test_commands_and_benchmarks_named_in_the_text_exist() -> None:
    """Inline code is not run, but the commands and options it names exist."""
    from meiflow.cli.app import app

    commands = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    for page in PAGES:
        text = " ".join(page.read_text(encoding="utf-8").split())
        for command in re.findall(r"`meiflow ([a-z][a-z-]*)", text):
            assert command in commands, f"{page.name}: meiflow {command}"
        for name, rest in re.findall(r"`python -m benchmarks\.(\w+)([^`]*)`", text):
            script = ROOT / "benchmarks" / f"{name}.py"
            assert script.is_file(), f"{page.name}: {name}"
            for option in re.findall(r"--[\w-]+", rest):
                assert f'"{option}"' in script.read_text(), f"{page.name}: {name} {option}"


def test_every_documented_function_has_an_example() -> None:
    """Those of the API pages; pytest runs the doctests themselves, module by module."""
    import importlib

    missing = []
    for page in (DOCS / "api").glob("*.md"):
        text = page.read_text()
        for module, block in re.findall(r"currentmodule:: (\S+)\n(.*?)```", text, flags=re.S):
            for name in re.findall(r"autofunction:: (\w+)", block):
                function = getattr(importlib.import_module(module), name)
                if ">>> " not in (function.__doc__ or ""):
                    missing.append(f"{module}.{name}")
    assert not missing
